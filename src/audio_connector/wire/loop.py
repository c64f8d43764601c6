# SPDX-License-Identifier: Apache-2.0
"""The event loop that sockets of a server live in, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("audio_connector.wire")


def new_loop() -> asyncio.AbstractEventLoop:
    """Make one: that of uvloop where there is one, which logs what no connection was told of."""
    loop = asyncio.new_event_loop() if sys.platform == "win32" else _new_uvloop()
    loop.set_exception_handler(log_loop_error)
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left in it, let that come to its end, and close it; in its thread, once it has stopped."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no connection was told of. Who fails at TLS is no error of ours, and must not fill the log."""
    error = context.get("exception")
    if isinstance(error, OSError):  # ssl.SSLError is one
        logger.info("a connection failed: %s", error)
    else:
        logger.error("%s", context.get("message"), exc_info=error if isinstance(error, Exception) else None)


def _new_uvloop() -> asyncio.AbstractEventLoop:
    if sys.platform != "linux":
        import uvloop  # noqa: PLC0415 - there is none for Windows

        return uvloop.new_event_loop()
    from audio_connector.wire.gathering import GatheringLoop  # noqa: PLC0415 - only where there is epoll

    return GatheringLoop()


def add_prompt_reader(loop: asyncio.AbstractEventLoop, fd: int, callback: Callable[[], None]) -> None:
    """Call back whenever the descriptor is readable, although this loop gathers what others bring."""
    getattr(loop, "add_prompt_reader", loop.add_reader)(fd, callback)


def keep_new(transport: asyncio.BaseTransport) -> None:
    """Have what it reads come behind what calls bring, as if it had never read, where this loop has such an order."""
    keep = getattr(asyncio.get_running_loop(), "keep_new", None)
    sock = transport.get_extra_info("socket")
    if keep is not None and sock is not None:
        keep(sock.fileno())


def remove_prompt_reader(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Call that back no more."""
    getattr(loop, "remove_prompt_reader", loop.remove_reader)(fd)
