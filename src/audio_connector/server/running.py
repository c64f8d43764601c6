# SPDX-License-Identifier: Apache-2.0
"""A server from the beginning of its start to the end of its stop, and its calls, on the application's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import Future, InvalidStateError
from typing import Protocol

from audio_connector.call import asks, tells
from audio_connector.intake.faults import CommonFaults
from audio_connector.intake.items import TextItem
from audio_connector.intake.log_fields import fields_of, log
from audio_connector.playback.speech import Answered, Finished
from audio_connector.port.host import IoHost, NoProcess
from audio_connector.server.authentication import Authentication, Verifier
from audio_connector.server.call_attributes import at_opening
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.drain import Drain
from audio_connector.server.flight import Budget, check_folder
from audio_connector.server.line import Line
from audio_connector.server.registry import Connections
from audio_connector.server.session import STOPPED, Session
from audio_connector.server.sessions import Sessions
from audio_connector.server.tracing import Tracing
from audio_connector.validation.handlers import call_handler
from audio_connector.wire.one_by_one import OneByOne

logger = logging.getLogger("audio_connector.server")

IO_HOST = "audio_connector_io_host"
"""A loop that cannot wait for a thread, as one in virtual time, says by this attribute what takes its place."""


class Handle(Protocol):
    """What says whether it runs."""

    running: bool


class Running:
    """A server from the beginning of its start to the end of its stop, when ``closed`` is done, and its calls.

    It belongs to the loop that starts it; what may be called elsewhere says so. A call is here from its opening until
    its on_disconnect has run; ``connections`` are those that have not ended, ``live_sessions`` what they are part of.
    """

    def __init__(
        self,
        config: AudioConnectorServerConfig,
        connections: Connections,
        live_sessions: Sessions,
        closed: Future[None],
    ) -> None:
        self.handle: Handle | None = None
        self.stopping: asyncio.Task[None] | None = None
        """Its stop, once somebody has asked for it."""
        self.sessions: dict[int, Session] = {}
        self.lines: dict[int, Line] = {}
        self._session_of = self.sessions.get
        self._config = config
        self._connections = connections
        self._live_sessions = live_sessions
        self._closed = closed
        self._drain: Drain | None = None
        self._drained: asyncio.Task[bool] | None = None
        self._on_stop: asyncio.Task[None] | None = None
        self._budget = Budget(0 if config.flight_recorder is None else config.flight_recorder.min_interval_s)
        self._common_faults = CommonFaults()
        self._loop = asyncio.get_running_loop()
        self._ends = OneByOne(self._loop.call_later)
        pause_s = config.playback.pause_ms / 1000
        self._tracing = Tracing(pause_s) if config.monitoring.traces else None
        self.io = self._start_io(in_process=config.isolation == "process")
        decides = config.authenticate
        self._authentication: Authentication | None = None
        if decides is not None and not isinstance(decides, Verifier):
            self._authentication = Authentication(decides, self._post, self.io.clock)

    def _post(self, ask: tuple[int, asks.Ask]) -> None:
        self.io.post(ask)  # which may be another one by then, see `listen`

    def _start_io(self, *, in_process: bool) -> IoHost:
        make_io = getattr(self._loop, IO_HOST, None)
        if make_io is None and in_process:
            from audio_connector.server.io_process import IoProcess  # noqa: PLC0415 - msgspec and subprocess

            make_io = IoProcess
        elif make_io is None:
            from audio_connector.server.io_thread import IoThread  # noqa: PLC0415 - picows and uvloop take 50 ms

            make_io = IoThread
        io: IoHost = make_io(self._loop, self.deliver, self.note, self._config)
        if self._tracing is not None:
            io.on_block, self._tracing.clock = self._tracing.note_block, io.clock
        io.ended.add_done_callback(lambda _: self._on_io_ended())
        io.start()
        return io

    async def listen(self) -> int:
        """Open the listening socket; returns its port."""
        if self._config.flight_recorder is not None:
            check_folder(self._config.flight_recorder.folder)
        try:
            return (await self.io.listen())[1]
        except NoProcess as error:
            logger.warning(
                "the sockets run in a thread of this process, as with isolation='thread': %s", error
            )
            self.io = self._start_io(in_process=False)
            return (await self.io.listen())[1]

    # Its calls.

    def deliver(self, message: tuple[int, tells.Tell]) -> None:
        """Take what the I/O side tells, in the order of events."""
        link_id, tell = message
        session = self._session_of(link_id)
        if session is None:
            if type(tell) is tells.Opened:
                self._open(link_id, tell)
            elif type(tell) is tells.Asked and self._authentication is not None:
                self._authentication.take(link_id, tell)
        elif type(tell) is bytes or type(tell) is TextItem:  # the path of every incoming frame
            session.feed(tell)
        else:
            self._deliver_rest(link_id, session, tell)

    def _deliver_rest(self, link_id: int, session: Session, tell: tells.Tell) -> None:
        match tell:
            case tells.Settled():
                self.lines[link_id].settle(*tell)
                self._live_sessions._enter(link_id, session.connection)
                session.settle()
            case tells.Failed():
                session.feed_error(tell.error())
            case tells.Warned(text):
                session.log.say(logging.WARNING, "%s", text)
            case tells.Lost(resume_s):
                session.lose(resume_s)
            case tells.Resumed(upgrade):
                session.resume(upgrade)
            case tells.Release():
                session.release()
            case tells.Ended(how):
                if self._drain is not None:
                    self._drain.note_end(how)
                self._connections._live.pop(link_id, None)
                self._live_sessions._leave(link_id)
                session.end(how)

    def note(self, link_id: int, tell: tells.Tell | tells.Figures) -> None:
        """Tell at once who may wait for it, in whatever loop; in the thread of the I/O side."""
        line = self.lines.get(link_id)
        if line is None:
            if type(tell) is tells.Opened:
                self.lines[link_id] = self._new_line(link_id, tell.takeovers)
        elif type(tell) is tells.Figures:
            line.take(tell)
        elif type(tell) is Answered:
            line.answer(tell.token, tell.value)
        elif type(tell) is Finished:
            line.finish(tell.lane, tell.outcome)
        elif type(tell) is tells.Taped:
            line.taped(tell)
        elif type(tell) is tells.Ended:
            line.end(tell.how)

    def _open(self, link_id: int, opened: tells.Opened) -> None:
        # A number, because random bytes of the system for each call let go of the GIL.
        made_id = f"{self.io.id_prefix}{link_id:012x}"
        line, config = self.lines[link_id], self._config
        line.handed_at = line.clock()
        connection = AudioConnectorConnection(line, opened, config, made_id=made_id)
        line.fields = fields_of(connection.id, connection.session_id)
        self._connections._live[link_id] = connection
        self._live_sessions._enter(link_id, connection)
        if config.flight_recorder is not None:
            connection._keep_flight(config.flight_recorder, self._budget)
        if self._tracing is not None:
            line.trace = self._tracing.open(opened, at_opening(connection, self.io.worker))
            line.post(asks.Traced(line.trace.traceparent))
        session = self.sessions[link_id] = Session(
            connection, config, lambda: self._forget(link_id), ends=self._ends, worker=self.io.worker
        )
        if self._drain is not None:
            self._drain.add(session)

    def _new_line(self, link_id: int, takeovers: int) -> Line:
        def report(error: Exception) -> None:
            self._loop.call_soon_threadsafe(feed_error, error)

        def feed_error(error: Exception) -> None:
            if (session := self.sessions.get(link_id)) is not None:
                session.feed_error(error)
            else:
                line.meters.add("errors", 1.0, type(error).__name__)
                text = "connection %s: of a call that is over: %s"
                log(logger, logging.ERROR, text, line.fields["connection"], error, fields=line.fields)

        line = Line(
            link_id,
            self.io.post,
            max_buffer_s=self._config.playback.max_buffer_s,
            report=report,
            owes_work=self.io.owes_work,
            clock=self.io.clock,
            takeovers=takeovers,
            meters=self.io.meters,
            writes_in_place=self.io.is_virtual,
        )
        line.common_faults = self._common_faults
        return line

    def _forget(self, link_id: int) -> None:
        self.sessions.pop(link_id, None)
        self._connections._live.pop(link_id, None)
        if (line := self.lines.pop(link_id, None)) is not None:
            line.end(STOPPED)
        self._live_sessions._leave(link_id)

    # Its drain, and its stop.

    async def drain(self, timeout_s: float) -> bool:
        """Let every call come to its end, and stop, once for all who ask; from whatever loop.

        The earliest deadline holds. True where every call had ended by then.
        """
        if asyncio.get_running_loop() is not self._loop:
            return await self._drain_from_elsewhere(timeout_s)
        if self._drain is None or self._drained is None:
            self._drain = Drain(self.sessions, self._config.on_drain)
            self.io.refuse_calls()
            # A task of its own: who asks may be cancelled, a handler at its deadline above all.
            self._drained = self._loop.create_task(self._stop_after(self._drain))
        self._drain.end_by(self._loop.time() + timeout_s)
        if asyncio.current_task() in self._drain.tasks:  # on_drain, which must not wait for itself
            return False
        return await asyncio.shield(self._drained)

    async def _stop_after(self, drain: Drain) -> bool:
        ended = await drain.task
        await self.stop()
        return ended

    async def _drain_from_elsewhere(self, timeout_s: float) -> bool:
        if self._loop.is_running():
            drained = asyncio.run_coroutine_threadsafe(self.drain(timeout_s), self._loop)
            waiting = asyncio.wrap_future(drained)
            await asyncio.wait((waiting,), timeout=timeout_s + self._config.timeouts.stop_s + 1.0)
            if waiting.done():
                return waiting.result()
        await self.stop()
        return False

    async def stop(self) -> None:
        """Stop, once for all who ask, from whatever loop."""
        if asyncio.get_running_loop() is not self._loop:
            await self._stop_from_elsewhere()
            return
        stopping = self._begin_stop()
        if asyncio.current_task() is not self._on_stop:  # which may stop as well; it must not wait for itself
            # One in that task has ended the loop's run. Raised once more, it would end the cancelling of all tasks.
            with contextlib.suppress(KeyboardInterrupt):
                await asyncio.shield(stopping)

    def _begin_stop(self) -> asyncio.Task[None]:
        if self._drain is not None:
            self._drain.expire()
        if self.stopping is None:
            # A task of its own: a handler that awaits stop() is itself cancelled at the deadline.
            self.stopping = self._loop.create_task(self._stop())
        return self.stopping

    async def _stop_from_elsewhere(self) -> None:
        """Have the loop that started the server stop it; where that does not run, end the I/O side alone."""
        closed = asyncio.wrap_future(self._closed)
        with contextlib.suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(self._begin_stop)
        while not self._loop.is_closed():
            await asyncio.wait((closed,), timeout=self._config.timeouts.stop_s + 1.0)
            if closed.done():
                return
            if not self._loop.is_running():
                logger.warning(
                    "the event loop that started the server does not run, so its connections were ended without it; "
                    "on_disconnect and on_stop are called once it does"
                )
                break
        await self.end_io()
        self._set_closed()

    async def _stop(self) -> None:
        if self.handle is not None:
            self.handle.running = False
        self._ends.finish()  # all calls end now: none is left that others could hold up, and ``stop_s`` is short
        stop_s = self._config.timeouts.stop_s
        try:
            if not self.io.ended.done():
                await self.io.close_all(1001, STOPPED.reason, stop_s / 2)
            await self._finish(stop_s / 2)
            if self._authentication is not None:
                await self._authentication.close()
            await self.end_io()
            if self._config.on_stop is not None:
                self._on_stop = asyncio.create_task(call_handler(self._config.on_stop))
                await self._wait_for_on_stop(self._on_stop, stop_s)
        finally:
            self._common_faults.close()
            self.io.shut_down()  # where the stop was cut short
            self._set_closed()

    async def _finish(self, timeout_s: float) -> None:
        """Let the handlers come to their end; those that take longer are cancelled."""
        await self._wait(timeout_s * 2 / 3)
        if self.sessions:
            text = "%d connections still ran handlers at the stop; they are cancelled"
            logger.warning(text, len(self.sessions))
            for session in list(self.sessions.values()):
                session.hurry()
            await self._wait(timeout_s / 3)
        for session in list(self.sessions.values()):
            session.task.cancel()

    async def _wait(self, timeout_s: float) -> None:
        until = self._loop.time() + timeout_s
        await asyncio.sleep(0)  # what the I/O side said last is in the mailbox; let it be delivered
        while self.sessions and (left_s := until - self._loop.time()) > 0:
            await asyncio.wait([session.task for session in self.sessions.values()], timeout=left_s)

    async def _wait_for_on_stop(self, task: asyncio.Task[None], timeout_s: float) -> None:
        try:
            await asyncio.wait((task,), timeout=timeout_s)
        finally:
            is_late = task.cancel()
        if is_late:
            logger.error("on_stop still ran after %.3g s and was cancelled", timeout_s)
        elif task.cancelled():
            logger.error("on_stop was cancelled; the server has stopped all the same")
        elif (error := task.exception()) is not None:
            logger.error("on_stop failed; the server has stopped all the same", exc_info=error)

    async def end_io(self) -> None:
        """End the I/O side, and wait for that."""
        self.io.shut_down()
        await asyncio.shield(asyncio.wrap_future(self.io.ended))
        if not self.io.join(1.0):
            logger.error("the I/O thread did not end within 1 s")

    def _on_io_ended(self) -> None:
        """Where the application's loop is closed nobody else is left to say so, also to who waits in other loops."""
        if self._loop.is_closed():
            for line in list(self.lines.values()):
                line.end(STOPPED)
            self._set_closed()

    def _set_closed(self) -> None:
        with contextlib.suppress(InvalidStateError):  # it was said before
            self._closed.set_result(None)
