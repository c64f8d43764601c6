# SPDX-License-Identifier: Apache-2.0
"""Pausing what is said, as an application does it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.audio import numbered, numbers_of
from support.conversation import Conversation

from audio_connector.errors import UsageError
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server.speech import NOT_BEGUN
from audio_connector.testing.virtual_time import in_virtual_time, rest

PLAIN_CUT = {"fade_ms": 0}


def counting(first: int, count: int) -> bytes:
    return b"".join(numbered(number, 640) for number in range(first, first + count))


@in_virtual_time
async def test_a_false_alarm_costs_a_pause_and_nothing_else() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as speech:
            await speech.write(counting(1, 100))
        await asyncio.sleep(0.513)
        heard_ms = await speech.pause()
        assert heard_ms == speech.played_ms == call.client.playback.played_ms == 520.0
        assert speech.is_paused
        await asyncio.sleep(3.0)
        assert (speech.played_ms, speech.queued_ms) == (520.0, 1480.0)
        assert call.client.playback.in_flight_ms == 0.0
        await speech.resume()
        assert not speech.is_paused
        assert await speech.finished() == Played(2000.0)
        call.router.playout.advance(call.router.clock.now)
        assert call.router.report().played_frames == 100
        assert call.client.statistics().underruns == 0


@in_virtual_time
async def test_it_may_be_written_to_and_ended_meanwhile_and_who_waits_waits_on() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as speech:
            await speech.write(counting(1, 20))
            await asyncio.sleep(0.1)
            await speech.pause()
            await speech.write(counting(21, 20))
            played = asyncio.ensure_future(call.client.wait_until_played())
            await asyncio.sleep(5.0)
            assert not played.done()
        finished = asyncio.ensure_future(speech.finished())
        await call.client.send_audio_buffer(counting(41, 5))
        await asyncio.sleep(5.0)
        assert not finished.done()
        await speech.resume()
        assert await finished == Played(800.0)
        assert await played == Played(800.0)
        await call.client.wait_until_played()


@in_virtual_time
async def test_a_flush_cuts_a_paused_one_and_the_end_of_the_call_too() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as speech:
            await speech.write(counting(1, 50))
        await asyncio.sleep(0.5)
        heard_ms = await speech.pause()
        flushed = await call.client.flush_buffer()
        assert (flushed.played_ms, flushed.discarded_ms) == (heard_ms, 1000.0 - heard_ms)
        assert await speech.finished() == Interrupted(heard_ms, 1000.0 - heard_ms)
        assert not speech.is_paused
        await speech.resume()
        assert await speech.pause() == heard_ms, "of one that is over nothing changes"

        async with call.client.speech() as last:
            await last.write(counting(1, 50))
            await last.pause()
        began = call.now_s
        await call.client.close(timeout=3.0)
        assert call.now_s - began < 4.0, "its timeout holds"
        assert isinstance(await last.finished(), Interrupted)
        assert await last.pause() == last.played_ms


@in_virtual_time
async def test_harmless_ones() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        speech = call.client.speech()
        for ask in (speech.pause, speech.resume):
            with pytest.raises(UsageError, match=NOT_BEGUN.split(":")[0]):
                await ask()
        async with speech:
            await speech.resume()
            assert await speech.pause() == 0.0
            assert await speech.pause() == 0.0
            await speech.write(counting(1, 5))
            await speech.resume()
            await speech.resume()
        assert await speech.finished() == Played(100.0)


@in_virtual_time
async def test_a_pause_that_is_cancelled_has_paused_nothing_and_undoes_no_other() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as speech:
            await speech.write(counting(1, 50))
        await asyncio.sleep(0.1)
        pausing = asyncio.ensure_future(speech.pause())
        await asyncio.sleep(0)
        pausing.cancel()
        await rest()
        assert not speech.is_paused
        await asyncio.sleep(0.1)
        assert call.client.playback.in_flight_ms > 0

        await speech.pause()
        pausing = asyncio.ensure_future(speech.pause())
        await asyncio.sleep(0)
        pausing.cancel()
        await asyncio.sleep(2.0)
        assert speech.is_paused
        await speech.resume()
        assert await speech.finished() == Played(1000.0)


@in_virtual_time
async def test_of_two_at_once_one_that_is_cancelled_undoes_not_the_other() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as speech:
            await speech.write(counting(1, 50))
        await asyncio.sleep(0.1)
        first, second = (asyncio.ensure_future(speech.pause()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(2.0)
        assert speech.is_paused
        assert await second == speech.played_ms == 120.0

        await speech.resume()
        first, second = (asyncio.ensure_future(speech.pause()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await rest()
        assert not speech.is_paused, "neither has paused anything"

        first = asyncio.ensure_future(speech.pause())
        await asyncio.sleep(0)
        await speech.resume()
        second = asyncio.ensure_future(speech.pause())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(2.0)
        assert speech.is_paused, "the first was undone before"
        await second
        await speech.resume()
        assert await speech.finished() == Played(1000.0)


@in_virtual_time
async def test_one_whose_loop_is_closed_goes_on() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        client = call.client
        speech = client.speech()

        async def say() -> None:
            async with speech:
                await speech.write(counting(1, 50))
            client._line.paused[speech._number] = asyncio.get_running_loop()

        thread = threading.Thread(target=lambda: asyncio.run(say()))
        thread.start()
        thread.join()
        assert speech.is_paused
        await client.wait_until_played()
        assert not speech.is_paused
        assert numbers_of(call.router.frames) == list(range(1, 51))


@in_virtual_time
async def test_the_next_speech_waits_and_says_so() -> None:
    async with Conversation(playback=PLAIN_CUT) as call:
        async with call.client.speech() as one:
            await one.write(counting(1, 10))
        async with call.client.speech() as other:
            await other.write(counting(11, 10))
        await other.pause()
        assert await one.finished() == Played(200.0)
        await asyncio.sleep(3.0)
        assert other.played_ms == 0.0
        await other.resume()
        assert await other.finished() == Played(200.0)
        assert numbers_of(call.router.frames)[-10:] == list(range(11, 21))
