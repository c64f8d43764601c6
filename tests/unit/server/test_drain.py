# SPDX-License-Identifier: Apache-2.0
"""A drain: nobody new, what was being said is heard, then 1001; whatever the application does, it ends in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import numbered
from support.call import Router
from support.conversation import Conversation, LoopClock

from audio_connector.errors import AudioConnectorConfigError, DialError, UsageError
from audio_connector.playback.speech import Played
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle
from audio_connector.server.speech import Speech
from audio_connector.testing.network import dial
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time

FRAME = numbered(1, 640)
CALLS = 100


def handle_of(call: Conversation) -> AudioConnectorServerHandle:
    handle = call.running.handle
    assert isinstance(handle, AudioConnectorServerHandle)
    return handle


def how_closed(call: Conversation) -> tuple[int, str] | None:
    closed = call.router.closed
    return None if closed is None else (closed.code, closed.reason)


STOPPED = (1001, "the server has stopped")


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_who_says_nothing_is_closed_at_once() -> None:
    async with Conversation() as call:
        begun = now()
        assert await handle_of(call).drain()
        assert now() - begun < 0.5
        assert how_closed(call) == STOPPED
        assert not handle_of(call).running
        assert await handle_of(call).drain(), "it has happened"


@in_virtual_time
async def test_a_sentence_that_is_still_being_written_is_heard_to_its_end() -> None:
    outcomes: list[object] = []

    async def reply(client: AudioConnectorConnection) -> None:
        async with client.speech() as speech:
            for _ in range(10):
                await speech.write(FRAME * 10)
                await asyncio.sleep(0.3)  # slower than it plays
        outcomes.append(await speech.finished())

    async with Conversation() as call:
        replying = asyncio.ensure_future(reply(call.client))
        await asyncio.sleep(1.0)
        assert await handle_of(call).drain()
        await replying
        assert outcomes == [Played(2000.0)]
        assert call.router.frames == [FRAME] * 100
        assert how_closed(call) == STOPPED


@in_virtual_time
async def test_a_plain_write_that_waits_for_room_is_heard_whole() -> None:
    async with Conversation(playback={"max_buffer_s": 1}) as call:
        writing = asyncio.ensure_future(call.client.send_audio_buffer(FRAME * 500))
        await asyncio.sleep(0.5)
        assert not writing.done()
        assert await handle_of(call).drain()
        assert call.router.frames == [FRAME] * 500
        await writing


@in_virtual_time
async def test_a_speech_that_was_begun_and_thinks_counts() -> None:
    async def think(client: AudioConnectorConnection) -> None:
        async with client.speech() as speech:
            await asyncio.sleep(3.0)
            await speech.write(FRAME * 20)

    async with Conversation() as call:
        thinking = asyncio.ensure_future(think(call.client))
        await rest()
        assert await handle_of(call).drain()
        assert call.router.frames == [FRAME] * 20
        await thinking


@in_virtual_time
async def test_another_speech_that_begins_before_the_last_one_is_over_counts() -> None:
    async def converse(client: AudioConnectorConnection) -> None:
        first = client.speech()
        async with first:
            await first.write(FRAME * 50)
        await asyncio.sleep(0.5)
        async with client.speech() as second:
            await second.write(FRAME * 50)

    async with Conversation() as call:
        conversing = asyncio.ensure_future(converse(call.client))
        await asyncio.sleep(0.2)
        assert await handle_of(call).drain()
        assert call.router.frames == [FRAME] * 100
        await conversing


@in_virtual_time
async def test_an_echo_does_not_keep_it() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=client.send_audio_buffer)

    async def speak(call: Conversation) -> None:
        while True:
            call.router_socket.send_audio(FRAME)
            await asyncio.sleep(0.02)

    async with Conversation(on_connect) as call:
        speaking = asyncio.ensure_future(speak(call))
        await asyncio.sleep(2.0)
        begun = now()
        assert await handle_of(call).drain()
        assert now() - begun < 1.0
        speaking.cancel()


@in_virtual_time
async def test_at_the_deadline_what_is_left_is_stopped() -> None:
    async def speak(client: AudioConnectorConnection) -> None:
        async with client.speech() as speech:
            while True:
                await speech.write(FRAME)

    async with Conversation() as call:
        speaking = asyncio.ensure_future(speak(call.client))
        begun = now()
        assert not await handle_of(call).drain(timeout=5)
        assert 5.0 <= now() - begun < 7.0
        assert how_closed(call) == STOPPED
        await speaking


@in_virtual_time
async def test_new_calls_get_503() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 100)
        draining = asyncio.ensure_future(handle_of(call).drain())
        await asyncio.sleep(0.5)
        with pytest.raises(DialError, match="503"):
            await dial(handle_of(call).get_address(), call.router)
        assert handle_of(call).refusals == {"503": 1}
        assert await draining


@pytest.mark.parametrize("takes", ["each", "once"])
@in_virtual_time
async def test_on_drain_may_say_goodbye(takes: str) -> None:
    told: list[object] = []
    clients: list[AudioConnectorConnection] = []

    async def each(client: AudioConnectorConnection) -> None:
        told.append(client)
        await client.send_audio_buffer(FRAME * 30)

    async def once() -> None:
        told.append(None)
        await clients[0].send_audio_buffer(FRAME * 30)

    server: dict[str, Any] = {"on_drain": each if takes == "each" else once}
    async with Conversation(clients.append, **server) as call:
        await call.client.send_audio_buffer(FRAME * 10)
        assert await handle_of(call).drain()
        assert call.router.frames == [FRAME] * 40
        assert told == [call.client if takes == "each" else None]


@in_virtual_time
async def test_on_drain_that_raises_or_never_returns_does_not_hold_it_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def raises(client: AudioConnectorConnection) -> None:
        raise LookupError("gone")

    async def hangs() -> None:
        await asyncio.sleep(1e6)

    async with Conversation(on_drain=raises) as call:  # type: ignore[arg-type]
        assert await handle_of(call).drain()
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "on_drain" in line
    assert "gone" in line
    caplog.clear()
    async with Conversation(on_drain=hangs) as call:  # type: ignore[arg-type]
        begun = now()
        assert await handle_of(call).drain(timeout=3), "the call had ended"
        assert 3.0 <= now() - begun < 5.0
    assert "on_drain still ran" in caplog.records[-1].getMessage()


@in_virtual_time
async def test_all_who_ask_share_one_and_the_earliest_deadline_holds() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 1000)
        begun = now()
        drains = [asyncio.ensure_future(handle_of(call).drain(timeout)) for timeout in (60, 3, 600)]
        drains[2].cancel()
        assert await drains[0] is False
        assert await drains[1] is False
        assert 3.0 <= now() - begun < 5.0


@in_virtual_time
async def test_whoever_gives_up_waiting_for_it_does_not_end_it() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 100)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle_of(call).drain(), 0.5)
        await handle_of(call).wait_closed()
        assert call.router.frames == [FRAME] * 100
        assert not handle_of(call).running


@in_virtual_time
async def test_a_handler_that_drains_is_no_deadlock() -> None:
    handles: list[AudioConnectorServerHandle] = []

    async def on_drain(client: AudioConnectorConnection) -> None:
        assert await handles[0].drain() is False, "it must not wait for itself"

    async def on_audio(frame: bytes) -> None:
        await handles[0].drain()

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=on_audio)

    async with Conversation(on_connect, on_drain=on_drain) as call:  # type: ignore[arg-type]
        handles.append(handle_of(call))
        await call.router_sends(FRAME)
        await asyncio.wait_for(handle_of(call).wait_closed(), 20)
        assert how_closed(call) == STOPPED


@in_virtual_time
async def test_on_drain_that_awaits_what_was_cancelled_does_not_hold_it_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_drain(client: AudioConnectorConnection) -> None:
        task = asyncio.ensure_future(asyncio.sleep(1e6))
        task.cancel()
        await task

    async with Conversation(on_drain=on_drain) as call:  # type: ignore[arg-type]
        begun = now()
        assert await handle_of(call).drain()
        assert now() - begun < 1.0
    assert any("on_drain" in record.getMessage() for record in caplog.records)


@in_virtual_time
async def test_the_end_of_one_call_costs_the_same_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[int] = []
    wait = asyncio.wait

    async def count(futures: Any, **options: Any) -> Any:
        waited.append(len(list(futures)))
        return await wait(futures, **options)

    config: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "limits": {"upgrades_per_second_per_address": None},
    }
    async with AudioConnectorServer(config) as handle:
        for _ in range(100):
            await dial(handle.get_address(), Router(LoopClock(asyncio.get_running_loop()), 16000))
        await rest()
        monkeypatch.setattr(asyncio, "wait", count)
        assert await handle.drain()
    assert sum(waited) < 100 * 10


@in_virtual_time
async def test_on_drain_comes_to_its_end_although_nobody_is_there() -> None:
    told: list[str] = []

    async def on_drain() -> None:
        told.append("begun")
        await asyncio.sleep(0.5)
        told.append("saved")

    async with AudioConnectorServer({"host": "localhost", "port": 0, "on_drain": on_drain}) as handle:
        assert await handle.drain()
    assert told == ["begun", "saved"]


@in_virtual_time
async def test_stop_in_the_middle_ends_it() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 1000)
        begun = now()
        draining = asyncio.ensure_future(handle_of(call).drain(60))
        await asyncio.sleep(1.0)
        await handle_of(call).stop()
        assert now() - begun < 3.5
        assert await draining is False


@in_virtual_time
async def test_before_the_start_and_after_the_end_there_is_nothing_to_drain() -> None:
    assert await AudioConnectorServer({"host": "localhost", "port": 0}).drain()
    async with AudioConnectorServer({"host": "localhost", "port": 0}) as handle:
        await handle.stop()
        assert await handle.drain()


@pytest.mark.parametrize("timeout", [-1, "5", None, float("nan")])
async def test_a_timeout_is_seconds(timeout: Any) -> None:
    with pytest.raises(UsageError, match="timeout"):
        await AudioConnectorServerHandle(host="", port=1).drain(timeout)


def test_on_drain_is_checked() -> None:
    for handler in (lambda: None, lambda client: None, lambda *clients: None, None):
        AudioConnectorServerConfig(host="", port=0, on_drain=handler)
    with pytest.raises(AudioConnectorConfigError, match="on_drain"):
        AudioConnectorServerConfig(host="", port=0, on_drain=lambda a, b: None)


PIECE = st.tuples(st.integers(0, 40), st.floats(0.0, 0.5))
SENTENCE = st.tuples(st.floats(0.0, 2.0), st.booleans(), st.lists(PIECE, min_size=1, max_size=5))


@given(sentences=st.lists(SENTENCE, max_size=6), drain_at=st.floats(0.0, 4.0))
@settings(max_examples=40, deadline=None)
def test_whatever_was_begun_before_is_heard_whole(
    sentences: list[tuple[float, bool, list[tuple[int, float]]]], drain_at: float
) -> None:
    """Speeches and plain writes that begin at any time, written at any pace."""
    begun: list[tuple[Speech, int]] = []

    async def say(client: AudioConnectorConnection, pieces: list[tuple[int, float]]) -> None:
        async with client.speech() as speech:
            begun.append((speech, sum(size for size, _ in pieces)))
            for size, pause_s in pieces:
                await speech.write(FRAME * size)
                await asyncio.sleep(pause_s)

    async def talk(call: Conversation) -> None:
        for delay_s, is_speech, pieces in sentences:
            await asyncio.sleep(delay_s)
            if is_speech:
                tasks.append(asyncio.ensure_future(say(call.client, pieces)))
            else:
                size = sum(size for size, _ in pieces)
                tasks.append(asyncio.ensure_future(call.client.send_audio_buffer(FRAME * size)))
                plain.append(size)
            await asyncio.sleep(0)

    tasks: list[asyncio.Future[Any]] = []
    plain: list[int] = []

    async def run() -> None:
        async with Conversation(playback={"max_buffer_s": 0.5}) as call:
            talking = asyncio.ensure_future(talk(call))
            await asyncio.sleep(drain_at)
            due = sum(plain)
            spoken = list(begun)
            assert await handle_of(call).drain(timeout=1000)
            talking.cancel()
            await asyncio.gather(talking, *tasks, return_exceptions=True)
            for speech, frames in spoken:
                assert await speech.finished() == Played(frames * 20.0)
            assert len(call.router.frames) >= due + sum(frames for _, frames in spoken)

    run_in_virtual_time(run())


@in_virtual_time
async def test_an_end_costs_no_look_at_all_other_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come one by one, so that each would be looked at as often as there are calls."""
    looked_at, wait = 0, asyncio.wait

    def counting_wait(tasks: Iterable[asyncio.Future[Any]], **options: Any) -> object:
        nonlocal looked_at
        looked_at += len(tasks := list(tasks))
        return wait(tasks, **options)

    config = AudioConnectorServerConfig(host="127.0.0.1", port=8765, on_connect=lambda _: None)
    async with AudioConnectorServer(config) as handle:
        for _ in range(CALLS):
            await dial("ws://127.0.0.1:8765", Router(LoopClock(asyncio.get_running_loop()), 16000))
        await rest()
        monkeypatch.setattr(asyncio, "wait", counting_wait)
        assert await handle.drain()
    assert looked_at < 10 * CALLS
