# SPDX-License-Identifier: Apache-2.0
"""Captions for each session that comes; see `captions.session` for what is done in one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from audio_connector import AudioConnectorConnection, LiveSession
from audio_connector.engines import Engine, Recogniser, Synthesiser, Translator
from audio_connector.live.following import Following, is_there, turns_of
from audio_connector.turns import TurnSettings
from captions.session import Caption, Session

FINISH_S: Final = 10.0
"""For what is still to be understood when the program ends."""

KEPT: Final = 1000
"""Captions and delays kept for figures."""


class Page(Protocol):
    """Where it is shown: `audio_connector.live.LivePage`."""

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - as JSON holds it
        """Show something."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What can be set about captions; see settings.toml.

    Args:
        language: Of who does not say it by a header ``language``; ISO 639-1, None lets the recogniser guess.
        languages: What that header may say, since a recogniser fails on a language that it does not know; () for any.
        partial_languages: Those that the recogniser of partials understands; () for all.
        translate_to: What is translated into; None for nothing.
        pause_ms: A pause that ends an utterance.
        longest_s: An utterance is cut there.
    """

    language: str | None = "en"
    languages: Sequence[str] = ()
    partial_languages: Sequence[str] = ()
    translate_to: str | None = None
    pause_ms: float = 500
    longest_s: float = 12


class Captions:
    """The application.

    Args:
        finals: Hears whole utterances.
        sessions: Gives the sessions of the server, ``handle.sessions``.
        output: Folder for the files, one folder below it for each session.
        page: Where it is shown.
        partials: Hears what is being said; None has ``finals`` do that as well.
        translator: Translates; None for no translation.
        voice: Speaks translations into the session; None leaves them unspoken.
        wishes: The rest.
    """

    def __init__(
        self,
        finals: Recogniser,
        *,
        sessions: Callable[[], Mapping[str, LiveSession]],
        output: Path,
        page: Page,
        partials: Recogniser | None = None,
        translator: Translator | None = None,
        voice: Synthesiser | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        self.finals, self.partials, self.translator, self.voice = finals, partials, translator, voice
        self.output, self.page = output, page
        self.wishes = wishes or Wishes()
        self.captions: deque[Caption] = deque(maxlen=KEPT)
        self.delays_s: deque[float] = deque(maxlen=KEPT)
        self.folders: deque[Path] = deque(maxlen=KEPT)
        self._sessions = sessions
        self._following = Following(finish_s=FINISH_S)

    @property
    def engines(self) -> Sequence[Engine]:
        """What has to be ready before the first call."""
        return [
            each for each in (self.finals, self.partials, self.translator, self.voice) if each is not None
        ]

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """A stream came: the first one of a session begins its captions, the others are part of it."""
        session = self._sessions().get(client.session_id or "")
        whose = session or client
        if whose in self._following:
            return
        settings = TurnSettings(pause_ms=self.wishes.pause_ms, max_speech_s=self.wishes.longest_s)
        turns = turns_of(client, session, settings=settings)
        clock = _clock_from(time.monotonic()) if session is None else lambda: session.now_s
        captioned = Session(
            self, client.session_id or client.id, turns, partial(is_there, session=session), clock
        )
        self._following.begin(whose, captioned.run())

    async def settle(self) -> None:
        """Wait for the captions of sessions that are over, for a while."""
        await self._following.settle()

    async def close(self) -> None:
        """Finish what is being understood."""
        await self._following.close()


def _clock_from(zero: float) -> Callable[[], float]:
    return lambda: time.monotonic() - zero
