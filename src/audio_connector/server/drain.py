# SPDX-License-Identifier: Apache-2.0
"""Lets the calls of a server come to their end: nobody new, every sentence heard, then 1001.

Phases: upgrades get 503; each call by itself is *told* (on_drain), *heard* (what was written so far, and every speech
that is open until that is over) and *closed* with 1001. All is under one deadline, which may be moved nearer; what is
left then is for who stops the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from audio_connector.port.host import IoHost
from audio_connector.server.session import STOPPED, Session
from audio_connector.validation.handlers import Handler, call_handler, takes

logger = logging.getLogger("audio_connector.server")


class Drain:
    """One drain, from its beginning on; on the loop of the server.

    ``sessions`` are those of the server, ``io`` is its I/O side. ``on_drain`` is called with each open connection, or
    once where it takes no argument.
    """

    def __init__(self, sessions: Mapping[int, Session], io: IoHost, on_drain: Handler | None) -> None:
        self._sessions = sessions
        self._io = io
        self._loop = asyncio.get_running_loop()
        self._expired: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._is_for_each = on_drain is not None and takes(on_drain, 1)
        self._on_drain = on_drain
        self._known: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
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

    async def _run(self) -> bool:
        sessions = self._sessions
        try:
            if not self._io.ended.done():
                await self._io.refuse_calls()
            if self._on_drain is not None and not self._is_for_each:
                self._start(self._tell_once(self._on_drain))
            for session in list(sessions.values()):
                self.add(session)
            while sessions and not self._expired.done():
                over = [session.task for session in sessions.values()]
                await asyncio.wait((*over, self._expired), return_when=asyncio.FIRST_COMPLETED)
            return not sessions
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=1.0)

    def add(self, session: Session) -> None:
        """Have a call come to its end; also one whose upgrade was under way when the drain began."""
        if session not in self._known:
            self._known.add(session)
            self._start(self._finish(session))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, session: Session) -> None:
        """Tell the application of a call, let it be heard to its end, and close it."""
        if self._on_drain is not None and self._is_for_each:
            try:
                await call_handler(self._on_drain, session.connection)
            except Exception as error:  # noqa: BLE001 - it is logged
                session.faults.raised("on_drain", self._on_drain, error, "the call ends as it would have")
        await session.connection._wait_until_said()
        session.connection._line.close(1001, STOPPED.reason)

    async def _tell_once(self, on_drain: Handler) -> None:
        try:
            await call_handler(on_drain)
        except Exception as error:
            logger.error("on_drain failed; the calls end as they would have", exc_info=error)
