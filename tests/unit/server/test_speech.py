# SPDX-License-Identifier: Apache-2.0
"""Utterances as the application says them, follows them, and hears that they were cut."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, numbered, numbers_of, padded, real_speech
from support.conversation import Conversation

from audio_connector.errors import AudioDataError, ConnectionClosed, SpeechInterrupted, UsageError
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.server.link import FIGURES_S
from audio_connector.server.speech import MAX_SPEECHES
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time

FRAME = numbered(7, 640)
OLD, NEW = numbered(1, 640), numbered(2, 640)


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 300))
def test_a_speech_in_any_chunks_is_played_bit_for_bit(sizes: list[int]) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            async with call.client.speech() as speech:
                for chunk in cut(pcm, sizes):
                    await speech.write(chunk)
            assert await speech.finished() == Played(len(padded(pcm, 640)) / 32)
            assert b"".join(call.router.frames) == padded(pcm, 640)

    pcm = real_speech()[:20_000]
    run_in_virtual_time(scene())


@in_virtual_time
async def test_how_far_it_is() -> None:
    async with Conversation(playback={"lead_ms": 200}) as call:
        async with call.client.speech() as speech:
            assert (speech.played_ms, speech.queued_ms, speech.is_interrupted) == (0.0, 0.0, False)
            await speech.write(OLD * 100)
        await asyncio.sleep(2 * FIGURES_S)
        assert speech.queued_ms == 2000.0 - 21 * 20
        await asyncio.sleep(0.8)
        assert speech.played_ms in (980.0, 1000.0)
        assert call.client.playback.played_ms == speech.played_ms
        state = call.client.playback
        assert state.queued_ms + state.in_flight_ms + state.played_ms == 2000.0
        assert await speech.finished() == Played(2000.0)
        assert (speech.played_ms, speech.queued_ms) == (2000.0, 0.0)


@in_virtual_time
async def test_a_flush_ends_the_loop_that_feeds_it_and_nothing_else() -> None:
    async with Conversation(playback={"lead_ms": 200, "max_buffer_s": 1}) as call:
        written = 0

        async def talk() -> None:
            nonlocal written
            async with call.client.speech() as speech:
                while True:
                    await speech.write(OLD * 10)
                    written += 1
            speeches.append(speech)

        speeches: list[object] = []
        talking = asyncio.ensure_future(talk())
        await asyncio.sleep(2.0)
        flushed = await call.client.flush_buffer()
        assert flushed.played_ms in (1980.0, 2000.0)
        before = len(call.router.frames)
        await talking
        [speech] = speeches
        assert speech.is_interrupted  # type: ignore[attr-defined]
        outcome = await speech.finished()  # type: ignore[attr-defined]
        assert outcome == Interrupted(flushed.played_ms, flushed.discarded_ms)
        async with call.client.speech() as new:
            await new.write(NEW * 10)
        assert await new.finished() == Played(200.0)
        assert numbers_of(call.router.frames[before:]) == [2] * 10
        assert call.router.playout.report(call.router.clock.now).underruns == 0


@in_virtual_time
async def test_a_cut_speech_leaves_nothing_behind_by_which_a_wait_in_the_next_one_is_for_ever() -> None:
    async with Conversation() as call:
        async with call.client.speech() as cut_off:
            await cut_off.write(OLD * 10)
            await call.client.flush_buffer()
            await cut_off.write(OLD)
        assert call.client._line.open_speeches == {}
        async with call.client.speech() as speech:
            await speech.write(NEW * 10)
            await call.client.send_audio_buffer(OLD * 10)  # heard once the block is left
            assert isinstance(await asyncio.wait_for(call.client.wait_until_played(), 10.0), Played)
        assert await speech.finished() == Played(200.0)


@in_virtual_time
async def test_a_write_of_a_cut_speech_says_how_much_was_heard() -> None:
    async with Conversation() as call:
        async with call.client.speech() as speech:
            await speech.write(OLD * 100)
            await asyncio.sleep(0.5)
            flushed = await call.client.flush_buffer()
            with pytest.raises(SpeechInterrupted) as caught:
                await speech.write(OLD)
            assert caught.value.played_ms == flushed.played_ms == speech.played_ms
            assert caught.value.discarded_ms == flushed.discarded_ms
        assert speech.queued_ms == 0.0


@in_virtual_time
async def test_a_write_that_waits_for_room_is_interrupted_too() -> None:
    async with Conversation(playback={"max_buffer_s": 0.5}) as call:
        async with call.client.speech() as speech:
            writing = asyncio.ensure_future(speech.write(OLD * 1000))
            await asyncio.sleep(0.2)
            assert not writing.done()
            await call.client.flush_buffer()
            with pytest.raises(SpeechInterrupted):
                await writing
        assert isinstance(await speech.finished(), Interrupted)


@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_the_end_of_the_connection_interrupts_it(how: str, is_ended: bool) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            speech = call.client.speech()
            await speech.__aenter__()
            await speech.write(OLD * 100)
            if is_ended:
                await speech.__aexit__(None, None, None)
            waiting = [asyncio.ensure_future(speech.finished()) for _ in range(3)]
            await asyncio.sleep(0.5)
            waiting[0].cancel()
            getattr(call.router_socket, how)()
            await asyncio.wait(waiting)
            outcome = await speech.finished()
            assert isinstance(outcome, Interrupted)
            assert outcome.played_ms in (480.0, 500.0)
            assert outcome.played_ms + outcome.discarded_ms == 2000.0
            assert [task.result() for task in waiting[1:]] == [outcome] * 2
            if not is_ended:
                with pytest.raises(SpeechInterrupted):
                    await speech.write(OLD)

    run_in_virtual_time(scene())


@in_virtual_time
async def test_an_error_in_the_block_is_not_swallowed_and_what_was_said_is_played() -> None:
    async with Conversation() as call:
        speech = call.client.speech()

        async def talk() -> None:
            async with speech:
                await speech.write(OLD * 5 + b"\1")
                raise KeyError("the TTS failed")

        with pytest.raises(KeyError):
            await talk()
        assert await speech.finished() == Played(100.0)
        assert call.router.frames == [OLD] * 5


@in_virtual_time
async def test_an_interruption_of_another_speech_is_not_swallowed_and_this_one_has_ended() -> None:
    async with Conversation() as call:
        second = call.client.speech()

        async def talk() -> None:
            async with second:
                await second.write(NEW)
                raise SpeechInterrupted("of another one")

        with pytest.raises(SpeechInterrupted):
            await talk()
        assert await second.finished() == Played(20.0)
        await call.client.send_audio_buffer(OLD)
        await call.client.wait_until_played()
        assert call.router.frames == [NEW, OLD]


@in_virtual_time
async def test_half_a_sample_at_the_end_is_an_error_and_the_speech_has_ended() -> None:
    async with Conversation() as call:
        speech = call.client.speech()
        with pytest.raises(AudioDataError, match="odd number of bytes"):
            async with speech:
                await speech.write(OLD + b"\1")
        assert await speech.finished() == Played(20.0)
        async with call.client.speech() as after:
            await after.write(NEW)
        assert await after.finished() == Played(20.0)


@in_virtual_time
async def test_a_speech_is_begun_once_and_written_while_it_is_open() -> None:
    async with Conversation() as call:
        speech = call.client.speech()
        for wrong in (speech.write(OLD), speech.finished()):
            with pytest.raises(UsageError, match="begin the speech"):
                await wrong
        async with speech:
            with pytest.raises(UsageError, match="begun once"):
                await speech.__aenter__()
        with pytest.raises(UsageError, match="over"):
            await speech.write(OLD)
        assert await speech.finished() == Played(0.0)


@in_virtual_time
async def test_on_a_closed_connection_there_is_no_speech() -> None:
    async with Conversation() as call:
        call.client.disconnect()
        with pytest.raises(ConnectionClosed):
            async with call.client.speech():
                pytest.fail("it has not begun")


@in_virtual_time
async def test_speeches_and_plain_writes_keep_the_order_in_which_they_began() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(numbered(1, 640) * 3 + b"\1\1")
        async with call.client.speech() as first:
            await call.client.send_audio_buffer(numbered(4, 640) * 2)
            async with call.client.speech() as second:
                await second.write(numbered(3, 640))
                await first.write(numbered(2, 640))
        await call.client.wait_until_played()
        # The plain write came after the beginning of the first speech and before that of the second.
        assert numbers_of(call.router.frames) == [1, 1, 1, 257, 2, 4, 4, 3]
        assert [await speech.finished() for speech in (first, second)] == [Played(20.0)] * 2


@in_virtual_time
async def test_at_another_rate() -> None:
    async with Conversation() as call:
        async with call.client.speech() as speech:
            for chunk in cut(real_speech(24000), [4801]):
                await speech.write(chunk, sample_rate=24000)
        outcome = await speech.finished()
        assert outcome.played_ms == pytest.approx(len(real_speech(16000)) / 32, abs=20.0)
        assert call.router.report().underruns == 0


# Barge-in, and waiting.


@in_virtual_time
async def test_a_flush_of_plain_writes() -> None:
    async with Conversation(playback={"lead_ms": 200}) as call:
        await call.client.send_audio_buffer(OLD * 1500)
        await asyncio.sleep(2.0)
        flushed = await call.client.flush_buffer()
        assert flushed.played_ms in (1980.0, 2000.0)
        assert flushed.played_ms + flushed.discarded_ms == 30_000.0
        await call.client.send_audio_buffer(NEW, flush_buffer=True, pad_last_frame=True)
        await call.client.wait_until_played()
        assert call.router.frames[-1] == NEW
        assert len(call.router.texts) == 4
        assert await call.client.flush_buffer() == Flushed(0.0, 0.0)


@in_virtual_time
async def test_a_write_that_waits_while_it_is_flushed_is_let_go() -> None:
    async with Conversation(playback={"max_buffer_s": 0.5}) as call:
        writing = asyncio.ensure_future(call.client.send_audio_buffer(OLD * 1000))
        await asyncio.sleep(0.3)
        await call.client.flush_buffer()
        await writing
        before = len(call.router.frames)
        await call.client.send_audio_buffer(NEW * 10)
        await call.client.wait_until_played()
        assert numbers_of(call.router.frames[before:]) == [2] * 10


@in_virtual_time
async def test_waiting_until_played_ends_on_every_path() -> None:
    async with Conversation() as call:
        assert await call.client.wait_until_played() == Played(0.0)
        await call.client.send_audio_buffer(counting_pcm(6400))
        assert isinstance(await call.client.wait_until_played(), Played)
        await call.client.send_audio_buffer(OLD * 100)
        waiting = [asyncio.ensure_future(call.client.wait_until_played()) for _ in range(3)]
        await asyncio.sleep(0.3)
        waiting[0].cancel()
        flushed = await call.client.flush_buffer()
        outcomes = [await task for task in waiting[1:]]
        assert outcomes == [Interrupted(flushed.played_ms, flushed.discarded_ms)] * 2
        await call.client.send_audio_buffer(OLD * 100)
        last = asyncio.ensure_future(call.client.wait_until_played())
        await asyncio.sleep(0.3)
        call.router_socket.reset()
        assert isinstance(await last, Interrupted)
        assert isinstance(await call.client.wait_until_played(), Interrupted)


@in_virtual_time
async def test_who_begins_more_speeches_than_may_wait_waits_for_them() -> None:
    async with Conversation() as call:
        line = call.client._line
        most = 0
        for _ in range(3 * MAX_SPEECHES):
            async with call.client.speech() as speech:
                await speech.write(FRAME)
            most = max(most, len(line.speeches))
        assert MAX_SPEECHES / 2 < most <= MAX_SPEECHES
        await call.client.wait_until_played()
        assert call.router.frames == [FRAME] * (3 * MAX_SPEECHES)


@in_virtual_time
async def test_one_that_waits_to_begin_is_refused_at_the_end_of_the_connection() -> None:
    async with Conversation() as call:
        speeches = [call.client.speech() for _ in range(MAX_SPEECHES + 1)]
        beginning = [
            asyncio.ensure_future(speech.__aenter__()) for speech in speeches
        ]  # each in a block of its own
        await rest()
        assert [task.done() for task in beginning] == [True] * MAX_SPEECHES + [False]
        await call.client.close(after_playback=False)
        with pytest.raises(ConnectionClosed):
            await beginning[-1]
