# SPDX-License-Identifier: Apache-2.0
"""This library, with the application on a plain asyncio loop. Arguments: `name=value` of the configuration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.servers.control import serve_until_eof
from benchmarks.servers.echo import on_connect

from audio_connector import AudioConnectorServer, Limits


async def serve(
    application: Callable[..., Any],
    settings: Sequence[str],
    on_port: Callable[[int], object] = lambda _: None,
    **more: Any,  # noqa: ANN401 - as the configuration has them
) -> None:
    """Serve an application on a free port until stdin ends.

    Args:
        application: Its `on_connect`.
        settings: `name=value` of the configuration.
        on_port: Given the port once it listens.
        more: Other fields of the configuration.
    """
    chosen = dict(setting.split("=", 1) for setting in settings)
    # All of them come from one address, and as fast as they can.
    limits = Limits(max_connections_per_address=None, upgrades_per_second_per_address=None)
    config = {"host": "127.0.0.1", "port": 0, "on_connect": application, "limits": limits, **more, **chosen}
    async with AudioConnectorServer(config) as handle:
        on_port(handle.port)
        await serve_until_eof(handle.port)


if __name__ == "__main__":
    asyncio.run(serve(on_connect, sys.argv[1:]))
