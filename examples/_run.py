# SPDX-License-Identifier: Apache-2.0
"""Serves a configuration until the program is interrupted or told to end; what the examples share.

A signal handler of the loop ends it in order. Left to itself, Python 3.10 raises KeyboardInterrupt wherever the
program is just then, in a task of the server as well as in `main`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from audio_connector import AudioConnectorServer, AudioConnectorServerConfig, AudioConnectorServerHandle


def run(config: AudioConnectorServerConfig, *, ready: Callable[[AudioConnectorServerHandle], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        config: Of the server.
        ready: Told when it listens.
    """
    with contextlib.suppress(KeyboardInterrupt):  # on Windows, where loops take no signals
        asyncio.run(_serve(config, ready))


async def _serve(
    config: AudioConnectorServerConfig, ready: Callable[[AudioConnectorServerHandle], None]
) -> None:
    stopped = asyncio.Event()
    async with AudioConnectorServer(config) as server:
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        ready(server)
        await stopped.wait()


def listening(server: AudioConnectorServerHandle) -> None:
    """Print where it listens."""
    print(f"listening on {server.get_address()}", flush=True)
