# SPDX-License-Identifier: Apache-2.0
"""The calls of a server on the application's side: what the I/O side tells finds its way to whom it belongs."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from audio_connector.call import tells
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished
from audio_connector.port.host import IoHost
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.line import Line
from audio_connector.server.registry import Connections
from audio_connector.server.session import STOPPED, Session

logger = logging.getLogger("audio_connector.server")


class Calls:
    """Each from its opening until its on_disconnect has run; on the loop of the application but where it is said.

    ``make_io`` makes the I/O side, as `IoThread`. ``connections`` are those whose socket is open.
    """

    def __init__(
        self, config: AudioConnectorServerConfig, connections: Connections, make_io: Callable[..., IoHost]
    ) -> None:
        self.sessions: dict[int, Session] = {}
        self.lines: dict[int, Line] = {}
        self._session_of = self.sessions.get
        self._config = config
        self._connections = connections
        self._id_prefix = uuid.uuid4().hex[:24]  # here, so that each process has its own where servers fork
        self._loop = asyncio.get_running_loop()
        self.io = make_io(self._loop, self.deliver, self.note, config)

    def deliver(self, message: tuple[int, tells.Tell]) -> None:
        """Take what the I/O side tells, in the order of events."""
        link_id, tell = message
        session = self._session_of(link_id)
        if session is None:
            if type(tell) is tells.Opened:
                self._open(link_id, tell)
        elif type(tell) is bytes or type(tell) is TextItem:  # the path of every incoming frame
            session.feed(tell)
        elif type(tell) is tells.Settled:
            self.lines[link_id].settle(*tell)
        elif type(tell) is tells.Failed:
            session.feed_error(tell.error())
        elif type(tell) is tells.Warned:
            logger.warning("connection %s: %s", session.connection.id, tell.text)
        elif type(tell) is tells.Ended:
            self._connections._live.pop(link_id, None)
            session.end(tell.how)

    def note(self, link_id: int, tell: tells.Tell | tells.Figures) -> None:
        """Tell at once who may wait for it, in whatever loop; in the thread of the I/O side."""
        line = self.lines.get(link_id)
        if line is None:
            if type(tell) is tells.Opened:
                self.lines[link_id] = self._new_line(link_id)
        elif type(tell) is tells.Figures:
            line.figures = tell
            line.forget_closed()
        elif type(tell) is Answered:
            line.answer(tell.token, tell.value)
        elif type(tell) is Finished:
            line.finish(tell.lane, tell.outcome)
        elif type(tell) is tells.Ended:
            line.end(tell.how)

    def end_lines(self) -> None:
        """Tell whoever waits, in any loop, that it is over; from any thread."""
        for line in list(self.lines.values()):
            line.end(STOPPED)

    async def finish(self, timeout_s: float) -> None:
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

    def _open(self, link_id: int, opened: tells.Opened) -> None:
        # A number, because random bytes of the system for each call let go of the GIL.
        made_id = f"{self._id_prefix}{link_id:08x}"
        line, config = self.lines[link_id], self._config
        connection = AudioConnectorConnection(line, opened.upgrade, config, made_id=made_id)
        self._connections._live[link_id] = connection
        self.sessions[link_id] = Session(connection, config, lambda: self._forget(link_id))

    def _new_line(self, link_id: int) -> Line:
        def report(error: Exception) -> None:
            self._loop.call_soon_threadsafe(feed_error, error)

        def feed_error(error: Exception) -> None:
            if (session := self.sessions.get(link_id)) is not None:
                session.feed_error(error)

        io = self.io
        return Line(
            link_id,
            io.post,
            max_buffer_s=self._config.playback.max_buffer_s,
            report=report,
            owes_work=io.owes_work,
            clock=io.clock,
        )

    def _forget(self, link_id: int) -> None:
        self.sessions.pop(link_id, None)
        self._connections._live.pop(link_id, None)
        if (line := self.lines.pop(link_id, None)) is not None:
            line.end(STOPPED)
