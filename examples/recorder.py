# SPDX-License-Identifier: Apache-2.0
"""Records what each caller says into a WAV file of its own, at one rate whatever the rate of the call.

While a stream is muted or silent no audio arrives at all, so that the pauses of a call are not in its file.
"""

from __future__ import annotations

import argparse
import re
import wave
from dataclasses import dataclass
from pathlib import Path

from audio_connector import AudioConnectorConnection, run


@dataclass
class Recorder:
    """Where to, and at which rate."""

    folder: Path
    rate_hz: int

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Write the call to disk as it comes, five pieces a second."""
        # An id comes from the other side: only what is harmless in a file name is taken from it.
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', client.id)[:64]}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate_hz)
            async for piece in client.audio(chunk_ms=200, sample_rate=self.rate_hz):
                file.writeframes(piece)
        print(f"recorded {path}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("recordings"), help="default: %(default)s")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ", help="default: %(default)s")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    run(Recorder(arguments.folder, arguments.rate).on_connect, host=arguments.host, port=arguments.port)
