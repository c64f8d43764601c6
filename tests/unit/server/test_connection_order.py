# SPDX-License-Identifier: Apache-2.0
"""Any methods at once, cancelled at any of their awaits: every waiter resolves, and what follows is heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import numbered
from support.conversation import Conversation

from audio_connector.errors import ConnectionClosed, SpeechInterrupted, UsageError
from audio_connector.playback.speech import PLAIN, Interrupted, Played
from audio_connector.server.speech import Speech
from audio_connector.testing.virtual_time import rest, run_in_virtual_time

FRAME, MARK = numbered(1, 640), numbered(2, 640)
TEXT = '{"x":"' + "y" * 2000 + '"}'
LONG = 220
"""Frames: more than is handed over at once, twice."""

ENDINGS = (asyncio.CancelledError, ConnectionClosed, SpeechInterrupted, UsageError)


class Application:
    """Starts methods of one handle, each in a task of its own, and cancels them."""

    def __init__(self, call: Conversation) -> None:
        self.call = call
        self.tasks: list[asyncio.Task[Any]] = []
        self.open_speeches: list[Speech] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def send(self, size: int) -> None:
        self.start(self.call.client.send_audio_buffer(FRAME * size))

    def send_odd(self, size: int) -> None:
        self.start(self._forgiving(FRAME * size + b"\1"))

    def send_padded(self, size: int) -> None:
        self.start(self.call.client.send_audio_buffer(FRAME * size, pad_last_frame=True))

    def send_labelled(self, size: int) -> None:
        self.start(self._forgiving(FRAME * size, sample_rate=24000))

    def send_flushing(self, size: int) -> None:
        self.start(self._forgiving(FRAME * size, flush_buffer=True))

    def say(self, size: int) -> None:
        self.start(self._say(size))

    async def _say(self, size: int) -> None:
        async with self.call.client.speech() as speech:
            await speech.write(FRAME * size)
            await speech.write(FRAME)
        await speech.finished()

    def begin(self, _: int) -> None:
        self.start(self._begin())

    async def _begin(self) -> None:
        speech = self.call.client.speech()
        await speech.__aenter__()
        self.open_speeches.append(speech)
        await speech.finished()

    def say_more(self, size: int) -> None:
        if self.open_speeches:
            self.start(self.open_speeches[size % len(self.open_speeches)].write(FRAME * size))

    def end_speech(self, which: int) -> None:
        if self.open_speeches:
            speech = self.open_speeches[which % len(self.open_speeches)]
            self.start(speech.__aexit__(None, None, None))

    def flush(self, _: int) -> None:
        self.start(self.call.client.flush_buffer())

    def wait(self, _: int) -> None:
        self.start(self.call.client.wait_until_played())

    def text(self, size: int) -> None:
        for _ in range(size // 20 + 1):
            self.start(self.call.client.send_json_packet(TEXT))

    def cancel(self, which: int) -> None:
        """The latest but so many."""
        if which < len(self.tasks):
            self.tasks[-1 - which].cancel()

    async def _forgiving(self, pcm: bytes, **options: Any) -> None:
        """What follows half a sample of somebody else's may be refused, and is then no subject here."""
        with contextlib.suppress(ValueError):
            await self.call.client.send_audio_buffer(pcm, **options)

    async def outcomes(self) -> list[Any]:
        return await asyncio.gather(*self.tasks, return_exceptions=True)


METHODS = (
    "send", "send_odd", "send_padded", "send_labelled", "send_flushing", "say", "begin", "say_more", "end_speech",
    "flush", "wait", "text",
)  # fmt: skip

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(METHODS), st.sampled_from([0, 1, 10, 50, 120, 300])),
        st.tuples(st.just("cancel"), st.integers(0, 2)),
        st.tuples(st.just("rounds"), st.integers(1, 6)),
        st.tuples(st.just("seconds"), st.sampled_from([1, 20, 300])),
        st.tuples(st.sampled_from(["stop reading", "read"]), st.just(0)),
    ),
    max_size=20,
)


async def take(app: Application, what: str, number: int) -> None:
    if what == "rounds":
        for _ in range(number):
            await asyncio.sleep(0)
    elif what == "seconds":
        await asyncio.sleep(number / 100)
    elif what == "stop reading":
        app.call.router_socket.pause_reading()
    elif what == "read":
        app.call.router_socket.resume_reading()
    else:
        getattr(app, what)(number)


def nothing_is_left(call: Conversation) -> None:
    machine, line = call.link.call, call.client._line
    assert line._waits == {}
    assert line.speeches == {}
    assert machine._queue._writers == {}
    assert set(machine._queue._open) <= {PLAIN}
    assert not machine._texts.line
    assert not machine._texts.waiting
    assert line.handed_bytes == machine._queue.accepted_bytes
    for utterance in machine.schedule.utterances():
        assert [*utterance.line, *utterance.marks, *utterance.end_marks] == []


@settings(max_examples=100)
@given(steps=STEPS, rate_is_late=st.booleans())
def test_what_follows_is_heard_whatever_came_before(steps: list[tuple[str, int]], rate_is_late: bool) -> None:
    async def scene() -> None:
        rate_hz = None if rate_is_late else 16000
        async with Conversation(rate_hz=rate_hz, playback={"max_buffer_s": 0.5}, timeouts=PATIENT) as call:
            app = Application(call)
            for what, number in steps:
                await take(app, what, number)
            call.router_socket.resume_reading()
            await rest()
            for speech in app.open_speeches:
                await speech.__aexit__(None, None, None)
            await rest()
            async with call.client.speech() as last:
                await asyncio.wait_for(last.write(MARK * 50), 300)
            assert await asyncio.wait_for(last.finished(), 300) == Played(1000.0)
            assert isinstance(await asyncio.wait_for(call.client.wait_until_played(), 300), Played)
            for outcome in await asyncio.wait_for(app.outcomes(), 300):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, ENDINGS), outcome
            assert all(speech._outcome is not None for speech in app.open_speeches)
            assert call.router.frames[-50:] == [MARK] * 50
            assert call.router.frames.count(MARK) == 50
            nothing_is_left(call)

    run_in_virtual_time(scene())


PATIENT = {"stall_s": 3600.0, "ping_interval_s": None, "no_message_s": None}


@settings(max_examples=60)
@given(steps=STEPS, more=STEPS, how=st.sampled_from(["reset", "close", "disconnect", "abort"]))
def test_every_waiter_resolves_when_the_connection_ends_at_any_step(
    steps: list[tuple[str, int]], more: list[tuple[str, int]], how: str
) -> None:
    async def scene() -> None:
        async with Conversation(playback={"max_buffer_s": 0.5}, timeouts=PATIENT) as call:
            app = Application(call)
            for what, number in steps:
                await take(app, what, number)
            if how == "disconnect":
                call.client.disconnect()
            elif how == "abort":
                call.link.abort(1006, "gone")
            else:
                getattr(call.router_socket, how)()
            for what, number in more[:5]:
                await take(app, what, number)
            await asyncio.sleep(3.0)
            for outcome in await asyncio.wait_for(app.outcomes(), 60):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, ENDINGS), outcome
            assert call.client._line._waits == {}
            assert call.client._line.speeches == {}
            assert isinstance(await call.client.wait_until_played(), Interrupted)

    run_in_virtual_time(scene())


@pytest.mark.programs  # each with each at each await: half a minute
@pytest.mark.parametrize("first", METHODS)
def test_any_two_at_once_the_first_cancelled_at_each_of_its_awaits(first: str) -> None:
    async def scene(second: str, cancelled_after: int | None) -> None:
        async with Conversation(playback={"max_buffer_s": 0.2}) as call:
            app = Application(call)
            app.begin(0)
            await asyncio.sleep(0.01)
            getattr(app, first)(LONG)
            begun = app.tasks[-1]
            getattr(app, second)(LONG)
            if cancelled_after is not None:
                await take(app, "rounds", cancelled_after)
                begun.cancel()
            await rest()
            for speech in app.open_speeches:
                await asyncio.wait_for(speech.__aexit__(None, None, None), 60)
            async with call.client.speech() as last:
                await asyncio.wait_for(last.write(MARK * 5), 60)
            assert await asyncio.wait_for(last.finished(), 60) == Played(100.0)
            await asyncio.wait_for(app.outcomes(), 60)
            nothing_is_left(call)

    async def scenes() -> None:
        for second in METHODS:
            for cancelled_after in (None, 0, 1, 2, 3, 5):
                await scene(second, cancelled_after)

    run_in_virtual_time(scenes(), limit_s=1e6)
