# SPDX-License-Identifier: Apache-2.0
"""The supervisor as a whole main program: it says where it listens, and ends, or reloads, at a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from audio_connector.cluster.plan import Plan
from audio_connector.cluster.supervisor import Supervisor
from audio_connector.server.log_output import logged_aside

logger = logging.getLogger("audio_connector.cluster")

DEBOUNCE_MS = 200
"""An editor may write a file in several steps."""


def supervise(
    plan: Plan,
    say: Callable[[str], None],
    sockets: Sequence[socket.socket] = (),
    *,
    watched: Path | None = None,
) -> bool:
    """Serve until SIGTERM or Ctrl-C; True where every call had come to its end.

    At the first signal all is drained, at a second one it is stopped. SIGHUP replaces the workers.

    Args:
        plan: What is served, and how.
        say: Given a line when it listens and one when it has stopped.
        sockets: Taken in place of host and port, see `AudioConnectorServerConfig`.
        watched: The workers are replaced whenever a source of Python below this folder changes.

    Raises:
        UsageError: The application cannot be had.
        AudioConnectorStartServerError: It cannot listen.
    """
    with logged_aside():
        ended = asyncio.run(_supervise(plan, say, sockets, watched))
    say("stopped")
    return ended


async def _supervise(
    plan: Plan, say: Callable[[str], None], sockets: Sequence[socket.socket], watched: Path | None
) -> bool:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(plan, say, sockets)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.drain)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    if watched is not None:
        # Two texts of one length that were saved within a second are one to the cache: the old one would be served.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for the workers
    watching = None if watched is None else loop.create_task(_reload_at_changes(supervisor, watched))
    try:
        return await supervisor.run()
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        # What ends has nothing to reload, and need not be killed for it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def _reload_at_changes(supervisor: Supervisor, folder: Path) -> None:
    from watchfiles import PythonFilter, awatch  # noqa: PLC0415 - only who develops needs it

    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it says each time that something has changed
    async for changes in awatch(folder, watch_filter=PythonFilter(), debounce=DEBOUNCE_MS):
        names = ", ".join(sorted(Path(path).name for _, path in changes)[:3])
        logger.warning("%s changed: new workers are started", names)
        supervisor.reload()
