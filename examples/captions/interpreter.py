# SPDX-License-Identifier: Apache-2.0
"""Speaks translations into a session, one after the other, and knows its own words where they come back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from difflib import SequenceMatcher
from typing import Any, Final

from audio_connector import AudioConnectorConnection, ConnectionClosed, VideoError
from audio_connector.engines import Synthesiser
from audio_connector.engines.base.deadline import within

logger = logging.getLogger("captions")

MAX_WAITING: Final = 3
"""Translations that wait to be said. Who interprets is behind already; the oldest is what matters least by then."""

ECHO_S: Final = 20.0
"""How long after it was asked for a sentence may come back as somebody's speech: it waits, is said, and is heard."""

LONGEST_S: Final = 60.0
"""For one translation, from the voice's first sound until it was heard."""

ALIKE: Final = 0.6
"""Of the words; a recogniser has two or three of ten wrong in a voice that comes back over a line."""


class Interpreter:
    """One session's.

    Args:
        voice: Speaks.
        language: Of what is said, ISO 639-1.
        clock: Seconds.
    """

    def __init__(self, voice: Synthesiser, language: str, clock: Callable[[], float]) -> None:
        self._voice = voice
        self._language = language
        self._clock = clock
        self._waiting: deque[tuple[str, Sequence[AudioConnectorConnection]]] = deque(maxlen=MAX_WAITING)
        self._said: deque[tuple[float, list[str]]] = deque(maxlen=10)
        self._has_some = asyncio.Event()

    def say(self, text: str, into: Sequence[AudioConnectorConnection]) -> None:
        """Have a text said when what is being said has been: into the first of these that is still there.

        What is sent over one connection is heard by the whole session, so that it is said once.
        """
        if len(self._waiting) == MAX_WAITING:
            logger.warning(
                "an interpreter is more than %d sentences behind; the oldest is left out", MAX_WAITING
            )
        self._waiting.append((text, into))
        self._has_some.set()

    def is_own(self, text: str) -> bool:
        """Whether this is what was said here a moment ago: some sessions send a connector its own voice back."""
        words = _folded(text)
        return any(
            self._clock() - at_s < ECHO_S and SequenceMatcher(None, words, said).ratio() >= ALIKE
            for at_s, said in self._said
        )

    async def run(self) -> None:
        """Speak until it is cancelled."""
        while True:
            await self._has_some.wait()
            while self._waiting:
                text, into = self._waiting.popleft()
                try:
                    await within(LONGEST_S, self._speak(text, into))
                except VideoError as error:  # the voice; the next sentence may do
                    logger.warning("a translation is not said: %s", error)
                except Exception:  # of a voice of one's own
                    logger.exception("a translation is not said")
            self._has_some.clear()

    async def _speak(self, text: str, into: Sequence[AudioConnectorConnection]) -> None:
        self._said.append((self._clock(), _folded(text)))
        for client in into:
            pieces: Any = self._voice.say(text, language=self._language)
            try:
                async with aclosing(pieces), client.speech() as speech:
                    async for piece in pieces:
                        await speech.write(piece, sample_rate=self._voice.sample_rate)
                await speech.finished()
            except ConnectionClosed:  # who spoke has left; the others are to hear it
                continue
            return


def _folded(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
