# SPDX-License-Identifier: Apache-2.0
"""One connection's life on the application's loop: who runs its handlers, and who sees them end.

States: *connecting* while on_connect runs, *open*, *ending* from the end of the socket until every message was
handed over, and *over* when on_disconnect has run. Messages are handed over from the start, so on_connect may
as well be the whole conversation. While a call is open, the dispatcher has the only task; the one that sees to the
end, and awaits the others on every path, is made when that comes. Until then one task for all sessions of a loop
(`_LoopGuard`) stands in for it.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable

from audio_connector.errors import ConnectionClosed
from audio_connector.validation.handlers import Handler, call_handler
from audio_connector.server.call_log import log_end, log_opening
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import printable

logger = logging.getLogger("audio_connector.server")

GRACE_S = 5.0
"""How long after on_connect messages are kept that nobody has asked for yet: a task that it has started, and that first
connects to a speech service, gets the caller's first words all the same."""

CLOSED_WITH_1011 = "it is closed with 1011"


class Session:
    """Runs the handlers of one connection.

    Args:
        connection: The handle that they get.
        on_connect: The server's handler.
        handler_s: After the end, how long one handler call may take.
        on_over: Called once, when on_disconnect has run.
    """

    def __init__(
        self,
        connection: AudioConnectorConnection,
        *,
        on_connect: Handler | None,
        handler_s: float,
        on_over: Callable[[], None],
    ) -> None:
        self.connection = connection
        self._dispatcher = connection._dispatcher
        self._faults = self._dispatcher.faults
        self._label = self._faults.label
        self._handler_s = handler_s
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._how: Disconnected | None = None
        self._ended: asyncio.Future[None] | None = None
        self._is_over = False
        self._living: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.feed = self._dispatcher.feed
        self.feed_error = self._dispatcher.feed_error
        log_opening(self._label, connection)
        self._guard = _LoopGuard.of(self._loop)
        self._guard.add(self)
        self._dispatching = self._loop.create_task(self._dispatcher.run())
        self._letting_go: asyncio.TimerHandle | None = None
        if on_connect is None:
            self._dispatcher.settle()
            self._dispatcher.let_go()
        else:
            self._connecting = self._loop.create_task(self._run_on_connect(on_connect))
            # Not at its end: what it has started, such as a task that iterates over the audio, comes first.
            self._connecting.add_done_callback(lambda _: self._settle())

    @property
    def task(self) -> asyncio.Task[None]:
        """Sees to the end: done when the connection is over. Cancelling it leaves nothing behind."""
        if self._living is None:
            self._living = self._loop.create_task(self._live())
            self._living.add_done_callback(lambda _: self.abandon())  # also where it never began
        return self._living

    def end(self, how: Disconnected) -> None:
        """The socket is over and nothing more arrives."""
        if self._how is None:
            self._how = how
            self._dispatcher.end()
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)
            _ = self.task

    def hurry(self) -> None:
        """Stop waiting for handlers: they are cancelled, and only on_disconnect still runs."""
        self._handler_s = min(self._handler_s, 0.2)
        self._cancel_handlers()
        self.end(Disconnected(code=1001, reason="the server has stopped", closed_by="server"))

    def abandon(self) -> None:
        """Leave nothing behind, whatever was not done yet: the loop ends, or all is done."""
        self._cancel_handlers()
        if self._letting_go is not None:
            self._letting_go.cancel()
        if not self._is_over:
            self._is_over = True
            self._guard.discard(self)
            if self._how is not None:
                log_end(self._label, self.connection, self._how, self._loop.time() - self._opened_at)
            self._on_over()

    def _settle(self) -> None:
        self._dispatcher.settle()
        if not self._dispatcher.wants_all and not self._is_over:
            self._letting_go = self._loop.call_later(GRACE_S, self._dispatcher.let_go)

    def _cancel_handlers(self) -> None:
        # Cancelled alone the dispatcher would take it for a handler's doing, and go on.
        self._dispatcher.is_cancelled = True
        self._dispatching.cancel()
        if self._connecting is not None:
            self._connecting.cancel()

    async def _live(self) -> None:
        try:
            if self._how is None:
                self._ended = self._loop.create_future()
                await self._ended
            assert self._how is not None
            await self._finish_dispatching()
            self._dispatcher.end_streams(self._how)
            if self._connecting is not None:
                await self._finish("on_connect", self._connecting)
            await self._run_on_disconnect(self._how)
        finally:
            self.abandon()

    async def _run_on_connect(self, on_connect: Handler) -> None:
        try:
            await call_handler(on_connect, self.connection)
        except Exception as error:  # noqa: BLE001 - it is logged
            is_over = self._how is not None
            if isinstance(error, ConnectionClosed) and not self.connection._line.is_open:
                # A caller who hangs up early is no mistake of the handler.
                logger.info("connection %s: on_connect ended with it: %s", self._label, printable(str(error)))
                return
            then = "it had ended before" if is_over else CLOSED_WITH_1011
            self._faults.raised("on_connect", on_connect, error, then)
            if not is_over:
                self.connection._line.close(1011, "internal error")
        except asyncio.CancelledError:
            # By something cancelled that it awaited; whoever cancels it from outside says so, at least in this round.
            await asyncio.sleep(0)
            if self._how is None and not self._dispatcher.is_cancelled:
                self._faults.was_cancelled("on_connect", on_connect, CLOSED_WITH_1011)
                self.connection._line.close(1011, "internal error")
            raise

    async def _finish_dispatching(self) -> None:
        """Let the messages that wait be handed over, as long as that goes on."""
        while not self._dispatching.done():
            handled = self._dispatcher.handled
            await asyncio.wait((self._dispatching,), timeout=self._handler_s)
            if handled == self._dispatcher.handled:
                break
        if not self._dispatcher.has_taker:
            self._dispatcher.settle()
            await asyncio.wait((self._dispatching,), timeout=self._handler_s)
        self._dispatcher.is_cancelled = True
        await self._finish("a message handler", self._dispatching, timeout=0)

    async def _finish(self, what: str, task: asyncio.Task[None], timeout: float | None = None) -> None:
        """Wait for a handler's task, and cancel it at the deadline."""
        if not task.done():
            await asyncio.wait((task,), timeout=self._handler_s if timeout is None else timeout)
        if not task.done():
            logger.warning(
                "connection %s: %s still ran %.3g s after the end and was cancelled",
                self._label,
                what,
                self._handler_s,
            )
            task.cancel()
            await asyncio.wait((task,), timeout=1.0)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            logger.error("connection %s: %s failed", self._label, what, exc_info=error)

    async def _run_on_disconnect(self, how: Disconnected) -> None:
        handler = self._dispatcher.on_disconnect
        if handler is None:
            return
        task = self._loop.create_task(self._call_on_disconnect(handler, how))
        try:
            await self._finish("on_disconnect", task)
        finally:
            task.cancel()  # where a stop cuts the wait short

    async def _call_on_disconnect(self, handler: Handler, how: Disconnected) -> None:
        try:
            await call_handler(handler, how)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._faults.raised("on_disconnect", handler, error, "the connection is over")


class _LoopGuard:
    """Notices that a loop ends, for the sessions in it.

    What ends a loop cancels every task in it once, also that of a dispatcher, which goes on when a handler has
    cancelled it. This task has no other reason to be cancelled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sessions: set[Session] = set()
        self._none_left: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._watch())

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _LoopGuard:
        """The guard of a loop, made where there is none."""
        guard = _guards.get(loop)
        if guard is None or guard._none_left.done():
            guard = _guards[loop] = cls(loop)
        return guard

    def add(self, session: Session) -> None:
        """Have a session abandoned when the loop ends."""
        self._sessions.add(session)

    def discard(self, session: Session) -> None:
        """It is over."""
        self._sessions.discard(session)
        if not self._sessions and not self._none_left.done():
            self._none_left.set_result(None)

    async def _watch(self) -> None:
        try:
            await self._none_left
        finally:
            for session in list(self._sessions):
                session.abandon()


_guards: weakref.WeakValueDictionary[asyncio.AbstractEventLoop, _LoopGuard] = weakref.WeakValueDictionary()
"""They are held by their sessions."""
