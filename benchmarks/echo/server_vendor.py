# SPDX-License-Identifier: Apache-2.0
"""Server C: the vendor's SDK with the same handler as server B; runs in an environment of its own."""

from __future__ import annotations

import asyncio
import socket
from importlib.metadata import version
from typing import Any

from benchmarks.echo.control import Counter, answer_until_eof, server_arguments

from audio_connector_sdk.vonage_video import Video
from audio_connector_sdk.vonage_video.models.audio_connector import AudioConnectorServerConfig

_COUNTER = Counter()


async def on_connect(client: Any) -> None:  # noqa: ANN401 - the vendor's package has no types
    """Echo every audio message, as server B does."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            _COUNTER.frames += 1
            await client.send_audio_buffer(message)

    client.set_handler(on_message=on_message)


def _free_port() -> int:
    # The vendor's server refuses port 0.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def main() -> None:
    """Serve on a free port until stdin ends."""
    # Raises outside the vendor's environment, where server B's package would answer to the same import name.
    version("vonage-audio-connector-server")
    port = _free_port()
    await Video().start_audio_connector_server(
        AudioConnectorServerConfig(host="127.0.0.1", port=port, on_connect=on_connect)
    )
    # No stop(): the vendor's waits for its clients; the process ends with its stdin instead.
    await answer_until_eof(port, _COUNTER)


if __name__ == "__main__":
    server_arguments(__doc__)
    asyncio.run(main())
