# SPDX-License-Identifier: Apache-2.0
"""Whether an engine keeps what the ports promise: run your own adapter through these.

::

    from audio_connector.testing.engines import check_synthesiser

    async def test_my_voice_keeps_the_contract():
        await check_synthesiser(MyVoice())

Each check calls the engine as an assistant does in a call: it is interrupted in the middle, cancelled, used twice at
once, and asked again. What it says and hears is compared with what it says and hears undisturbed. It raises a
`ContractBroken` that says what was expected; any other error is the engine's own. They take real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Final, TypeVar

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES, check_rate_hz
from audio_connector.engines.base.ports import (
    Answerer,
    Engine,
    Hearing,
    Message,
    Recogniser,
    Synthesiser,
    Transcript,
)

T = TypeVar("T")

LONG_TEXT: Final = (
    "One moment please, I am looking into your order, and I will tell you at once where it is. " * 3
)
SHORT_TEXT: Final = "Good morning."
QUESTION: Final = (Message("system", "Answer in a few words."), Message("user", "What is two and two?"))

STOP_S: Final = 1.0
"""So soon has an engine to let go: a caller who interrupts waits for no longer."""
WAIT_S: Final = 60.0
"""For anything else; a small machine may need most of it for a sentence."""
LAG_MS: Final = 200
"""Longest that the loop may be held up. A tenth of it is heard where audio passes the same loop; the rest is for a
busy machine."""
STEP_S: Final = 0.005
"""How often the loop is looked at."""
LIKE: Final = 0.6
"""How alike two renderings of the same are, at least: engines with chance in them vary by a third."""


class ContractBroken(AssertionError):
    """The engine does not what its port promises."""


@dataclass(frozen=True)
class Limits:
    """What is still right.

    Attributes:
        stop_s: Longest until an engine that is interrupted has let go, in seconds.
        wait_s: Longest for anything else, in seconds.
        lag_ms: Longest that the event loop may be held up, in milliseconds.
        like: How alike two renderings of the same are, 0 to 1.
    """

    stop_s: float = STOP_S
    wait_s: float = WAIT_S
    lag_ms: float = LAG_MS
    like: float = LIKE


async def check_synthesiser(
    engine: Synthesiser, *, texts: tuple[str, str] = (SHORT_TEXT, LONG_TEXT), limits: Limits | None = None
) -> None:
    """Check a `Synthesiser`, and close it.

    Args:
        engine: It.
        texts: A short text and one several times as long, in its language.
        limits: What is still right.

    Raises:
        ContractBroken: It breaks its promise.
    """
    limits = limits or Limits()
    short, long = texts

    async def say(text: str) -> int:
        pieces = [piece async for piece in engine.say(text)]
        _expect(
            all(type(piece) is bytes and piece for piece in pieces), "pieces that are bytes, and not empty"
        )
        _expect(all(len(piece) % SAMPLE_BYTES == 0 for piece in pieces), "whole 16-bit samples in each piece")
        _expect(bool(pieces), f"audio for {text!r}")
        return sum(map(len, pieces))

    async with _checked(engine, limits):
        check_rate_hz(engine.sample_rate)
        alone = (
            await _within(limits.wait_s, say(short), "a short text"),
            await _within(limits.wait_s, say(long), "a long text"),
        )
        _expect(alone[1] > alone[0], "more audio for a longer text")

        async def undisturbed() -> None:
            _like(
                await say(short), alone[0], limits, "a short text afterwards: the old one must not be in it"
            )

        await _interrupted(lambda: engine.say(long), undisturbed, limits)
        both = await _within(limits.wait_s, asyncio.gather(say(short), say(long)), "two texts at once")
        _like(both[0], alone[0], limits, "a short text beside a long one")
        _like(both[1], alone[1], limits, "a long text beside a short one")


async def check_answerer(
    engine: Answerer, *, messages: Sequence[Message] = QUESTION, limits: Limits | None = None
) -> None:
    """Check an `Answerer`, and close it.

    Args:
        engine: It.
        messages: Something that it can answer.
        limits: What is still right; ``like`` is not looked at, since answers differ.

    Raises:
        ContractBroken: It breaks its promise.
    """
    limits = limits or Limits()

    async def answer() -> None:
        pieces = [piece async for piece in engine.answer(messages)]
        _expect(all(type(piece) is str for piece in pieces), "pieces that are str")
        _expect(bool("".join(pieces).strip()), "an answer")

    async with _checked(engine, limits):
        await _within(limits.wait_s, answer(), "an answer")
        await _interrupted(lambda: engine.answer(messages), answer, limits)
        await _within(limits.wait_s, asyncio.gather(answer(), answer()), "two answers at once")


async def check_recogniser(
    engine: Recogniser,
    *,
    audio: bytes,
    other: bytes,
    sample_rate: int,
    language: str | None = None,
    pace: float = 1.0,
    limits: Limits | None = None,
) -> None:
    """Check a `Recogniser`, and close it.

    Args:
        engine: It.
        audio: An utterance of some seconds that it understands.
        other: Another one, with other words.
        sample_rate: Of both, in Hz.
        language: Of both, where it has to be told.
        pace: How fast they are said; 1 is real time, and 0 as fast as it goes.
        limits: What is still right.

    Raises:
        ContractBroken: It breaks its promise.
    """
    limits = limits or Limits()

    def hear() -> Hearing:
        return engine.hear(sample_rate=sample_rate, language=language)

    async def transcribe(pcm: bytes) -> str:
        return _final(
            await engine.transcribe(pcm, sample_rate=sample_rate, language=language), pcm, sample_rate
        )

    async with _checked(engine, limits):
        alone = [await _within(limits.wait_s, transcribe(pcm), "a transcript") for pcm in (audio, other)]
        _expect(_alike(*alone) < limits.like, f"two utterances with different words, not {alone}")
        said = await _within(limits.wait_s, _heard(hear(), audio, sample_rate, pace), "an utterance")
        _same(said, alone[0], limits, "piece by piece what it hears as a whole")
        await _abandoned(hear(), audio, sample_rate, pace, limits)
        both = await _within(
            limits.wait_s,
            asyncio.gather(*(_heard(hear(), pcm, sample_rate, pace) for pcm in (audio, other))),
            "two utterances at once",
        )
        for got, expected in zip(both, alone, strict=True):
            _same(got, expected, limits, "the same words beside another utterance")


async def _heard(hearing: Hearing, pcm: bytes, rate_hz: int, pace: float) -> str:
    """What is heard in an utterance that comes frame by frame."""
    partials: list[Transcript] = []

    async def read() -> None:
        partials.extend([partial async for partial in hearing.partials()])

    async with hearing:
        reader = asyncio.ensure_future(read())
        try:
            await _say(hearing, pcm, rate_hz, pace)
            final = await hearing.finish()
            await _within(STOP_S, reader, "the end of partials() after finish()")
        finally:
            reader.cancel()
        await _refused(hearing.finish(), "a second finish() to be refused")
        await _refused(hearing.write(bytes(SAMPLE_BYTES)), "a write() after finish() to be refused")
    _expect(not any(partial.is_final for partial in partials), "partials with is_final=False")
    texts = [partial.text for partial in partials]
    _expect(all(a != b for a, b in pairwise(texts)), f"partials that differ, not {texts}")
    return _final(final, pcm, rate_hz)


async def _say(hearing: Hearing, pcm: bytes, rate_hz: int, pace: float) -> None:
    frame_bytes = rate_hz * FRAME_MS // 1000 * SAMPLE_BYTES
    for start in range(0, len(pcm), frame_bytes):
        await _within(STOP_S, hearing.write(pcm[start : start + frame_bytes]), "write() to wait for nothing")
        await asyncio.sleep(pace * FRAME_MS / 1000)


async def _abandoned(hearing: Hearing, pcm: bytes, rate_hz: int, pace: float, limits: Limits) -> None:
    """Leave the block in the middle, while somebody reads partials."""

    async def read() -> None:
        async for _ in hearing.partials():
            pass

    async def leave() -> None:
        async with hearing:
            readers.append(asyncio.ensure_future(read()))
            await _say(hearing, pcm[: len(pcm) // 2 // SAMPLE_BYTES * SAMPLE_BYTES], rate_hz, pace)
            leaving.set()

    readers: list[asyncio.Future[None]] = []
    leaving = asyncio.Event()
    async with _nothing_left(limits):
        task = asyncio.ensure_future(leave())
        try:
            await _within(limits.wait_s, leaving.wait(), "half an utterance")
            await _within(limits.stop_s, task, "to leave the block of an utterance at once")
            await _within(limits.stop_s, readers[0], "the end of partials() when the utterance is abandoned")
        finally:
            for each in (task, *readers):
                each.cancel()


async def _interrupted(
    begin: Callable[[], AsyncIterator[Any]], undisturbed: Callable[[], Awaitable[None]], limits: Limits
) -> None:
    """Stop it before its first piece, after it, and by a cancellation; each time it works as before."""

    async def read(iterator: AsyncIterator[Any], count: int) -> None:
        pieces = _closable(iterator)
        try:
            while count and await anext(pieces, None) is not None:
                count -= 1
        finally:
            # In this task: what an iterator has begun in one, it may have to end in the same.
            closed_at = asyncio.get_running_loop().time()
            await pieces.aclose()
            took_s = asyncio.get_running_loop().time() - closed_at
            _expect(took_s <= limits.stop_s, f"aclose() within {limits.stop_s:g} s, not {took_s:.1f}")

    for count in (0, 1):
        async with _nothing_left(limits):
            await _within(limits.wait_s, read(begin(), count), f"{count} pieces, and to be closed")
        await _within(limits.wait_s, undisturbed(), "the next one after one that was closed")
    async with _nothing_left(limits):
        task = asyncio.ensure_future(read(begin(), -1))
        await asyncio.sleep(0.01)  # in the middle of whatever it does first
        task.cancel()
        await _within(limits.stop_s, asyncio.wait({task}), "to stop at once where its task is cancelled")
        if not task.cancelled():
            task.result()
    await _within(limits.wait_s, undisturbed(), "the next one after one that was cancelled")


@asynccontextmanager
async def _checked(engine: Engine, limits: Limits) -> AsyncIterator[None]:
    """Warm it up, watch the loop meanwhile, and close it; each twice."""
    async with _nothing_left(limits):
        await _within(limits.wait_s, engine.warm(), "warm()")
        await _within(limits.stop_s, engine.warm(), "warm() to do nothing the second time")
        lag = _Lag()
        try:
            yield
        finally:
            lag_ms = 1000 * lag.end()
            await engine.close()
            await _within(limits.stop_s, engine.close(), "close() to do nothing the second time")
        _expect(
            lag_ms <= limits.lag_ms,
            f"the event loop held up for {limits.lag_ms:g} ms at most, not {lag_ms:.0f}",
        )


class _Lag:
    """How late the loop comes at worst, from here to the end.

    By a timer, not a task: a task begins and ends in turn with what it watches, and misses what holds up the loop
    before its first step or after its last.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worst_s = 0.0
        self._arm()

    def end(self) -> float:
        self._timer.cancel()
        self._note()
        return self._worst_s

    def _arm(self) -> None:
        self._due_at = self._loop.time() + STEP_S
        self._timer = self._loop.call_at(self._due_at, self._come)

    def _come(self) -> None:
        self._note()
        self._arm()

    def _note(self) -> None:
        self._worst_s = max(self._worst_s, self._loop.time() - self._due_at)


@asynccontextmanager
async def _nothing_left(limits: Limits) -> AsyncIterator[None]:
    """No task that began in here is there a moment after."""
    before = asyncio.all_tasks()
    yield
    deadline = asyncio.get_running_loop().time() + limits.stop_s
    while left := asyncio.all_tasks() - before:
        if asyncio.get_running_loop().time() > deadline:
            raise ContractBroken(f"expected no task to be left, got {', '.join(sorted(map(repr, left)))}")
        await asyncio.sleep(0.005)


async def _closable(iterator: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The same with an ``aclose``, which closes it where it can be closed."""
    close = getattr(iterator, "aclose", None)
    _expect(close is not None, "an iterator with aclose(), as an async generator is")
    async with aclosing(iterator):  # type: ignore[type-var]  # it has one
        async for piece in iterator:
            yield piece


async def _within(seconds: float, awaitable: Awaitable[T], what: str) -> T:
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise ContractBroken(f"expected {what}, within {seconds:g} s") from None


async def _refused(awaitable: Awaitable[object], what: str) -> None:
    try:
        await awaitable
    except Exception:  # noqa: BLE001 - whatever it is called
        return
    raise ContractBroken(f"expected {what}")


def _final(got: Transcript, pcm: bytes, rate_hz: int) -> str:
    _expect(got.is_final, "a final transcript")
    _expect(bool(got.text.strip()), "words in a transcript of speech")
    audio_s = len(pcm) / SAMPLE_BYTES / rate_hz
    _expect(abs(got.audio_s - audio_s) < FRAME_MS / 1000, f"audio_s={audio_s:g}, not {got.audio_s:g}")
    return got.text


def _same(got: str, expected: str, limits: Limits, what: str) -> None:
    _expect(_alike(got, expected) >= limits.like, f"{what}: {expected!r}, not {got!r}")


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower().split(), other.lower().split()).ratio()


def _like(got: float, expected: float, limits: Limits, what: str) -> None:
    _expect(
        min(got, expected) >= limits.like * max(got, expected),
        f"{what} of about {expected:g} bytes, not {got:g}",
    )


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise ContractBroken(f"expected {what}")
