# SPDX-License-Identifier: Apache-2.0
"""For a library that says more than it should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

logger = logging.getLogger("audio_connector.wire")

_NO_ROOM = "incoming BIO: "
"""So begins what aiofastnet says where TLS takes nothing more of what it has been given."""

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # cannot be subscripted before Python 3.11


class QuietLogger(_LoggerAdapter):
    """picows logs every connect at INFO and every broken peer at ERROR; here both are DEBUG.

    What matters of it reaches the receiver as `Closed`, and a server must not be made to write logs by
    whoever connects to it.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - as the base
        """Log at DEBUG, whatever the level."""
        if logger.isEnabledFor(logging.DEBUG):
            super().log(logging.DEBUG, msg, *args, **kwargs)


class FaultLog(QuietLogger):
    """That of one connection: nothing else tells that picows has found a fault, before it closes for it.

    Attributes:
        on_fault: Called then; None for nobody.
    """

    def __init__(self) -> None:
        super().__init__(logger, {})
        self.on_fault: Callable[[], None] | None = None

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - as the base
        """Log at DEBUG, whatever the level."""
        if level >= logging.ERROR and self.on_fault is not None:
            self.on_fault()
        super().log(level, msg, *args, **kwargs)


@contextmanager
def quiet_handshakes() -> Iterator[None]:
    """Keep what the running loop is told of a peer's TLS from being logged; the connection ends by it all the same.

    Of a handshake that failed it is told a class where an exception belongs, on which the loop's own handler fails,
    with two tracebacks. And who asks for new keys again and again, and does not read, fills what TLS has room for.
    """
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    if not isinstance(handler, _HandshakeFilter):
        handler = _HandshakeFilter(handler)
        loop.set_exception_handler(handler)
    handler.users += 1
    try:
        yield
    finally:
        handler.users -= 1
        if not handler.users and loop.get_exception_handler() is handler:
            loop.set_exception_handler(handler.inner)


def take_end_of(waiting: Coroutine[asyncio.Future[None], None, None]) -> None:
    """Take the error with which picows ends a client's connection after a fault of the server.

    `Closed` tells it as well; but where nobody awaits ``wait_disconnected``, it is logged as never retrieved, with a
    traceback. That takes no task: the future behind it is what this coroutine waits for first.
    """
    ended = waiting.send(None)
    ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    waiting.close()


class _HandshakeFilter:
    """An exception handler in front of another one."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - whatever the loop had
        self.inner = inner
        self.users = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, type) or (type(error) is RuntimeError and str(error).startswith(_NO_ROOM)):
            return
        if self.inner is not None:
            self.inner(loop, context)
        else:
            loop.default_exception_handler(context)
