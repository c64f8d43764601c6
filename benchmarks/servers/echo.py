# SPDX-License-Identifier: Apache-2.0
"""The application that our server and the vendor's run alike: it returns every audio message."""

from __future__ import annotations

from typing import Any


async def on_connect(client: Any) -> None:  # noqa: ANN401 - of either package, and the vendor's has no types
    """Echo every audio message."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)

    client.set_handler(on_message=on_message)
