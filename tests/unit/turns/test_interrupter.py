# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest
from support.turns import Marks, going, started

from audio_connector import (
    AudioConnectorConnection,
    ConnectionClosed,
    Flushed,
    Interrupted,
    PlaybackState,
    Played,
)
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.turns import BargeIn, Decision, Interrupter, SpeechEnded, TurnEvent, listen


class FakeSpeech:
    def __init__(self, did: list[str], name: str = "") -> None:
        self.is_over = False
        self._did, self._name = did, name

    async def pause(self) -> float:
        self._did.append(f"pause{self._name}")
        return 10.0

    async def resume(self) -> None:
        self._did.append(f"resume{self._name}")


class FakeClient:
    def __init__(self, *, in_flight_ms: float = 0.0) -> None:
        self.did: list[str] = []
        self.playback = PlaybackState(queued_ms=0.0, in_flight_ms=in_flight_ms, played_ms=0.0, underruns=0)
        self.is_closed = False

    async def flush_buffer(self) -> Flushed:
        if self.is_closed:
            raise ConnectionClosed("gone", code=1000, reason="")
        self.did.append("flush")
        return Flushed(played_ms=500.0, discarded_ms=1500.0)


async def test_what_we_say_is_held_and_goes_on_where_it_was_nothing() -> None:
    client = FakeClient()
    interrupter = Interrupter(client)
    speech, over = FakeSpeech(client.did), FakeSpeech(client.did, " of what is over")
    interrupter.watch(over)
    over.is_over = True
    interrupter.watch(speech)
    assert await interrupter.take(started()) is Decision.PAUSE
    assert await interrupter.take(going(0.6, 0.5)) is Decision.RESUME
    assert client.did == ["pause", "resume"]
    speech.is_over = True
    assert not interrupter.is_speaking
    assert await interrupter.take(started()) is None


async def test_what_we_say_is_dropped_where_the_caller_interrupts_and_it_is_known_how_much_was_heard() -> (
    None
):
    client = FakeClient(in_flight_ms=200)
    interrupter = Interrupter(client)
    assert await interrupter.take(started()) is Decision.PAUSE  # there is nothing that could be held
    assert await interrupter.take(going(0.5)) is Decision.INTERRUPT
    assert client.did == ["flush"]
    assert interrupter.flushed == Flushed(played_ms=500.0, discarded_ms=1500.0)


async def test_who_is_cancelled_leaves_none_of_them_held() -> None:
    class Slow(FakeSpeech):
        async def resume(self) -> None:
            await super().resume()
            await asyncio.sleep(0)

    client = FakeClient()
    interrupter = Interrupter(client)
    for name in "abc":
        interrupter.watch(Slow(client.did, name))
    assert await interrupter.take(started()) is Decision.PAUSE
    taking = asyncio.create_task(interrupter.take(going(0.6, 0.5)))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert client.did == ["pausea", "pauseb", "pausec", "resumea", "resumeb", "resumec"]


async def test_words_are_counted_where_they_are_wanted() -> None:
    client = FakeClient(in_flight_ms=200)
    interrupter = Interrupter(client, BargeIn(min_words=2, min_speech_ms=0))
    await interrupter.take(started())
    assert await interrupter.heard("") is None
    assert await interrupter.heard(" No. ... ") is None
    assert await interrupter.heard("\u662f") is None, "yes"
    assert await interrupter.heard("\u7b49\u4e00\u4e0b") is Decision.INTERRUPT, (
        "wait a moment, without a blank"
    )


async def test_at_the_end_of_the_call_there_is_nothing_to_interrupt() -> None:
    client = FakeClient(in_flight_ms=200)
    interrupter = Interrupter(client, BargeIn(min_speech_ms=0))
    client.is_closed = True
    assert await interrupter.take(started()) is None


@in_virtual_time
async def test_a_real_call_is_interrupted_by_speech_and_not_by_a_click() -> None:
    decisions: list[tuple[float, Decision]] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        interrupter = Interrupter(client, BargeIn(pause_first=False))
        speaking = asyncio.create_task(_talk(client))
        async for event in listen(client, detector=Marks()):
            if (decision := await interrupter.take(event)) is not None:
                decisions.append((round(event.at_s, 2), decision))
            if isinstance(event, SpeechEnded):
                assert not interrupter.is_speaking
        await speaking

    async with serve(on_connect) as server, server.call() as call:
        await call.say(bytes(32000) + b"\1\1" * 640 + bytes(32000))  # 40 ms of it
        assert decisions == []
        await call.say(b"\1\1" * 16000 + bytes(32000))
    assert [decision for _, decision in decisions] == [Decision.INTERRUPT]


async def _talk(client: AudioConnectorConnection) -> None:
    async with client.speech() as speech:
        for _ in range(20):
            await speech.write(b"\0\x10" * 16000)
    await speech.finished()


@in_virtual_time
async def test_in_a_real_call_a_cough_holds_the_speech_and_nothing_of_it_is_lost() -> None:
    decisions: list[Decision] = []
    outcomes: list[Played | Interrupted] = []
    story = Audio.tone(440, 5.0)

    async def on_connect(client: AudioConnectorConnection) -> None:
        interrupter = Interrupter(client)

        async def tell() -> None:
            async with client.speech() as speech:
                interrupter.watch(speech)
                await speech.write(story.pcm)
            outcomes.append(await speech.finished())

        async def note(interrupter: Interrupter, event: TurnEvent) -> None:
            if (decision := await interrupter.take(event)) is not None:
                decisions.append(decision)

        telling = asyncio.create_task(tell())
        async for event in listen(client, detector=Marks()):
            await note(interrupter, event)
        await telling

    async with serve(on_connect) as server, server.call() as call:
        await call.say(bytes(2 * 16000) + b"\1\1" * 2400 + bytes(2 * 16000))  # 150 ms of it
        await asyncio.sleep(6.0)
    assert decisions == [Decision.PAUSE, Decision.RESUME]
    assert outcomes == [Played(played_ms=5000.0)]
