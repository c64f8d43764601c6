# SPDX-License-Identifier: Apache-2.0
"""The vendor's SDK with the same application as ours; runs in an environment of its own."""

from __future__ import annotations

import asyncio
import socket
from importlib.metadata import version

from benchmarks.servers.control import serve_until_eof
from benchmarks.servers.echo import on_connect

from audio_connector_sdk.vonage_video import Video
from audio_connector_sdk.vonage_video.models.audio_connector import AudioConnectorServerConfig


def _free_port() -> int:
    # The vendor's server refuses port 0.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def main() -> None:
    """Serve on a free port until stdin ends."""
    # Raises outside the vendor's environment, where our package would answer to the same import name.
    version("vonage-audio-connector-server")
    port = _free_port()
    await Video().start_audio_connector_server(
        AudioConnectorServerConfig(host="127.0.0.1", port=port, on_connect=on_connect)
    )
    # No stop(): the vendor's waits for its clients; the process ends with its stdin instead.
    await serve_until_eof(port)


if __name__ == "__main__":
    asyncio.run(main())
