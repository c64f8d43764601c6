# SPDX-License-Identifier: Apache-2.0
"""Sends back what it hears, in the vendor's handler style.

Run it, and point a media router or ``audio-connector simulate`` at the address that it prints.
"""

from __future__ import annotations

import argparse

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig, Playback, run

MAX_DELAY_MS = 300
"""An echo that once fell behind, because the network stood still, catches up instead of staying late for ever."""


async def on_connect(client: AudioConnectorConnection) -> None:
    """Called once for each connection."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)
        else:
            print(f"{client.id}: {message}", flush=True)

    async def on_disconnect() -> None:
        print(f"{client.id}: gone", flush=True)

    async def on_error(error: Exception) -> None:
        print(f"{client.id}: {error!r}", flush=True)

    client.set_handler(on_message=on_message, on_disconnect=on_disconnect, on_error=on_error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    arguments = parser.parse_args()
    run(
        AudioConnectorServerConfig(
            host=arguments.host,
            port=arguments.port,
            on_connect=on_connect,
            playback=Playback(max_delay_ms=MAX_DELAY_MS),
        )
    )
