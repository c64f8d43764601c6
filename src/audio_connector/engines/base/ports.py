# SPDX-License-Identifier: Apache-2.0
"""What an application asks of a speech engine, whosever it is.

An engine is any object with these methods: none has to derive from anything here. All audio is 16-bit little-endian
mono PCM, and its rate in Hz stands beside it. An engine works off the event loop, in a thread, a process or over a
network; its awaits may be cancelled at any time, which frees the engine for the next caller as soon as it can be.

Each engine has ``async def warm()``, which loads what it needs and fails as it would on the first call, so that the
first caller does not pay for it; and ``async def close()``, after which it is not used again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Word:
    """One word of a transcript, and when it was said, in seconds from the beginning of the utterance's audio."""

    text: str
    start_s: float
    end_s: float
    probability: float | None = None


@dataclass(frozen=True)
class Transcript:
    """What was said in an utterance, so far (a partial) or in all (final).

    Args:
        text: As it would be written, with the engine's punctuation; empty where nothing was understood.
        is_final: False where more audio may change it.
        language: ISO 639-1, "en", where the engine tells it.
        words: Where the engine tells them.
        audio_s: How much audio it is of.
        details: What else the engine says of it.
    """

    text: str
    is_final: bool = True
    language: str | None = None
    words: tuple[Word, ...] = ()
    audio_s: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """What all of them have."""

    async def warm(self) -> None:
        """Load what it needs; idempotent. Raises `EngineMissing` where something is not there."""

    async def close(self) -> None:
        """Free what it holds; idempotent."""


@runtime_checkable
class Hearing(Protocol):
    """One utterance that is being recognised while it is said; made by `Recogniser.hear`.

    ``async with recogniser.hear() as hearing``: leaving the block before `finish` returned abandons it at once.
    """

    async def write(self, audio: bytes) -> None:
        """Take more of the utterance, at the rate that `Recogniser.hear` was given. Never waits for a decode."""

    def partials(self) -> AsyncIterator[Transcript]:
        """Iterate over what was understood so far, each newer than the one before, until `finish` is called."""

    async def finish(self) -> Transcript:
        """Return the final transcript: the utterance has ended. May be called once."""

    async def __aenter__(self) -> Hearing:
        """Begin."""

    async def __aexit__(self, *_: object) -> None:
        """Abandon it where it was not finished."""


@runtime_checkable
class Recogniser(Engine, Protocol):
    """Speech to text."""

    def hear(self, *, sample_rate: int, language: str | None = None) -> Hearing:
        """Begin an utterance whose audio comes piece by piece; partials while it is said."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return what was said in a whole utterance."""


@runtime_checkable
class Synthesiser(Engine, Protocol):
    """Text to speech."""

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the audio that `say` gives."""

    def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        """Iterate over the speech as it is made, the first piece as soon as can be. Closing the iterator stops it."""


@runtime_checkable
class Embedder(Engine, Protocol):
    """Meaning as vectors: texts that mean the same point the same way."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one row of length 1 per text; the product of two rows is how alike they are, -1 to 1."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as a chat model takes it."""

    role: Literal["system", "user", "assistant"]
    text: str


@runtime_checkable
class Answerer(Engine, Protocol):
    """What to say next."""

    def answer(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        """Iterate over the answer's text, piece by piece as it is made. Closing the iterator stops it."""


@runtime_checkable
class Translator(Engine, Protocol):
    """From one language to another; from the text, or from the audio where the engine hears better than it reads."""

    async def translate(
        self,
        text: str,
        *,
        source: str | None,
        target: str,
        audio: bytes | None = None,
        sample_rate: int | None = None,
    ) -> str:
        """Return the text in ``target`` (ISO 639-1). ``audio`` is the utterance, where the caller has it."""


@runtime_checkable
class SpeakerEncoder(Engine, Protocol):
    """Voices as vectors: audio of one speaker points the same way."""

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        """Return one vector of length 1 for a stretch of speech, a second or more of it for a result worth having."""


@runtime_checkable
class SpeechDetector(Protocol):
    """Whether a frame is speech; pure and quick (under a millisecond), so it is called in the loop.

    One instance serves one stream, since it remembers what came before.
    """

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the frames that it takes."""

    @property
    def frame_samples(self) -> int:
        """Samples of a frame that it takes."""

    def probability(self, frame: bytes) -> float:
        """Return how likely the frame is speech, 0 to 1; one without shades says 0 or 1."""

    def reset(self) -> None:
        """Forget what came before: another stream, or a gap."""
