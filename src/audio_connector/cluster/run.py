# SPDX-License-Identifier: Apache-2.0
"""The supervisor as a whole main program: it says where it listens, and ends, or reloads, at a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence

from audio_connector.cluster.supervisor import Plan, Supervisor


def supervise(plan: Plan, say: Callable[[str], None], sockets: Sequence[socket.socket] = ()) -> bool:
    """Serve until SIGTERM or Ctrl-C; True where every call had come to its end.

    At the first signal all is drained, at a second one it is stopped. SIGHUP replaces the workers. ``sockets`` are
    taken in place of host and port, see `AudioConnectorServerConfig`.

    Raises:
        UsageError: The application cannot be had.
        AudioConnectorStartServerError: It cannot listen.
    """
    ended = asyncio.run(_supervise(plan, say, sockets))
    say("stopped")
    return ended


async def _supervise(plan: Plan, say: Callable[[str], None], sockets: Sequence[socket.socket]) -> bool:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(plan, say, sockets)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.drain)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    try:
        return await supervisor.run()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
