# SPDX-License-Identifier: Apache-2.0
"""One connection's life on the application's loop: who runs its handlers, and who sees them end.

States: *connecting* while on_connect runs, *open*, *ending* from the end of the socket until every message was
handed over, and *over* when on_disconnect has run. Messages are handed over from the start, so on_connect may
as well be the whole conversation. One task owns the others and awaits them on every path.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from audio_connector.errors import ConnectionClosed
from audio_connector.intake.handlers import Handler, call_handler
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.wire.messages import Disconnected

logger = logging.getLogger("audio_connector.server")


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
        self._on_connect = on_connect
        self._handler_s = handler_s
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._how: Disconnected | None = None
        self._ended = self._loop.create_future()
        self._dispatching = self._loop.create_task(self._dispatcher.run())
        self._connecting = self._loop.create_task(self._run_on_connect())
        self._connecting.add_done_callback(lambda _: self._dispatcher.settle())
        self.task = self._loop.create_task(self._live())
        self.feed = self._dispatcher.feed
        self.feed_error = self._dispatcher.feed_error

    def end(self, how: Disconnected) -> None:
        """The socket is over and nothing more arrives."""
        if not self._ended.done():
            self._how = how
            self._dispatcher.end()
            self._ended.set_result(None)

    def hurry(self) -> None:
        """Stop waiting for handlers: they are cancelled, and only on_disconnect still runs."""
        self._handler_s = min(self._handler_s, 0.2)
        self._dispatcher.is_cancelled = True
        self._dispatching.cancel()
        self._connecting.cancel()
        self.end(Disconnected(code=1001, reason="the server has stopped", closed_by="server"))

    async def _live(self) -> None:
        try:
            await self._ended
            assert self._how is not None
            await self._finish_dispatching()
            self._dispatcher.end_streams(self._how)
            await self._finish("on_connect", self._connecting)
            await self._run_on_disconnect(self._how)
        finally:
            # Where it was cancelled itself: alone the dispatcher would take it for a handler's doing, and go on.
            self._dispatcher.is_cancelled = True
            self._dispatching.cancel()
            self._connecting.cancel()
            self._on_over()

    async def _run_on_connect(self) -> None:
        if self._on_connect is None:
            return
        try:
            await call_handler(self._on_connect, self.connection)
        except Exception as error:
            if isinstance(error, ConnectionClosed) and not self.connection._line.is_open:
                # A caller who hangs up early is no mistake of the handler.
                logger.info("connection %s: on_connect ended with it: %s", self.connection.id, error)
                return
            if self._ended.done():
                logger.exception("connection %s: on_connect failed after the end", self.connection.id)
                return
            logger.exception("connection %s: on_connect failed; it is closed with 1011", self.connection.id)
            self.connection._line.close(1011, "internal error")
        except asyncio.CancelledError:
            # By something cancelled that it awaited; whoever cancels it from outside has ended the call before.
            if not self._ended.done():
                logger.error(
                    "connection %s: on_connect was cancelled; it is closed with 1011", self.connection.id
                )
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
        await asyncio.wait((task,), timeout=self._handler_s if timeout is None else timeout)
        if not task.done():
            logger.warning(
                "connection %s: %s still ran %.3g s after the end and was cancelled",
                self.connection.id,
                what,
                self._handler_s,
            )
            task.cancel()
            await asyncio.wait((task,), timeout=1.0)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            logger.error("connection %s: %s failed", self.connection.id, what, exc_info=error)

    async def _run_on_disconnect(self, how: Disconnected) -> None:
        handler = self._dispatcher.on_disconnect
        if handler is None:
            return
        task = self._loop.create_task(call_handler(handler, how))
        try:
            await self._finish("on_disconnect", task)
        finally:
            task.cancel()  # where a stop cuts the wait short
