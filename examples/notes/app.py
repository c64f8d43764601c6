# SPDX-License-Identifier: Apache-2.0
"""Notes for each session that comes; see `notes.session` for what is done in one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from audio_connector import AudioConnectorConnection, LiveSession, SessionStream
from audio_connector.engines import Engine, Recogniser
from audio_connector.turns import TurnEvent, TurnSettings, listen, listen_apart
from notes.minutes import Summariser
from notes.recording import recorded, recorded_alone
from notes.session import Session, Turns

logger = logging.getLogger("notes")

FINISH_S: Final = 30.0
"""For what is still to be recognised, and the last minutes, when the program ends."""

KEPT: Final = 10
"""Sessions that are over and can still be asked for."""


class Page(Protocol):
    """Where it is shown: `audio_connector.live.LivePage`."""

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - as JSON holds it
        """Show something."""


class Notes:
    """The application.

    Args:
        recogniser: Hears the utterances.
        summariser: Makes minutes of them.
        sessions: Gives the sessions of the server, ``handle.sessions``.
        output: Folder for the files, one folder below it for each session.
        page: Where it is shown.
        language: Of what is said; None lets the recogniser guess.
        settings: When an utterance begins and ends.
        every_s: The minutes are made again at most that often while the session lasts.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        summariser: Summariser,
        *,
        sessions: Callable[[], Mapping[str, LiveSession]],
        output: Path,
        page: Page,
        language: str | None = "en",
        settings: TurnSettings | None = None,
        every_s: float = 1.0,
    ) -> None:
        self.recogniser, self.summariser = recogniser, summariser
        self.output, self.page = output, page
        self.language, self.every_s = language, every_s
        self.taken: deque[Session] = deque(maxlen=KEPT)
        self._settings = settings
        self._sessions = sessions
        self._running: dict[object, asyncio.Task[None]] = {}

    @property
    def engines(self) -> Sequence[Engine]:
        """What has to be ready before the first call."""
        return [self.recogniser, self.summariser]

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """A stream came: the first one of a session begins its notes, the others are part of it."""
        session = self._sessions().get(client.session_id or "")
        whose: object = session or client
        if whose in self._running:
            return
        if session is None:  # a router that names none, as that of the Voice API
            turns = _alone(client, listen(client, settings=self._settings))
            audio = partial(recorded_alone, client)
        else:
            turns = _together(listen_apart(session, settings=self._settings))
            audio = partial(recorded, session.audio(mixed=True))
        taken = Session(self, client.session_id or client.id, turns, audio)
        self.taken.append(taken)
        task = self._running[whose] = asyncio.create_task(taken.run())
        task.add_done_callback(partial(self._forget, whose))

    async def settle(self) -> None:
        """Wait for the notes of sessions that are over, for a while."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=FINISH_S)

    async def close(self) -> None:
        """Finish the notes."""
        await self.settle()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, whose: object, task: asyncio.Task[None]) -> None:
        self._running.pop(whose, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the notes of a session have ended", exc_info=error)


async def _together(turns: AsyncGenerator[tuple[SessionStream, TurnEvent], None]) -> Turns:
    async with aclosing(turns):
        async for stream, event in turns:
            yield stream.connection, event


async def _alone(client: AudioConnectorConnection, turns: AsyncGenerator[TurnEvent, None]) -> Turns:
    async with aclosing(turns):
        async for event in turns:
            yield client, event
