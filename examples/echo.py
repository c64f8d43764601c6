# SPDX-License-Identifier: Apache-2.0
"""Sends back what it hears, in the vendor's handler style.

Run it, and point a media router or ``audio-connector simulate`` at the address that it prints.
"""

from __future__ import annotations

import argparse

from _run import listening, run

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig


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


def config(host: str, port: int) -> AudioConnectorServerConfig:
    """The server, at an address."""
    return AudioConnectorServerConfig(host=host, port=port, on_connect=on_connect)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    arguments = parser.parse_args()
    run(config(arguments.host, arguments.port), ready=listening)
    print("stopped")
