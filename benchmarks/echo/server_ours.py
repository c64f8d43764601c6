# SPDX-License-Identifier: Apache-2.0
"""Server B: this library, with the application on a plain asyncio loop, or on uvloop when asked."""

from __future__ import annotations

import asyncio

import uvloop
from benchmarks.echo.control import Counter, answer_until_eof, server_arguments

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig, Video

_COUNTER = Counter()


async def on_connect(client: AudioConnectorConnection) -> None:
    """Echo every audio message, as server C does."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            _COUNTER.frames += 1
            await client.send_audio_buffer(message)

    client.set_handler(on_message=on_message)


async def main() -> None:
    """Serve on a free port until stdin ends."""
    config = AudioConnectorServerConfig(host="127.0.0.1", port=0, on_connect=on_connect)
    handle = await Video().start_audio_connector_server(config)
    await answer_until_eof(handle.port, _COUNTER)
    await handle.stop()


if __name__ == "__main__":
    run = uvloop.run if server_arguments(__doc__, app_loop=True).app_loop == "uvloop" else asyncio.run
    run(main())
