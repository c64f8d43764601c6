# SPDX-License-Identifier: Apache-2.0
"""Sound out of words: sentences that are ready before anybody calls, and others that are made as they are needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from audio_connector.engines import Synthesiser

MAX_OPENINGS: Final = 50
"""At 0.1 to 0.3 s each: what somebody who starts it may wait for, and 7 MB."""


class Piece(NamedTuple):
    """Some audio, and the sentence that it is of."""

    sentence: str
    audio: bytes


class Voice:
    """A synthesiser that has made some sentences before they are needed.

    Args:
        synthesiser: What speaks.
        phrases: What is said often, by name.
        openings: Sentences with which answers begin, the likely ones first.
    """

    name = "voice"

    def __init__(
        self, synthesiser: Synthesiser, phrases: Mapping[str, str], openings: Sequence[str] = ()
    ) -> None:
        self._synthesiser = synthesiser
        self._phrases = dict(phrases)
        self._ahead = dict.fromkeys([*phrases.values(), *openings[:MAX_OPENINGS]])
        self._ready: dict[str, list[bytes]] = {}

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of its audio."""
        return self._synthesiser.sample_rate

    def duration_ms(self, audio: bytes) -> float:
        """How long some audio of it is."""
        return len(audio) / 2 / self.sample_rate * 1000

    async def warm(self) -> None:
        """Load the synthesiser, and make the sentences."""
        await self._synthesiser.warm()
        for text in self._ahead:
            if text not in self._ready:
                self._ready[text] = [piece async for piece in self._synthesiser.say(text)]

    async def close(self) -> None:
        """Free it."""
        await self._synthesiser.close()

    async def phrase(self, name: str) -> AsyncGenerator[Piece, None]:
        """Iterate over the audio of a phrase."""
        async with aclosing(self._say(self._phrases[name])) as pieces:
            async for piece in pieces:
                yield piece

    async def say(self, texts: AsyncGenerator[str, None]) -> AsyncGenerator[Piece, None]:
        """Iterate over the audio of sentences; the next one is asked for when the one before was taken."""
        async with aclosing(texts):
            async for text in texts:
                async with aclosing(self._say(text)) as pieces:
                    async for piece in pieces:
                        yield piece

    async def _say(self, text: str) -> AsyncGenerator[Piece, None]:
        for audio in self._ready.get(text, ()):
            yield Piece(text, audio)
        if text not in self._ready:
            async with aclosing(self._synthesiser.say(text)) as pieces:  # type: ignore[type-var]  # it has one
                async for audio in pieces:
                    yield Piece(text, audio)
