# SPDX-License-Identifier: Apache-2.0
"""A server: it starts and stops the I/O side, and gives each connection its session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from audio_connector.call import tells
from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished
from audio_connector.port.host import IoHost
from audio_connector.server.config import AudioConnectorServerConfig, config_from
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.line import Line
from audio_connector.server.registry import Connections
from audio_connector.server.session import Session
from audio_connector.validation.handlers import call_handler
from audio_connector.wire.addresses import why_not_bound
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.tls import check_context

logger = logging.getLogger("audio_connector.server")

IO_HOST = "audio_connector_io_host"
"""A loop that cannot wait for a thread, as one in virtual time, says by this attribute what takes its place."""


STOPPED = Disconnected(code=1001, reason="the server has stopped", closed_by="server")
"""How a connection ends that has not ended before the server does."""


class AudioConnectorServerHandle(BaseModel):
    """A running server.

    Attributes:
        host: The host of the configuration.
        port: The port that is listened on, also where the configuration said 0.
        running: True from the start until `stop`.
        secure: True where it speaks TLS.
    """

    model_config = ConfigDict(defer_build=True)

    host: str
    port: int
    running: bool = False
    secure: bool = False
    _server: AudioConnectorServer | None = PrivateAttr(default=None)

    @property
    def connections(self) -> Connections:
        """The live connections: by id, and ``by_session``."""
        return self._server.connections if self._server is not None else Connections()

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused so far: by HTTP status, "timeout" (no request came) or "tls"."""
        io = self._server._io if self._server is not None else None
        return {} if io is None else io.refusals()

    def get_address(self) -> str:
        """Return the address to dial: ``ws://host:port`` or ``wss://host:port``, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}"

    async def stop(self) -> None:
        """Stop listening, close every connection with 1001, and return when on_stop has run. Idempotent."""
        if self._server is not None:
            await self._server.stop()
        self.running = False

    async def wait_closed(self) -> None:
        """Wait until the server has stopped."""
        if self._server is not None:
            await self._server.wait_closed()


class AudioConnectorServer:
    """A WebSocket server for the Vonage media router.

    ``async with AudioConnectorServer(config) as server:`` starts it and stops it at the end of the block;
    ``server`` is an `AudioConnectorServerHandle`. Or call `start_server` and `stop`.

    Args:
        config: The configuration, or a mapping of its fields; None where `start_server` is given it.

    Raises:
        AudioConnectorConfigError: A value is wrong.
    """

    def __init__(self, config: AudioConnectorServerConfig | dict[str, Any] | None = None) -> None:
        self._config = None if config is None else config_from(config)
        self.connections = Connections()
        self._sessions: dict[int, Session] = {}
        self._lines: dict[int, Line] = {}
        self._handle: AudioConnectorServerHandle | None = None
        self._io: IoHost | None = None
        self._id_prefix = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._on_stop: asyncio.Task[None] | None = None
        self._all_over: asyncio.Event | None = None
        self._closed: Future[None] = Future()
        self._deliveries: dict[type, Callable[[int, Any], None]] = {
            tells.Opened: self._on_opened,
            tells.Settled: self._on_settled,
            tells.Failed: lambda link_id, tell: self._on_failed(link_id, tell.error()),
            tells.Warned: self._on_warned,
            tells.Ended: self._on_ended,
        }

    async def __aenter__(self) -> AudioConnectorServerHandle:
        if self._config is None:
            raise UsageError(
                "AudioConnectorServer() has no configuration; pass one, or call start_server(config)"
            )
        return await self.start_server(self._config)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start_server(
        self, config: AudioConnectorServerConfig | dict[str, Any]
    ) -> AudioConnectorServerHandle:
        """Start; returns when the socket listens and on_start has run.

        Handlers run on the loop that calls this.

        Raises:
            AudioConnectorConfigError: A value of the configuration is wrong.
            AudioConnectorStartServerError: The address cannot be bound, the certificate cannot be used, or
                on_start failed.
            UsageError: It was started before.
        """
        config = config_from(config)
        if self._io is not None:
            raise UsageError("this server was started before; make another AudioConnectorServer")
        self._config = config
        self._id_prefix = uuid.uuid4().hex[:24]  # here, so that each process has its own where servers fork
        self._loop = asyncio.get_running_loop()
        if config.ssl is not None:
            check_context(config.ssl)
        io = self._io = self._new_io(config)
        io.ended.add_done_callback(lambda _: self._on_io_ended())
        io.start()
        port = await self._listen(io, config)
        self._handle = AudioConnectorServerHandle(
            host=config.host, port=port, running=True, secure=config.ssl is not None
        )
        self._handle._server = self
        if config.on_start is not None:
            try:
                await call_handler(config.on_start)
            except BaseException as error:
                await self.stop()
                if isinstance(error, Exception):
                    raise AudioConnectorStartServerError(
                        f"on_start failed with {type(error).__name__}: {error}; the server was stopped again"
                    ) from error
                raise
        return self._handle

    async def _listen(self, io: IoHost, config: AudioConnectorServerConfig) -> int:
        try:
            _, port = await io.listen()
        except BaseException as error:
            if self._stopping is None:
                self._io = None
                await self._end_io(io)
                if isinstance(error, OSError | ssl.SSLError | UnicodeError | OverflowError):
                    raise AudioConnectorStartServerError(
                        why_not_bound(config.host, config.port, error)
                    ) from error
                raise
        if self._stopping is not None:
            await asyncio.shield(self._stopping)
            raise AudioConnectorStartServerError("the server was stopped while it started")
        return port

    async def stop(self) -> None:
        """Stop; see `AudioConnectorServerHandle.stop`."""
        if self._io is None or self._loop is None:
            return
        if asyncio.get_running_loop() is not self._loop:
            await self._stop_from_elsewhere(self._io, self._loop)
            return
        stopping = self._begin_stop()
        if asyncio.current_task() is not self._on_stop:  # which may stop as well; it must not wait for itself
            await asyncio.shield(stopping)

    async def wait_closed(self) -> None:
        """Wait until the server has stopped; from any loop."""
        await asyncio.shield(asyncio.wrap_future(self._closed))

    # Stopping.

    def _begin_stop(self) -> asyncio.Task[None]:
        if self._stopping is None:
            assert self._io is not None
            assert self._loop is not None
            # A task of its own: a handler that awaits stop() is itself cancelled at the deadline.
            self._stopping = self._loop.create_task(self._stop(self._io))
        return self._stopping

    async def _stop_from_elsewhere(self, io: IoHost, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop that started the server stop it; where that does not run, end the I/O side alone."""
        assert self._config is not None
        closed = asyncio.wrap_future(self._closed)
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(self._begin_stop)
        while not loop.is_closed():
            await asyncio.wait((closed,), timeout=self._config.timeouts.stop_s + 1.0)
            if closed.done():
                return
            if not loop.is_running():
                logger.warning(
                    "the event loop that started the server does not run, so its connections were ended without it; "
                    "on_disconnect and on_stop are called once it does"
                )
                break
        await self._end_io(io)
        self._set_closed()

    async def _stop(self, io: IoHost) -> None:
        try:
            await self._end_calls(io)
            await self._end_io(io)
            await self._run_on_stop()
        finally:
            io.shut_down()  # where the stop was cut short
            self._set_closed()

    async def _end_calls(self, io: IoHost) -> None:
        assert self._config is not None
        if self._handle is not None:
            self._handle.running = False
        stop_s = self._config.timeouts.stop_s
        if not io.ended.done():
            await io.close_all(1001, "the server has stopped", stop_s / 2)
        # What the I/O side said last is in the mailbox; let it be delivered.
        await self._wait_for_sessions(stop_s / 3)
        if self._sessions:
            logger.warning(
                "%d connections still ran handlers at the stop; they are cancelled", len(self._sessions)
            )
            for session in list(self._sessions.values()):
                session.hurry()
            await self._wait_for_sessions(stop_s / 6)
        for session in list(self._sessions.values()):
            session.task.cancel()

    async def _run_on_stop(self) -> None:
        assert self._config is not None
        if self._config.on_stop is None:
            return
        stop_s = self._config.timeouts.stop_s
        task = self._on_stop = asyncio.create_task(call_handler(self._config.on_stop))
        try:
            await asyncio.wait((task,), timeout=stop_s)
        finally:
            is_late = task.cancel()
        if is_late:
            logger.error("on_stop still ran after %.3g s and was cancelled", stop_s)
        elif task.cancelled():
            logger.error("on_stop was cancelled; the server has stopped all the same")
        elif (error := task.exception()) is not None:
            logger.error("on_stop failed; the server has stopped all the same", exc_info=error)

    def _on_io_ended(self) -> None:
        """Where the application's loop is closed nobody else is left to say so, also to who waits in other loops."""
        if self._loop is not None and self._loop.is_closed():
            for line in list(self._lines.values()):
                line.end(STOPPED)
            self._set_closed()

    def _set_closed(self) -> None:
        with contextlib.suppress(InvalidStateError):  # it was said before
            self._closed.set_result(None)

    async def _wait_for_sessions(self, timeout_s: float) -> None:
        self._all_over = asyncio.Event()
        await asyncio.sleep(0)
        if self._sessions:
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._all_over.wait(), timeout_s)

    async def _end_io(self, io: IoHost) -> None:
        io.shut_down()
        await asyncio.shield(asyncio.wrap_future(io.ended))
        if not io.join(1.0):
            logger.error("the I/O thread did not end within 1 s")

    # Messages of the I/O side, on the application's loop.

    def _new_io(self, config: AudioConnectorServerConfig) -> IoHost:
        assert self._loop is not None
        sessions, deliveries = self._sessions, self._deliveries

        def deliver(message: tuple[int, tells.Tell]) -> None:
            link_id, tell = message
            session = sessions.get(link_id)
            if session is None:
                if type(tell) is tells.Opened:
                    self._on_opened(link_id, tell)
            elif type(tell) is bytes or type(tell) is TextItem:  # the path of every incoming frame
                session.feed(tell)
            else:
                deliveries[type(tell)](link_id, tell)

        make: Callable[..., IoHost] | None = getattr(self._loop, IO_HOST, None)
        if make is None:
            from audio_connector.server.io_thread import IoThread  # noqa: PLC0415 - picows and uvloop take 50 ms

            make = IoThread
        return make(self._loop, deliver, self._note, config)

    def _note(self, link_id: int, tell: tells.Tell | tells.Figures) -> None:
        """Tell at once who may wait for it, in whatever loop; in the thread of the I/O side."""
        line = self._lines.get(link_id)
        if line is None:
            if type(tell) is tells.Opened:
                self._lines[link_id] = self._new_line(link_id)
        elif type(tell) is tells.Figures:
            line.figures = tell
            line.forget_closed()
        elif type(tell) is Answered:
            line.answer(tell.token, tell.value)
        elif type(tell) is Finished:
            line.finish(tell.lane, tell.outcome)
        elif type(tell) is tells.Ended:
            line.end(tell.how)

    def _new_line(self, link_id: int) -> Line:
        io, loop = self._io, self._loop
        assert io is not None
        assert loop is not None

        def report(error: Exception) -> None:
            loop.call_soon_threadsafe(self._on_failed, link_id, error)

        return Line(link_id, io.post, report=report, owes_work=io.owes_work, clock=io.clock)

    def _on_opened(self, link_id: int, opened: tells.Opened) -> None:
        assert self._config is not None
        # A number, because random bytes of the system for each call let go of the GIL.
        made_id = f"{self._id_prefix}{link_id:08x}"
        connection = AudioConnectorConnection(
            self._lines[link_id], opened.upgrade, self._config, made_id=made_id
        )
        self.connections._add(link_id, connection)
        self._sessions[link_id] = Session(
            connection,
            on_connect=self._config.on_connect,
            handler_s=self._config.timeouts.handler_s,
            on_over=lambda: self._forget(link_id),
        )

    def _on_settled(self, link_id: int, settled: tells.Settled) -> None:
        line = self._lines[link_id]
        line.format, line.first_message = settled.format, settled.first_message

    def _on_failed(self, link_id: int, error: Exception) -> None:
        session = self._sessions.get(link_id)
        if session is not None:
            session.feed_error(error)

    def _on_warned(self, link_id: int, warned: tells.Warned) -> None:
        logger.warning("connection %s: %s", self._sessions[link_id].connection.id, warned.text)

    def _on_ended(self, link_id: int, ended: tells.Ended) -> None:
        self.connections._remove(link_id)
        self._sessions[link_id].end(ended.how)

    def _forget(self, link_id: int) -> None:
        self._sessions.pop(link_id, None)
        line = self._lines.pop(link_id, None)
        if line is not None:
            line.end(STOPPED)
        self.connections._remove(link_id)
        if not self._sessions and self._all_over is not None:
            self._all_over.set()
