# SPDX-License-Identifier: Apache-2.0
"""One connection's life on the application's loop: who runs its handlers, and who sees them end.

States: *connecting* while on_connect runs, *open*, *ending* from the end of the socket until every message was
handed over, and *over* when on_disconnect has run. Messages are handed over from the start, so on_connect may
as well be the whole conversation. One task sees to the end, and awaits all others on every path.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from audio_connector.intake import log_fields
from audio_connector.server.call_attributes import at_end, at_settling, error_of
from audio_connector.server.call_log import CallLog
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.validation.handlers import Handler, call_handler
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.one_by_one import OneByOne
from audio_connector.wire.transport import Upgrade

GRACE_S = 5.0
"""How long after on_connect messages are kept that nobody has asked for yet: a task that it has started and that
connects to a speech service first gets the caller's first words all the same."""

HURRY_S = 0.2
"""For each handler, once the server cannot wait any longer."""

RELEASE_S = 0.5
"""For on_connect, and for each message that it was handed, where another worker takes the call."""

MOVED = Disconnected(code=1012, reason="another worker has taken the call", closed_by="server")
"""How a connection ends for an application that another one takes it from; for the router it goes on."""

STOPPED = Disconnected(code=1001, reason="the server has stopped", closed_by="server")
"""How a connection ends that has not ended before the server does."""


class Session:
    """Runs the handlers of one connection; ``on_over`` is called when on_disconnect has run.

    Calls that end at once share ``ends``, so that their ends come one by one.

    They run in a context of the call's own: what they log has its fields, and what they trace belongs to its span.
    """

    def __init__(
        self,
        connection: AudioConnectorConnection,
        config: AudioConnectorServerConfig,
        on_over: Callable[[], None],
        *,
        ends: OneByOne,
        worker: int | None = None,
    ) -> None:
        self.connection = connection
        self._dispatcher = connection._dispatcher
        self.faults = self._dispatcher.faults
        self._handler_s = config.timeouts.handler_s  # for one call of a handler after the end
        self._on_over = on_over
        self._ends = ends
        loop = self._loop = asyncio.get_running_loop()
        self._opened_at = self._ended_at = loop.time()
        self._ended: asyncio.Future[Disconnected] = loop.create_future()
        self._is_over = False
        self._letting_go: asyncio.TimerHandle | None = None
        self.feed = self._dispatcher.feed
        self.feed_error = self._dispatcher.feed_error
        self.log = CallLog(self.faults, connection, worker)
        self._trace = trace = connection._line.trace
        self._context = contextvars.copy_context()
        self._context.run(log_fields.enter, self.faults.fields)
        if trace is not None:
            self._context.run(trace.enter)
            self.faults.fields["trace_id"] = trace.trace_id
        self.log.open()
        self.task = self.spawn(self._live())
        """Sees to the end: done when the connection is over. Cancelling it leaves nothing behind."""
        self.task.add_done_callback(lambda _: self._abandon())  # where it never began
        self._running = [self.spawn(self._dispatcher.run())]
        self._on_resume, self._on_connect = config.on_resume, config.on_connect
        self._is_resume_owed = False
        self._resuming: asyncio.Task[None] | None = None
        is_taken_over = connection.is_resumed and config.on_resume is not None
        name, on_connect = (
            ("on_resume", config.on_resume) if is_taken_over else ("on_connect", config.on_connect)
        )
        if on_connect is None:
            self._dispatcher.settle()
            self._dispatcher.let_go()
        else:
            self._running.append(self.spawn(self._run_first(name, on_connect)))
            # Not at its end: what it has started, such as a task that iterates over the audio, comes first.
            self._running[1].add_done_callback(lambda _: self._settle())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this call, in its context."""
        task: asyncio.Task[None] = self._context.run(self._loop.create_task, work)
        return task

    def settle(self) -> None:
        """The format is known, or who it is."""
        self.log.settle()
        if self._trace is not None:
            self._trace.set(at_settling(self.connection))

    def end(self, how: Disconnected) -> None:
        """The socket is over and nothing more arrives."""
        if not self._ended.done():
            self._ended.set_result(how)
            self._ended_at = self._loop.time()
            self._dispatcher.end()

    def lose(self, resume_s: float) -> None:
        """The connection broke off, and for so long the router may dial again."""
        self.log.lose(resume_s)
        if self._trace is not None:
            self._trace.note("connection lost")

    def resume(self, upgrade: Upgrade) -> None:
        """The router has dialled again."""
        self.connection._resume(upgrade)
        self.log.open("dialled again")
        if self._trace is not None:
            self._trace.note("connection resumed")
        name, handler = "on_resume", self._on_resume
        # An on_connect that still runs goes on, and is not begun twice.
        if handler is None and all(task.done() for task in self._running[1:]):
            name, handler = "on_connect", self._on_connect
        if handler is not None and not self._ended.done():
            self._is_resume_owed = True
            if self._resuming is None or self._resuming.done():
                self._resuming = self.spawn(self._run_on_resume(name, handler))

    def release(self) -> None:
        """Another application takes the call: handle what was handed over, and end."""
        self._handler_s = min(self._handler_s, RELEASE_S)
        self.end(MOVED)

    def hurry(self) -> None:
        """Stop waiting for handlers: they are cancelled, and only on_disconnect still runs."""
        self._handler_s = min(self._handler_s, HURRY_S)
        self._cancel_handlers()
        self.end(STOPPED)

    async def _live(self) -> None:
        try:
            how = await self._ended
            await self._ends.turn()
            dispatching, *connecting = self._running
            await self._finish_dispatching(dispatching)
            self._dispatcher.end_streams(how)
            for task in connecting:
                await self._finish("on_connect", task)
            if self._resuming is not None:
                await self._finish("on_resume", self._resuming)
            if how is MOVED:
                self.connection._line.release(how)
            if self._dispatcher.on_disconnect is not None:
                task = self.spawn(self._run_on_disconnect(self._dispatcher.on_disconnect, how))
                self._running.append(task)
                await self._finish("on_disconnect", task)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Leave nothing behind, whatever was not done yet: all is done, or the loop ends and cancels every task."""
        self._cancel_handlers()
        if self._letting_go is not None:
            self._letting_go.cancel()
        if not self._is_over:
            self._is_over = True
            how = self._ended.result() if self._ended.done() and not self._ended.cancelled() else None
            if how is not None:
                self.log.end(how, self._ended_at - self._opened_at)  # handlers may go on for longer
            self._on_over()
            self._dispatcher.forget()
            if self._trace is not None:  # last, since it calls what the application has set up
                self._trace.end(at_end(self.connection, how), error_of(how))

    def _cancel_handlers(self) -> None:
        # Cancelled alone the dispatcher would take it for a handler's doing, and go on.
        self._dispatcher.is_cancelled = True
        if not self._loop.is_closed():  # else a program has left its tasks behind, and nothing runs there
            for task in self._running:
                task.cancel()
            if self._resuming is not None:
                self._resuming.cancel()

    def _settle(self) -> None:
        self._dispatcher.settle()
        if not self._is_over:
            self._letting_go = self._loop.call_later(GRACE_S, self._dispatcher.let_go)

    async def _run_on_resume(self, name: str, handler: Handler) -> None:
        """One at a time; and once more, where the router has dialled again meanwhile, however often."""
        while self._is_resume_owed and not self._ended.done():
            self._is_resume_owed = False
            await self._run_first(name, handler)

    async def _run_first(self, name: str, handler: Handler) -> None:
        """Run what is told of a connection; without it there is none."""
        try:
            await call_handler(handler, self.connection)
        except Exception as error:  # noqa: BLE001 - it is logged
            if self._dispatcher.on_fault is not None:
                self._dispatcher.on_fault(name, error)
            self.faults.raised(name, handler, error, self._fail())
        except asyncio.CancelledError as error:
            # By something cancelled that it awaited; whoever cancels it from outside says so, at least in this round.
            await asyncio.sleep(0)
            if not self._ended.done() and not self._dispatcher.is_cancelled:
                self.faults.raised(name, handler, error, self._fail())
            raise

    def _fail(self) -> str:
        """Close, since on_connect has failed, where that is still to be done; says what became of the connection."""
        if self._ended.done():
            return "it had ended before"
        if self.connection._line.is_open:
            self.connection._line.close(1011, "internal error")
        return "it is closed with 1011"

    async def _run_on_disconnect(self, handler: Handler, how: Disconnected) -> None:
        try:
            await call_handler(handler, how)
        except Exception as error:  # noqa: BLE001 - it is logged
            self.faults.raised("on_disconnect", handler, error, "the connection is over")

    async def _finish_dispatching(self, task: asyncio.Task[None]) -> None:
        """Let the messages that wait be handed over, as long as that goes on."""
        handled = -1
        while not task.done() and handled != self._dispatcher.handled:
            handled = self._dispatcher.handled
            await asyncio.wait((task,), timeout=self._handler_s)
        if not self._dispatcher.has_taker:
            self._dispatcher.settle()
            await asyncio.wait((task,), timeout=self._handler_s)
        self._dispatcher.is_cancelled = True
        await self._finish("a message handler", task, timeout=0)

    async def _finish(self, what: str, task: asyncio.Task[None], timeout: float | None = None) -> None:
        """Wait for a handler's task, and cancel it at the deadline."""
        if not task.done():
            await asyncio.wait((task,), timeout=self._handler_s if timeout is None else timeout)
        if not task.done():
            text = "%s still ran %.3g s after the end and was cancelled"
            self.log.say(logging.WARNING, text, what, self._handler_s)
            task.cancel()
            await asyncio.wait((task,), timeout=1.0)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            self.log.say(logging.ERROR, "%s failed", what, error=error)
