# SPDX-License-Identifier: Apache-2.0
"""Notes for each session that comes; see `notes.session` for what is done in one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from audio_connector import AudioConnectorConnection, LiveSession
from audio_connector.engines import Engine, Recogniser
from audio_connector.live.following import Following, is_there, turns_of
from audio_connector.turns import TurnSettings
from notes.minutes import Summariser
from notes.recording import recorded, recorded_alone
from notes.session import Session

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
        self._following = Following(finish_s=FINISH_S)

    @property
    def engines(self) -> Sequence[Engine]:
        """What has to be ready before the first call."""
        return [self.recogniser, self.summariser]

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """A stream came: the first one of a session begins its notes, the others are part of it."""
        session = self._sessions().get(client.session_id or "")
        whose = session or client
        if whose in self._following:
            return
        turns = turns_of(client, session, settings=self._settings)
        record = (
            partial(recorded_alone, client)
            if session is None
            else partial(recorded, session.audio(mixed=True))
        )
        taken = Session(
            self, client.session_id or client.id, turns, partial(is_there, session=session), record
        )
        self.taken.append(taken)
        self._following.begin(whose, taken.run())

    async def settle(self) -> None:
        """Wait for the notes of sessions that are over, for a while."""
        await self._following.settle()

    async def close(self) -> None:
        """Finish the notes."""
        await self._following.close()
