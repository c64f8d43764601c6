# SPDX-License-Identifier: Apache-2.0
"""What a caller that talks needs of engines: whatever has these methods will do, those of `engines` have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol


class Understood(Protocol):
    """What a recogniser returns."""

    @property
    def text(self) -> str: ...  # noqa: D102 - the words


class Recogniser(Protocol):
    """Speech to text."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Understood:
        """Return what was said in 16-bit mono PCM."""
        ...


class Synthesiser(Protocol):
    """Text to speech."""

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of what `say` gives."""
        ...

    def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        """Iterate over the speech, 16-bit mono PCM."""
        ...


class Voices(Protocol):
    """The voices that there are, by name."""

    async def named(self, name: str | None) -> tuple[str, Synthesiser]:
        """Return the full name of a voice, and what speaks with it, ready to speak.

        Args:
            name: As a file says it; None for the usual one.

        Raises:
            UsageError: There is none of that name.
        """
        ...


class Embedder(Protocol):
    """Meaning as vectors."""

    async def embed(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - an array; numpy's types cost an import
        """Return one row of length 1 per text."""
        ...


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as a chat model takes it."""

    role: Literal["system", "user", "assistant"]
    text: str


class Answerer(Protocol):
    """A chat model."""

    def answer(self, messages: Sequence[Any]) -> AsyncIterator[str]:
        """Iterate over the answer's text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What a router's callers speak and understand with; what a call does not need may be missing.

    Attributes:
        voices: Speak the texts.
        recogniser: Understands the bot.
        embedder: Judges by meaning; words are compared without one.
        answerer: The chat model that plays the personas that name one.
        cache: The folder that keeps what was spoken, so that another run says the same at once; None keeps nothing.
        language: Of all that is said, ISO 639-1, where the recogniser is to be told.
    """

    voices: Voices | None = None
    recogniser: Recogniser | None = None
    embedder: Embedder | None = None
    answerer: Answerer | None = None
    cache: Path | None = None
    language: str | None = None
