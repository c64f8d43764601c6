# SPDX-License-Identifier: Apache-2.0
"""Turns over the audio of a call: the driver of `TurnDetector`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeAlias

from audio_connector.errors import UsageError
from audio_connector.server.session_events import SessionAudio
from audio_connector.server.session_readers import SessionReader
from audio_connector.server.session_stream import SessionStream
from audio_connector.server.sessions import LiveSession
from audio_connector.turns.detector import DEFAULT_RATE_HZ, SpeechDetector, TurnDetector
from audio_connector.turns.events import SpeechPaused, TurnEvent
from audio_connector.turns.settings import TurnSettings

Judgement: TypeAlias = "float | bool"
"""How likely a turn is over, 0 to 1."""

EndOfTurn: TypeAlias = Callable[[SpeechPaused], "Judgement | Awaitable[Judgement]"]
"""Asked in each pause whether the turn is over; a coroutine may take its time, the utterance goes on meanwhile."""


GAP_S = 0.2
"""Without audio for so long, time goes on with silence (PROTOCOL 2.7, 2.8): more than a network holds up as a rule,
and no longer than the shortest pause that ends a turn."""


HOLE_S = 0.01
"""What is missing between two frames of a stream is a frame at least; less is the rounding of their times."""


BEHIND_S = 0.5
"""Audio of a stream that has left may be behind that of others by less: 0.2 s in which it is put in order, and 0.1 s
between two batches. That it has left is known at once, though what it said before may wait here to be read."""


class HasAudio(Protocol):
    """What has audio to listen to: `audio_connector.AudioConnectorConnection`."""

    def audio(self, *, sample_rate: int | None = None, gap_s: float | None = None) -> AsyncIterable[bytes]:
        """Iterate over its audio at a rate, and over silence where none has come for so long."""


def listen(
    source: HasAudio | AsyncIterable[bytes],
    *,
    detector: SpeechDetector | None = None,
    settings: TurnSettings | None = None,
    end_of_turn: EndOfTurn | None = None,
    sample_rate: int = DEFAULT_RATE_HZ,
    gap_s: float | None = GAP_S,
    start_s: float = 0.0,
) -> AsyncGenerator[TurnEvent, None]:
    """Iterate over what is said, until the call ends; what was being said then is ended with it.

    The audio is kept for it from this call on, not only from the first step of the iteration.

    Args:
        source: The client that ``on_connect`` was given; or any other audio, 16-bit mono PCM at ``sample_rate``.
        detector: What tells speech from the rest, one for each stream; an `EnergyDetector` where there is none.
        settings: When an utterance begins and ends.
        end_of_turn: Asked in each pause how likely the turn is over, so that a sure one ends earlier and an unsure
            one later (`TurnSettings.min_pause_ms`, ``max_pause_ms``). What it raises ends the iteration.
        sample_rate: Rate of the audio of the events in Hz; a call of another rate is converted.
        gap_s: Where no audio of a call has come for so long, it was silence, as in `AudioConnectorConnection.audio`:
            a muted stream ends an utterance too. None waits.
        start_s: What their clock shows at the first sample.

    Returns:
        An async iterator. Leave it early with ``aclose()``, as with any other.

    Raises:
        UsageError: There is no audio to listen to, or a value is out of range.
    """
    _check_judge(end_of_turn)
    turns = TurnDetector(detector, settings, sample_rate=sample_rate, start_s=start_s)
    is_ours = not isinstance(source, AsyncIterable)
    audio = source if isinstance(source, AsyncIterable) else _audio_of(source, sample_rate, gap_s)
    return _listen(turns, audio, end_of_turn, is_ours=is_ours)


def _audio_of(source: HasAudio, sample_rate: int, gap_s: float | None) -> AsyncIterable[bytes]:
    if isinstance(source, LiveSession) or not callable(getattr(source, "audio", None)):
        raise UsageError(
            f"got {type(source).__name__}; expected the client that on_connect was given, or an async iterable of "
            "16-bit PCM, such as client.audio(); listen_apart() takes a session"
        )
    return source.audio(sample_rate=sample_rate, gap_s=gap_s)


def _check_judge(end_of_turn: object) -> None:
    if end_of_turn is not None and not callable(end_of_turn):
        raise UsageError(f"got end_of_turn={end_of_turn!r}; expected a function of a SpeechPaused, or None")


async def _listen(
    turns: TurnDetector, audio: AsyncIterable[bytes], end_of_turn: EndOfTurn | None, *, is_ours: bool
) -> AsyncGenerator[TurnEvent, None]:
    judge = _Judge(turns, end_of_turn)
    try:
        async for frame in audio:
            for event in judge.feed(frame):
                yield event
        for event in turns.finish():
            yield event
    finally:
        try:
            await judge.close()
        finally:
            if is_ours and (close := getattr(audio, "aclose", None)) is not None:
                await close()  # or audio would be kept for somebody who has left


def listen_apart(
    session: LiveSession,
    *,
    make_detector: Callable[[SessionStream], SpeechDetector] | None = None,
    settings: TurnSettings | None = None,
    end_of_turn: Callable[[SessionStream, SpeechPaused], Judgement | Awaitable[Judgement]] | None = None,
) -> AsyncGenerator[tuple[SessionStream, TurnEvent], None]:
    """Iterate over what is said in a session, stream by stream, until it is over; all times are the session's.

    Args:
        session: One of ``handle.sessions``.
        make_detector: Makes what tells speech from the rest, for each stream, and again where audio of it was dropped
            because nobody read it; an `EnergyDetector` without it.
        settings: When an utterance begins and ends.
        end_of_turn: As in `listen`, with whose pause it is.

    Returns:
        An async iterator of streams and what they do. Leave it early with ``aclose()``.

    Raises:
        UsageError: It is no session, or ``end_of_turn`` cannot be called.
    """
    if not isinstance(session, LiveSession):
        raise UsageError(
            f"got {type(session).__name__}; expected a session, such as handle.sessions[client.session_id]; listen() "
            "takes a call"
        )
    _check_judge(end_of_turn)

    def begin(stream: SessionStream, start_s: float) -> _Judge:
        detector = None if make_detector is None else make_detector(stream)
        asked = None if end_of_turn is None else partial(end_of_turn, stream)
        return _Judge(TurnDetector(detector, settings, start_s=start_s), asked)

    return _listen_apart(session.audio(), begin)


async def _listen_apart(
    audio: SessionReader[SessionAudio], begin: Callable[[SessionStream, float], _Judge]
) -> AsyncGenerator[tuple[SessionStream, TurnEvent], None]:
    judges: dict[SessionStream, _Judge] = {}
    try:
        async for said in audio:
            if said.stream is None:  # cannot be: that is the mix
                continue
            for stream in [each for each, judge in judges.items() if _is_over(each, judge, said)]:
                for event in judges[stream].turns.finish():
                    yield stream, event
                await judges[stream].close()
                del judges[stream]
            judge = judges.get(said.stream)
            if judge is None:
                judge = judges[said.stream] = begin(said.stream, said.start_s)
            for event in judge.feed(said.audio):
                yield said.stream, event
        for stream, judge in judges.items():
            for event in judge.turns.finish():
                yield stream, event
    finally:
        try:
            for judge in judges.values():
                await judge.close()
        finally:
            await audio.aclose()


def _is_over(stream: SessionStream, judge: _Judge, said: SessionAudio) -> bool:
    """Whether nothing goes on with what was heard of a stream: it has left, or here is a hole."""
    if stream is said.stream:
        return said.start_s - judge.turns.fed_s > HOLE_S
    return stream.left_s is not None and said.start_s - stream.left_s > BEHIND_S


class _Judge:
    """A detector that asks ``end_of_turn``, one pause at a time: a later one makes what was asked before idle."""

    def __init__(self, turns: TurnDetector, end_of_turn: EndOfTurn | None) -> None:
        self.turns = turns
        self._end_of_turn = end_of_turn
        self._asked: tuple[SpeechPaused, asyncio.Future[Judgement]] | None = None
        self._idle: set[asyncio.Future[Judgement]] = set()

    def feed(self, frame: bytes) -> list[TurnEvent]:
        """Take more audio; returns what happens, as decided by now."""
        events = self._verdict()
        for event in self.turns.feed(frame):
            events.append(event)
            if isinstance(event, SpeechPaused):
                events += self._ask(event)
        return events

    def _ask(self, paused: SpeechPaused) -> list[TurnEvent]:
        """Ask about a pause; returns the end of the turn where that is said at once."""
        if self._end_of_turn is None:
            return []
        said: Any = self._end_of_turn(paused)
        if not isinstance(said, Awaitable):
            return self.turns.judge(paused, said)
        self._drop()
        self._asked = paused, asyncio.ensure_future(said)
        return []

    def _verdict(self) -> list[TurnEvent]:
        """Return the end of the turn where it was decided since."""
        if self._asked is None or not self._asked[1].done():
            return []
        (paused, answer), self._asked = self._asked, None
        return self.turns.judge(paused, answer.result())

    async def close(self) -> None:
        """Leave nothing behind."""
        self._drop()
        if self._idle:
            await asyncio.wait(self._idle)

    def _drop(self) -> None:
        if self._asked is not None:
            (_, answer), self._asked = self._asked, None
            self._idle.add(answer)
            answer.add_done_callback(self._forget)
            answer.cancel()

    def _forget(self, answer: asyncio.Future[Judgement]) -> None:
        self._idle.discard(answer)
        if not answer.cancelled():
            answer.exception()  # of a pause that is over: nobody waits for it
