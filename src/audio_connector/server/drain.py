# SPDX-License-Identifier: Apache-2.0
"""Lets the calls of a server come to their end: nobody new, every sentence heard, then 1001.

Each call by itself is *told* (on_drain), *heard* (what was written so far, and every speech that is open until that
is over) and *closed* with 1001. All is under one deadline, which may be moved nearer; what is left then is for who
stops the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from audio_connector.server.session import STOPPED, Session
from audio_connector.validation.handlers import Handler, call_handler, takes
from audio_connector.wire.closing import ABNORMAL
from audio_connector.wire.messages import Disconnected

logger = logging.getLogger("audio_connector.server")

CANCEL_S = 1.0
"""For what is cancelled at the deadline."""


class Drain:
    """One drain, from its beginning on; on the loop of the server.

    ``sessions`` are those of the server. ``on_drain`` is called with each open connection, or once where it takes no
    argument.
    """

    def __init__(self, sessions: Mapping[int, Session], on_drain: Handler | None) -> None:
        self._sessions = sessions
        self._on_drain = on_drain
        self._is_for_each = on_drain is not None and takes(on_drain, 1)
        self._loop = asyncio.get_running_loop()
        self._expired: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._was_cut = False
        self.tasks: set[asyncio.Task[None]] = set()
        """On_drain, and what brings the calls to their end."""
        if on_drain is not None and not self._is_for_each:
            self._hold(self._loop.create_task(self._tell(self._note, on_drain)))
        for session in list(sessions.values()):
            self.add(session)
        self.task = self._loop.create_task(self._run())
        """Done when every call is over, then True, or at the deadline, then False."""

    def end_by(self, at: float) -> None:
        """Set the deadline, in seconds of the loop's time, or move it nearer; a later one changes nothing."""
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self.expire)

    def expire(self) -> None:
        """It is the deadline, or somebody does not wait for that."""
        if not self._expired.done():
            self._expired.set_result(None)

    def add(self, session: Session) -> None:
        """Have a call come to its end; also one whose upgrade was under way when the drain began."""
        self._hold(session.spawn(self._finish(session)))

    def note_end(self, how: Disconnected) -> None:
        """A call has ended: by its own end, or since the process of its socket has died."""
        self._was_cut |= how.closed_by == "server" and how.code == ABNORMAL

    async def _run(self) -> bool:
        try:
            while (self._sessions or self.tasks) and not self._expired.done():
                going_on = (*(session.task for session in self._sessions.values()), *self.tasks)
                # All of them, since a look at each of the others at every end is a millisecond with a thousand.
                all_over = self._loop.create_task(asyncio.wait(going_on))
                try:
                    await asyncio.wait((all_over, self._expired), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    all_over.cancel()
            if self._sessions:
                count = len(self._sessions)
                logger.warning("the drain ends, and cuts %d call%s short", count, "s" if count > 1 else "")
            return not self._sessions and not self._was_cut
        finally:
            self.expire()
            if self._timer is not None:
                self._timer.cancel()
            for task in self.tasks:
                task.cancel()
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=CANCEL_S)

    def _hold(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(self, session: Session) -> None:
        """Tell the application of a call, let it be heard to its end, and close it."""
        if self._on_drain is not None and self._is_for_each:
            await self._tell(session.faults.raised, self._on_drain, session.connection)
        await session.connection._wait_until_said()
        session.connection._line.close(1001, STOPPED.reason)

    async def _tell(self, note: Callable[..., None], on_drain: Handler, *arguments: object) -> None:
        try:
            await call_handler(on_drain, *arguments)
        except Exception as error:  # noqa: BLE001 - it is logged
            note("on_drain", on_drain, error, "the drain goes on")
        except asyncio.CancelledError as error:
            if self._expired.done():
                logger.warning("on_drain still ran at the end of the drain, and was cancelled")
                raise
            note("on_drain", on_drain, error, "the drain goes on")  # it awaited something cancelled

    @staticmethod
    def _note(name: str, _: Handler, error: BaseException, what_follows: str) -> None:
        logger.error("%s failed; %s", name, what_follows, exc_info=error)
