# SPDX-License-Identifier: Apache-2.0
"""Engines that do as they are told, for the test of an application in virtual time: no model, no thread, no network.

::

    voice, ears = ScriptedVoice(), ScriptedEars(["what are your opening hours?"])
    ...
    assert voice.said == ["We are open from nine to five."]

Each has the ports of `audio_connector.engines`. What they take is time of the loop: seconds of a test in virtual
time cost nothing. Each is used in one loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.ports import Message, Transcript, Vector, Word
from audio_connector.errors import UsageError

SAMPLE_BYTES: Final = 2
WORD_S: Final = 0.3
GAP_S: Final = 0.05
VOICE_RATE_HZ: Final = 16_000
PIECE_S: Final = 0.1
DIMENSIONS: Final = 256
BANDS: Final = 32


class _Ready:
    """What needs nothing is ready, and holds nothing."""

    def __init__(self) -> None:
        self.is_warm = self.is_closed = False

    async def warm(self) -> None:
        """Note that it was asked for."""
        self.is_warm = True

    async def close(self) -> None:
        """Note that it was asked for."""
        self.is_closed = True


def _check_list(name: str, texts: object) -> None:
    if isinstance(texts, str):  # whose letters would be taken one by one
        raise UsageError(f"got {texts!r} as {name}; expected a list of them, such as [{texts!r}]")


class ScriptedEars(_Ready):
    """A `Recogniser` that hears what it is told, whatever is said.

    Args:
        sentences: What each utterance is understood as, one after the other, after the last one nothing; or a
            function of the audio and its rate.
        takes_s: What a final takes, from the end of the utterance on.
        words_per_s: So many words of a sentence are in a partial for each second of audio.

    Raises:
        UsageError: One text in place of a list.

    Attributes:
        heard: Seconds of audio of each utterance that was finished.
    """

    def __init__(
        self,
        sentences: Iterable[str] | Callable[[bytes, int], str],
        *,
        takes_s: float = 0.0,
        words_per_s: float = 3.0,
    ) -> None:
        super().__init__()
        _check_list("sentences", sentences)
        self._script = sentences if callable(sentences) else iter(list(sentences))
        self.takes_s = takes_s
        self.words_per_s = words_per_s
        self.heard: list[float] = []

    def hear(self, *, sample_rate: int, language: str | None = None) -> ScriptedHearing:
        """Begin an utterance."""
        del language
        return ScriptedHearing(self, sample_rate)

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return the next sentence."""
        async with self.hear(sample_rate=sample_rate, language=language) as hearing:
            await hearing.write(audio)
            return await hearing.finish()

    def _understood(self, audio: bytes, sample_rate: int) -> str:
        return self._script(audio, sample_rate) if callable(self._script) else next(self._script, "")


class ScriptedHearing:
    """One utterance of `ScriptedEars`."""

    def __init__(self, ears: ScriptedEars, sample_rate: int) -> None:
        self._ears = ears
        self._rate_hz = sample_rate
        self._audio = bytearray()
        self._sentence: str | None = None
        self._grown = asyncio.Event()
        self._is_over = False

    async def write(self, audio: bytes) -> None:
        """Take more.

        Raises:
            EngineError: The utterance is over.
        """
        self._check()
        self._audio += audio
        self._grown.set()

    async def partials(self) -> AsyncIterator[Transcript]:
        """Iterate over the words so far: of a list the next sentence's, and of a function none."""
        told = 0
        while not self._is_over:
            if callable(self._ears._script):
                await self._wait()
                continue
            sentence = self._take()
            count = min(int(self._seconds * self._ears.words_per_s), len(sentence.split()))
            if count > told:
                told = count
                text = " ".join(sentence.split()[:count])
                yield Transcript(text, is_final=False, audio_s=self._seconds)
            else:
                await self._wait()

    async def finish(self) -> Transcript:
        """Return the sentence, and when its words were said, evenly over the audio.

        Raises:
            EngineError: The utterance is over.
        """
        self._check()
        self._end()
        await asyncio.sleep(self._ears.takes_s)
        sentence, seconds = self._take(), self._seconds
        self._ears.heard.append(seconds)
        words = sentence.split()
        each_s = seconds / max(1, len(words))
        told = tuple(Word(word, at * each_s, (at + 1) * each_s) for at, word in enumerate(words))
        return Transcript(sentence, language="en", words=told, audio_s=seconds)

    async def __aenter__(self) -> ScriptedHearing:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Abandon it."""
        self._end()

    @property
    def _seconds(self) -> float:
        return len(self._audio) / SAMPLE_BYTES / self._rate_hz

    def _take(self) -> str:
        if self._sentence is None:
            self._sentence = self._ears._understood(bytes(self._audio), self._rate_hz)
        return self._sentence

    def _check(self) -> None:
        if self._is_over:
            raise EngineError("got more of an utterance that is over; begin another one with hear()")

    def _end(self) -> None:
        self._is_over = True
        self._grown.set()

    async def _wait(self) -> None:
        self._grown.clear()
        await self._grown.wait()


class ScriptedVoice(_Ready):
    """A `Synthesiser` whose words are tones: each word has a pitch of its own, so that what is heard can be compared.

    Args:
        takes_s: What the first piece takes.

    Attributes:
        said: Every text that it was asked to say, in order.
    """

    sample_rate = VOICE_RATE_HZ

    def __init__(self, *, takes_s: float = 0.0) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.said: list[str] = []

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        """Iterate over the tones, in pieces of 100 ms."""
        del language
        self.said.append(text)
        await asyncio.sleep(self.takes_s)
        audio = self.audio_of(text)
        size = round(PIECE_S * self.sample_rate) * SAMPLE_BYTES
        for at in range(0, len(audio), size):
            yield audio[at : at + size]

    @classmethod
    def audio_of(cls, text: str) -> bytes:
        """Return what a text sounds like: 0.3 s and a gap of 50 ms for each word, at 16 kHz."""
        gap = bytes(round(GAP_S * cls.sample_rate) * SAMPLE_BYTES)
        times = np.arange(round(WORD_S * cls.sample_rate)) / cls.sample_rate
        edge = np.minimum(1.0, np.minimum(times, WORD_S - times) / 0.01)
        parts = []
        for word in text.split():
            hz = 200 + int.from_bytes(hashlib.sha256(word.lower().encode()).digest()[:2], "big") % 2000
            tone = 8000 * edge * np.sin(2 * np.pi * hz * times)
            parts.append(tone.astype("<i2").tobytes() + gap)
        return b"".join(parts)

    @classmethod
    def duration_s(cls, text: str) -> float:
        """Return how long a text takes to be said."""
        return len(text.split()) * (WORD_S + GAP_S)


class WordEmbedder(_Ready):
    """An `Embedder` for which two texts mean the same as far as they share words: four letters of each count."""

    STOP_WORDS: Final = frozenset(
        "a an and are at do does for i in is it me my of on or the to we what you your".split()  # noqa: SIM905
    )

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return a row of length 1 for each text; one without words is a row of its own."""
        rows = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = [word for word in re.findall(r"\w+", text.lower()) if word not in self.STOP_WORDS]
            for word in words or ["∅"]:
                row[int.from_bytes(hashlib.sha256(word[:4].encode()).digest()[:2], "big") % DIMENSIONS] += 1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        normalised: Vector = rows / norms if len(texts) else rows
        return normalised


class ScriptedAnswerer(_Ready):
    """An `Answerer` that answers as told, word by word.

    Args:
        answers: One after the other, after the last one its words again; or by words that the latest message has to
            have, in any case; or a function of the messages.
        takes_s: What the first word takes.

    Raises:
        UsageError: No answer, or one text in place of a list.

    Attributes:
        asked: What it was given, each time.
    """

    def __init__(
        self,
        answers: Sequence[str] | Mapping[str, str] | Callable[[Sequence[Message]], str],
        *,
        takes_s: float = 0.0,
    ) -> None:
        super().__init__()
        _check_list("answers", answers)
        if not answers:
            raise UsageError("got no answers; expected one at least")
        self._answers = answers
        self.takes_s = takes_s
        self.asked: list[list[Message]] = []

    async def answer(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        """Iterate over the words of the answer, the spaces with them."""
        self.asked.append(list(messages))
        await asyncio.sleep(self.takes_s)
        for number, word in enumerate(self._answer(messages).split(" ")):
            yield word if number == 0 else f" {word}"

    def _answer(self, messages: Sequence[Message]) -> str:
        answers = self._answers
        if isinstance(answers, Mapping):
            latest = messages[-1].text.lower()
            return next(
                (answer for words, answer in answers.items() if words.lower() in latest), "I do not know."
            )
        if callable(answers):
            return answers(messages)
        return answers[min(len(self.asked), len(answers)) - 1]


class SpectrumEncoder(_Ready):
    """A `SpeakerEncoder` that tells voices by their spectrum: tones of different pitch are different speakers."""

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        """Return how the energy is spread over bands up to 4 kHz."""
        samples = np.frombuffer(audio, "<i2").astype(np.float32)
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        edges = np.linspace(0, 4000, BANDS + 1) * len(samples) / sample_rate
        bands = [power[int(low) : max(int(low) + 1, int(high))].sum() for low, high in pairwise(edges)]
        vector = np.sqrt(np.array(bands, np.float32)) + 1e-6
        normalised: Vector = vector / np.linalg.norm(vector)
        return normalised
