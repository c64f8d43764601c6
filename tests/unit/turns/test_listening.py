# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.turns import Marks, audio_of

from audio_connector import AudioConnectorConnection, LiveSession, SessionStream, UsageError
from audio_connector.server import session_readers
from audio_connector.simulator import sample_speech
from audio_connector.testing import in_virtual_time, serve
from audio_connector.turns import (
    EndOfTurn,
    Silence,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
    TurnEvent,
    listen,
    listen_apart,
)
from audio_connector.turns.listening import GAP_S

FRAME_BYTES = 640


async def frames_of(pcm: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(pcm), FRAME_BYTES):
        yield pcm[at : at + FRAME_BYTES]
        await asyncio.sleep(0)


async def ends_of(pcm: bytes, end_of_turn: EndOfTurn | None = None) -> list[tuple[float, str]]:
    events = listen(frames_of(pcm), detector=Marks(), end_of_turn=end_of_turn)
    return [(round(event.at_s, 2), event.cause) async for event in events if isinstance(event, SpeechEnded)]


TWO = audio_of("#" * 10 + "." * 100 + "#" * 10)


async def test_without_a_hook_the_pause_decides_and_the_end_of_the_audio() -> None:
    assert await ends_of(TWO) == [(0.7, "pause"), (2.4, "end")]


async def test_a_hook_that_answers_at_once() -> None:
    asked: list[float] = []

    def is_over(paused: SpeechPaused) -> bool:
        asked.append(paused.at_s)
        return True

    assert await ends_of(TWO, is_over) == [(0.4, "pause"), (2.4, "end")]
    assert asked == [0.4]


async def test_a_hook_that_takes_its_time_while_the_utterance_goes_on() -> None:
    async def is_over(paused: SpeechPaused) -> float:
        for _ in range(5):
            await asyncio.sleep(0)
        return 1.0

    ((at_s, _), _) = await ends_of(TWO, is_over)
    assert 0.4 < at_s < 0.6


async def test_a_hook_that_is_unsure_waits_longer_than_the_usual_pause() -> None:
    async def is_over(paused: SpeechPaused) -> float:
        return 0.0

    assert (await ends_of(TWO, is_over))[0] == (1.7, "pause")


async def test_an_answer_that_never_comes_changes_nothing_and_is_left_behind() -> None:
    begun: list[SpeechPaused] = []
    cancelled: list[SpeechPaused] = []

    async def is_over(paused: SpeechPaused) -> float:
        begun.append(paused)
        try:
            return await asyncio.Event().wait()
        finally:
            cancelled.append(paused)

    pcm = audio_of("#" * 10 + "." * 12 + "#" * 10 + "." * 60)
    assert await ends_of(pcm, is_over) == [(1.14, "pause")]
    assert len(begun) == 2
    assert cancelled == begun
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_the_hook_raises_ends_the_iteration() -> None:
    def sync(paused: SpeechPaused) -> float:
        raise ZeroDivisionError

    async def later(paused: SpeechPaused) -> float:
        raise ZeroDivisionError

    for hook in (sync, later):
        with pytest.raises(ZeroDivisionError):
            await ends_of(TWO, hook)


async def test_leaving_early_leaves_nothing_behind() -> None:
    async def is_over(paused: SpeechPaused) -> float:
        return await asyncio.Event().wait()

    class Client:
        def audio(
            self, *, sample_rate: int | None = None, gap_s: float | None = None
        ) -> AsyncIterator[bytes]:
            assert (sample_rate, gap_s) == (16000, GAP_S)
            return frames_of(TWO)

    events = listen(Client(), detector=Marks(), end_of_turn=is_over)
    async for event in events:
        if isinstance(event, SpeechPaused):
            break
    await events.aclose()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_what_has_no_audio_is_refused() -> None:
    with pytest.raises(UsageError, match="got str; expected the client that on_connect was given"):
        listen("client")  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@in_virtual_time
async def test_a_call_is_listened_to_from_its_first_frame_to_its_end(rate_hz: int) -> None:
    told: list[TurnEvent] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        events = listen(client)
        await asyncio.sleep(1)  # what is said meanwhile is kept
        told.extend([event async for event in events])

    async with serve(on_connect) as server, server.call(rate_hz=rate_hz) as call:
        await call.say(sample_speech(rate_hz=rate_hz, pauses_s=[1.0]))
    starts = [event for event in told if isinstance(event, SpeechStarted)]
    ends = [event for event in told if isinstance(event, SpeechEnded)]
    assert [event.start_s for event in starts] == pytest.approx([0.28, 4.26], abs=0.1)
    assert [event.cause for event in ends] == ["pause", "end"]
    assert {event.sample_rate for event in ends} == {16000}


@in_virtual_time
async def test_a_session_is_listened_to_stream_by_stream_on_its_clock() -> None:
    told: list[tuple[str, TurnEvent]] = []
    tasks: list[asyncio.Task[None]] = []
    asked: list[str] = []

    def is_over(stream: SessionStream, paused: SpeechPaused) -> bool:
        asked.append(stream.id)
        return True

    async def listen_in(session: LiveSession) -> None:
        async for stream, event in listen_apart(
            session, make_detector=lambda _: Marks(), end_of_turn=is_over
        ):
            told.append((stream.id, event))

    async def on_connect(client: AudioConnectorConnection) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server:
        async with server.call(session_id="room", connection_id="ann") as ann:
            async with server.call(session_id="room", connection_id="bob") as bob:
                await ann.say(audio_of("#" * 50 + "." * 50))
                await bob.say(audio_of("#" * 25))  # and hangs up in the middle of a word
            await asyncio.sleep(1.0)
            assert [who for who, event in told if isinstance(event, SpeechEnded)] == ["ann", "bob"]
            await ann.say(audio_of("#" * 25))
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    spans = [(who, event) for who, event in told if isinstance(event, SpeechEnded)]
    assert [(who, event.cause) for who, event in spans] == [("ann", "pause"), ("bob", "end"), ("ann", "end")]
    assert [event.start_s for _, event in spans] == pytest.approx([0.0, 2.0, 3.5], abs=0.1)
    assert [event.end_s for _, event in spans] == pytest.approx([1.0, 2.5, 4.0], abs=0.1)
    assert spans[0][1].at_s == pytest.approx(1.2, abs=0.1)
    assert set(asked) == {"ann"}


@in_virtual_time
async def test_leaving_a_session_leaves_nothing_that_was_asked_of_a_stream_that_has_left() -> None:
    asked: list[asyncio.Task[object] | None] = []
    left: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def is_over(stream: SessionStream, paused: SpeechPaused) -> bool:
        asked.append(asyncio.current_task())
        return await asyncio.Event().wait()

    async def listen_in(session: LiveSession) -> None:
        events = listen_apart(session, make_detector=lambda _: Marks(), end_of_turn=is_over)
        async for stream, event in events:
            if isinstance(event, SpeechEnded) and event.cause == "end":
                left.append(stream.id)
                break
        await events.aclose()
        assert asked
        assert all(task is not None and task.done() for task in asked)

    async def on_connect(client: AudioConnectorConnection) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server, server.call(session_id="room", connection_id="ann") as ann:
        async with server.call(session_id="room", connection_id="bob") as bob:
            await bob.say(audio_of("#" * 25 + "." * 18))  # and hangs up in a pause
        await ann.say(audio_of("." * 50))
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert left == ["bob"]


@in_virtual_time
async def test_the_last_words_of_who_hangs_up_are_one_utterance_to_who_reads_late() -> None:
    told: list[tuple[str, TurnEvent]] = []
    tasks: list[asyncio.Task[None]] = []

    async def listen_in(session: LiveSession) -> None:
        async for stream, event in listen_apart(session, make_detector=lambda _: Marks()):
            if isinstance(event, SpeechStarted):
                await asyncio.sleep(4)  # something slow, in which all the rest is said
            if isinstance(event, SpeechStarted | SpeechEnded):
                told.append((stream.id, event))

    async def on_connect(client: AudioConnectorConnection) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server, server.call(session_id="room", connection_id="ann") as ann:
        async with server.call(session_id="room", connection_id="bob") as bob:
            await asyncio.gather(ann.say(audio_of("." * 150)), bob.say(audio_of("#" * 150)))
        await ann.say(audio_of("." * 100))
        await asyncio.sleep(3)
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [(who, type(event)) for who, event in told] == [("bob", SpeechStarted), ("bob", SpeechEnded)]
    assert isinstance(ended := told[-1][1], SpeechEnded)
    assert ended.speech_s == pytest.approx(3.0, abs=0.1)
    assert ended.cause == "end"


@in_virtual_time
async def test_times_are_those_of_the_session_also_where_nobody_read_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_readers, "MAX_WAITING", 50)
    told: list[TurnEvent] = []
    tasks: list[asyncio.Task[None]] = []

    async def listen_in(session: LiveSession) -> None:
        async for _, event in listen_apart(session, make_detector=lambda _: Marks()):
            if isinstance(event, SpeechStarted) and not told:
                await asyncio.sleep(5)  # something slow
            if isinstance(event, SpeechStarted | SpeechEnded):
                told.append(event)

    async def on_connect(client: AudioConnectorConnection) -> None:
        tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server:
        async with server.call(session_id="room") as call:
            await call.say(audio_of("#" * 400 + "." * 50 + "#" * 50 + "." * 50))
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [type(event) for event in told] == [SpeechStarted, SpeechEnded] * 3
    assert [event.start_s for event in told[::2]] == pytest.approx([0.0, 4.2, 9.0], abs=0.3)
    assert (told[-1].at_s, told[-1].start_s) == pytest.approx((10.5, 9.0), abs=0.3)


@in_virtual_time
async def test_where_no_audio_comes_an_utterance_ends_and_time_goes_on() -> None:
    told: list[TurnEvent] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        note = told.append
        async for event in listen(client, detector=Marks()):
            note(event)

    async with serve(on_connect) as server, server.call() as call:
        await call.say(audio_of("#" * 25))
        call.mute()
        await asyncio.sleep(3.0)
        ends = [event for event in told if isinstance(event, SpeechEnded)]
        assert [event.cause for event in ends] == ["pause"]
        call.unmute()
        await asyncio.sleep(0.1)
        await call.say(audio_of("#" * 25))
    ends = [event for event in told if isinstance(event, SpeechEnded)]
    assert [event.end_s for event in ends] == pytest.approx([0.5, 4.1], abs=0.15)
    assert len([event for event in told if isinstance(event, Silence)]) == 3


@in_virtual_time
async def test_what_waits_of_a_stream_that_has_left_stays_one_utterance() -> None:
    told: list[tuple[str, TurnEvent]] = []
    tasks: list[asyncio.Task[None]] = []

    async def listen_in(session: LiveSession) -> None:
        apart = listen_apart(session, make_detector=lambda _: Marks())
        await asyncio.sleep(6.0)  # what is said meanwhile is kept
        async for stream, event in apart:
            told.append((stream.id, event))

    async def on_connect(client: AudioConnectorConnection) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server:
        async with server.call(session_id="room", connection_id="ann"):
            async with server.call(session_id="room", connection_id="bob") as bob:
                await bob.say(audio_of("#" * 100))  # and leaves long before it is read
            await asyncio.sleep(8.0)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    ends = [(who, event) for who, event in told if isinstance(event, SpeechEnded)]
    assert [(who, event.cause) for who, event in ends] == [("bob", "end")]
    assert [event.end_s - event.start_s for _, event in ends] == pytest.approx([2.0], abs=0.1)


@in_virtual_time
async def test_what_was_dropped_unread_moves_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.server.session_readers.MAX_WAITING", 50)
    told: list[TurnEvent] = []
    tasks: list[asyncio.Task[None]] = []

    async def listen_in(session: LiveSession) -> None:
        async for _, event in listen_apart(session, make_detector=lambda _: Marks()):
            told.append(event)
            if isinstance(event, SpeechStarted) and len(told) == 1:
                await asyncio.sleep(4.0)  # much too long: a second is kept

    async def on_connect(client: AudioConnectorConnection) -> None:
        tasks.append(asyncio.create_task(listen_in(server.handle.sessions["room"])))

    async with serve(on_connect) as server:
        async with server.call(session_id="room") as call:
            await call.say(audio_of("#" * 50))
            await asyncio.sleep(5.0)
            await call.say(audio_of("#" * 50))
            await asyncio.sleep(1.0)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    ends = [event for event in told if isinstance(event, SpeechEnded)]
    assert [event.cause for event in ends] == ["end", "pause"]
    assert (ends[1].start_s, ends[1].end_s) == pytest.approx((6.0, 7.0), abs=0.1)


@in_virtual_time
async def test_a_session_is_no_call_and_a_call_no_session_and_a_number_judges_nothing() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        session: Any = server.handle.sessions[str(client.session_id)]
        call: Any = client
        number: Any = 0.5
        with pytest.raises(UsageError, match=r"got LiveSession.* listen_apart.. takes a session"):
            listen(session)
        with pytest.raises(UsageError, match=r"got AudioConnectorConnection.* listen.. takes a call"):
            listen_apart(call)
        with pytest.raises(UsageError, match=r"end_of_turn=.*expected a function"):
            listen(call, end_of_turn=number)
        with pytest.raises(UsageError, match=r"end_of_turn=.*expected a function"):
            listen_apart(session, end_of_turn=number)
        done.set()

    done = asyncio.Event()
    async with serve(on_connect) as server, server.call(session_id="a"):
        await done.wait()
