# SPDX-License-Identifier: Apache-2.0
"""Sound out of words: phrases that are ready before anybody calls, and sentences that are made as they are needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import NamedTuple

from audio_connector.engines import Synthesiser


class Piece(NamedTuple):
    """Some audio, and the sentence that it is of."""

    sentence: str
    audio: bytes


class Voice:
    """A synthesiser that has some phrases ready.

    Args:
        synthesiser: What speaks.
        phrases: What is said often, by name.
    """

    name = "voice"

    def __init__(self, synthesiser: Synthesiser, phrases: Mapping[str, str]) -> None:
        self._synthesiser = synthesiser
        self._phrases = dict(phrases)
        self._ready: dict[str, list[bytes]] = {}

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of its audio."""
        return self._synthesiser.sample_rate

    def duration_ms(self, audio: bytes) -> float:
        """How long some audio of it is."""
        return len(audio) / 2 / self.sample_rate * 1000

    async def warm(self) -> None:
        """Load the synthesiser, and make the phrases."""
        await self._synthesiser.warm()
        for name, text in self._phrases.items():
            if name not in self._ready:
                self._ready[name] = [piece async for piece in self._synthesiser.say(text)]

    async def close(self) -> None:
        """Free it."""
        await self._synthesiser.close()

    async def phrase(self, name: str) -> AsyncGenerator[Piece, None]:
        """Iterate over the audio of a phrase."""
        await self.warm()
        for audio in self._ready[name]:
            yield Piece(self._phrases[name], audio)

    async def say(self, texts: AsyncGenerator[str, None]) -> AsyncGenerator[Piece, None]:
        """Iterate over the audio of sentences; the next one is asked for when the one before was taken."""
        async with aclosing(texts):
            async for text in texts:
                async with aclosing(self._synthesiser.say(text)) as pieces:  # type: ignore[type-var]  # it has one
                    async for audio in pieces:
                        yield Piece(text, audio)
