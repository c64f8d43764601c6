# SPDX-License-Identifier: Apache-2.0
"""Who waits and is cancelled, closed or collected, however often: nothing is left, and nobody is kept out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.audio import counting_pcm, numbered
from support.conversation import Conversation
from support.serving import Listener, own_loop, serving, until

from audio_connector.errors import ConnectionClosed, SpeechInterrupted
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.testing.virtual_time import in_virtual_time, rest
from audio_connector.wire import picows
from audio_connector.wire.messages import Notified

FRAME, MARK = numbered(1, 640), numbered(2, 640)
LONG = FRAME * 300
TEXT = '{"x":"' + "y" * 60_000 + '"}'

Work = Callable[[AudioConnectorConnection], Coroutine[Any, Any, Any]]

WAITS: dict[str, Work] = {
    "send_audio_buffer": lambda client: client.send_audio_buffer(LONG),
    "send_audio_buffer, padded": lambda client: client.send_audio_buffer(LONG, pad_last_frame=True),
    "wait_until_played": lambda client: client.wait_until_played(),
    "send_json_packet": lambda client: client.send_json_packet(TEXT),
    "flush_buffer": lambda client: client.flush_buffer(),
    "close": lambda client: client._line.wait_closed(1e9),
}
EACH_WAIT = pytest.mark.parametrize("which", list(WAITS))


def places(call: Conversation) -> int:
    """Whoever waits, on both sides."""
    line, queue, texts = call.client._line, call.link.call._queue, call.link.call._texts
    utterances = call.link.call.schedule.utterances()
    marks = sum(len(u.line) + len(u.marks) + len(u.end_marks) for u in utterances)
    return len(line._waits) + len(line.speeches) + len(queue._writers) + len(texts.line) + marks


async def held(call: Conversation) -> None:
    """Audio, texts and an open speech wait, and the router reads nothing."""
    call.router_socket.pause_reading()
    await call.client.send_audio_buffer(FRAME * 60)
    for _ in range(4):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(call.client.send_json_packet(TEXT), 0.1)


@EACH_WAIT
@in_virtual_time
async def test_a_thousand_cancelled_calls_leave_nothing_behind(which: str) -> None:
    async with Conversation(playback={"max_buffer_s": 1}, timeouts={"stall_s": 3600}) as call:
        await held(call)
        async with call.client.speech():
            before = places(call)
            for number in range(1000):
                task = asyncio.ensure_future(WAITS[which](call.client))
                for _ in range(1 + number % 5):
                    await asyncio.sleep(0)
                task.cancel()
                if number % 100 == 0:
                    await rest()
            await rest()
            assert places(call) <= before
            assert len(call.link.call.schedule.utterances()) <= 6
        call.router_socket.resume_reading()
        async with call.client.speech() as speech:
            await speech.write(MARK * 10)
        assert await speech.finished() == Played(200.0)
        assert call.router.frames[-10:] == [MARK] * 10
        await call.client.send_json_packet('{"last":1}')
        await rest()
        assert call.router.texts[-1] == '{"last":1}'


@EACH_WAIT
@in_virtual_time
async def test_a_coroutine_that_is_collected_while_it_waits_keeps_nobody_out(which: str) -> None:
    async with Conversation(playback={"max_buffer_s": 1}, timeouts={"stall_s": 3600}) as call:
        await held(call)
        before = places(call)
        for _ in range(20):
            coroutine = WAITS[which](call.client)
            with contextlib.suppress(StopIteration):
                while coroutine.send(None) is None:  # past what only lets the loop run
                    pass
            await rest()
            coroutine.close()
        await rest()
        assert places(call) <= before
        call.router_socket.resume_reading()
        await call.client.wait_until_played()
        await call.client.send_audio_buffer(MARK * 10)
        await call.client.wait_until_played()
        assert call.router.frames[-10:] == [MARK] * 10


@in_virtual_time
async def test_a_speech_whose_task_is_collected_is_over_and_what_follows_is_heard() -> None:
    async def talk(call: Conversation) -> None:
        async with call.client.speech() as speech:
            await speech.write(MARK * 5)
            await asyncio.get_running_loop().create_future()

    async with Conversation() as call:
        coroutine = talk(call)
        while coroutine.send(None) is None:
            pass
        await rest()
        coroutine.close()
        del coroutine
        gc.collect()
        await call.client.send_audio_buffer(FRAME * 10)
        assert await call.client.wait_until_played() == Played(300.0)
        assert call.router.frames == [MARK] * 5 + [FRAME] * 10
        assert call.client._line.speeches == {}


@in_virtual_time
async def test_speeches_that_nobody_holds_are_forgotten_once_they_are_over() -> None:
    async with Conversation() as call:
        for number in range(50):
            call.client.speech()  # never begun
            async with call.client.speech() as speech:
                await speech.write(FRAME)
            if number % 7 == 0:
                await call.client.flush_buffer()
        await call.client.wait_until_played()
        assert places(call) == 0
        assert call.client._line.figures.speeches == ()


@in_virtual_time
async def test_a_late_write_to_a_speech_that_was_ended_begins_no_other() -> None:
    async with Conversation() as call:
        async with call.client.speech() as speech:
            await speech.write(FRAME)
            await call.client.flush_buffer()
        for _ in range(3):
            with pytest.raises(SpeechInterrupted):
                await speech.write(FRAME * 10)
        await call.client.send_audio_buffer(MARK)
        assert await call.client.wait_until_played() == Played(20.0)
        assert call.router.frames[-1] == MARK


# How far it is.


@in_virtual_time
async def test_nothing_is_interrupted_before_it_begins() -> None:
    async with Conversation() as call:
        speech = call.client.speech()
        assert not speech.is_interrupted
        await call.client.send_audio_buffer(FRAME * 100)
        await call.client.flush_buffer()
        assert not speech.is_interrupted
        async with speech:
            assert not speech.is_interrupted
            await speech.write(FRAME * 5)
        assert await speech.finished() == Played(100.0)
        assert not speech.is_interrupted


@pytest.mark.parametrize("behind_s", [0.0, 0.1, 0.5])
@in_virtual_time
async def test_played_never_goes_back(behind_s: float) -> None:
    async with Conversation(playback={"lead_ms": 2000}) as call:
        speech = call.client.speech()
        async with speech:
            await speech.write(FRAME * 300)
        await call.client.send_audio_buffer(FRAME * 100)
        best_speech_ms = best_ms = 0.0
        for number in range(90):
            await call.client.send_json_packet({"action": "notify", "payload": number})
            await asyncio.sleep(0.09)
            if number > 10 and number % 5 == 0:
                await asyncio.sleep(behind_s)
                await call.router_says(Notified(payload=number - 10))
            assert speech.played_ms >= best_speech_ms
            assert call.client.playback.played_ms >= best_ms
            best_speech_ms, best_ms = speech.played_ms, call.client.playback.played_ms
        await call.client.wait_until_played()
        outcome = await speech.finished()
        assert isinstance(outcome, Played)
        assert outcome.played_ms == 6000.0
        assert call.client.playback.played_ms == 8000.0


# The end of the connection, at each step.


def begin(client: AudioConnectorConnection) -> Coroutine[Any, Any, object]:
    async def talk() -> object:
        async with client.speech() as speech:
            await speech.write(LONG)
        return await speech.finished()

    return talk()


@pytest.mark.parametrize("which", ["finished", "wait_until_played"])
@pytest.mark.parametrize("rounds", range(10))
@pytest.mark.parametrize("how", ["reset", "close"])
@in_virtual_time
async def test_outcomes_come_when_the_connection_ends_at_any_step(which: str, rounds: int, how: str) -> None:
    async with Conversation(playback={"max_buffer_s": 5}) as call:
        if which == "finished":
            waiting = asyncio.ensure_future(begin(call.client))
        else:
            await call.client.send_audio_buffer(counting_pcm(64_000))
            waiting = asyncio.ensure_future(call.client.wait_until_played())
        for _ in range(rounds):
            await asyncio.sleep(0)
        getattr(call.router_socket, how)()
        try:
            outcome = await asyncio.wait_for(waiting, 10)
        except (ConnectionClosed, SpeechInterrupted):
            return
        assert isinstance(outcome, Interrupted)


# Loops and threads.


@contextlib.asynccontextmanager
async def real_call(**options: Any) -> Any:
    """A server in its thread, and a router that reads."""
    app, router = Listener(), FrameCounter()
    async with serving(app, **options) as handle:
        socket = await picows.dial(handle.get_address(), router)
        socket.send_text('{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}')
        heard = await app.call()
        yield heard.client, router
        socket.close()
        await app.ended()


class FrameCounter:
    """A router that only counts."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def on_audio(self, payload: bytes) -> None:
        self.frames.append(payload)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda *_: None
        raise AttributeError(name)


@pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning")
async def test_writers_whose_loop_was_closed_keep_nobody_out() -> None:
    async with real_call(playback={"max_buffer_s": 0.2}) as (client, router):
        await client.send_audio_buffer(FRAME * 20)
        left: list[asyncio.Task[Any]] = []

        def wait_and_close() -> None:
            loop = asyncio.new_event_loop()

            async def begin() -> None:
                left.extend(asyncio.ensure_future(client.send_audio_buffer(LONG)) for _ in range(3))
                left.append(asyncio.ensure_future(client.wait_until_played()))
                left.append(asyncio.ensure_future(client.flush_buffer()))
                left.pop().cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)

            loop.run_until_complete(begin())
            loop.close()

        thread = threading.Thread(target=wait_and_close)
        thread.start()
        await asyncio.to_thread(thread.join)
        async with client.speech() as speech:
            await asyncio.wait_for(speech.write(MARK * 10), 10)
        assert await asyncio.wait_for(speech.finished(), 10) == Played(200.0)
        await until(lambda: router.frames[-10:] == [MARK] * 10, "what follows")
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            assert coroutine is not None
            coroutine.close()
        await until(lambda: not client._line._waits, "nobody waits any more")


async def test_two_loops_at_once_write_whole_utterances() -> None:
    async with real_call(playback={"max_buffer_s": 0.5}) as (client, router):

        async def talk(frame: bytes) -> list[object]:
            speeches = []
            for _ in range(3):
                async with client.speech() as speech:
                    for _ in range(3):
                        await speech.write(frame * 5)
                speeches.append(speech)
            return [await speech.finished() for speech in speeches]

        with own_loop() as loop:
            other = asyncio.run_coroutine_threadsafe(talk(MARK), loop)
            mine = await asyncio.wait_for(talk(FRAME), 20)
            theirs = await asyncio.wait_for(asyncio.wrap_future(other), 20)
        assert mine == theirs == [Played(300.0)] * 3
        runs = [frame for at, frame in enumerate(router.frames) if at % 15 == 0]
        assert router.frames == [frame for frame in runs for _ in range(15)]
