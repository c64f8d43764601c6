# SPDX-License-Identifier: Apache-2.0
"""Echoes each caller, and records both sides of the call into a WAV file of its own: the caller left, the echo right.

``audio-connector report FILE`` shows such a file as a page.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from audio_connector import AudioConnectorConnection, ConnectionClosed, Recorder, run


@dataclass
class RecordedEcho:
    """Where to, and at which rate; None takes that of the call."""

    folder: Path
    rate_hz: int | None

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """The recording is complete when its block is left, which is when the caller has hung up."""
        # An id comes from the other side: only what is harmless in a file name is taken from it.
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', client.id)[:64]}.wav"
        async with Recorder(client, path, sample_rate=self.rate_hz) as recording:
            try:
                async for frame in client.audio():
                    await client.send_audio_buffer(frame)
            except ConnectionClosed:
                pass  # hung up between two frames
        recorded = recording.recorded
        print(recorded.error or f"recorded {path}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("recordings"), help="default: %(default)s")
    parser.add_argument("--rate", type=int, metavar="HZ", help="default: that of the call")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    run(RecordedEcho(arguments.folder, arguments.rate).on_connect, host=arguments.host, port=arguments.port)
