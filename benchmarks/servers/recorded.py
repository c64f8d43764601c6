# SPDX-License-Identifier: Apache-2.0
"""The same as `ours`, and each call keeps its audio: the last seconds with `--flight`, else all of it in a file.

Arguments: as of `ours`, after that.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.servers import echo
from benchmarks.servers.ours import serve

from audio_connector import AudioConnectorConnection, FlightRecorder, Recorder


def main() -> None:
    """Serve."""
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:2] == ["--flight"]:
            # Full before it is measured: until then each frame takes memory that is touched for the first time.
            recorder = FlightRecorder(folder=folder, keep_s=1.5)
            asyncio.run(serve(echo.on_connect, sys.argv[2:], flight_recorder=recorder))
            return

        async def on_connect(client: AudioConnectorConnection) -> None:
            await echo.on_connect(client)
            async with Recorder(client, Path(folder) / f"{client.id}.wav"):
                async for _ in client.events():
                    pass

        asyncio.run(serve(on_connect, sys.argv[1:]))


if __name__ == "__main__":
    main()
