# SPDX-License-Identifier: Apache-2.0
"""Plain writes of the application: any size, in order, with backpressure, to the router bit for bit."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, numbered, numbers_of, padded, real_speech
from support.conversation import Conversation

from audio_connector.audio.ingest import PcmIngest
from audio_connector.errors import AudioDataError, ConnectionClosed, UsageError
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.playback.speech import Flushed
from audio_connector.server import mail
from audio_connector.server.line import Line
from audio_connector.server.writer import SLICE_BYTES, Writer
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.messages import Connected

MailT = TypeVar("MailT")

FRAME = numbered(7, 640)


@settings(max_examples=30)
@given(
    rate_hz=st.sampled_from([8000, 16000, 24000]),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=10).filter(
        lambda sizes: sum(sizes) > 50 * len(sizes)
    ),
    is_ended=st.booleans(),
)
def test_chunks_of_any_number_of_bytes_arrive_bit_for_bit(
    rate_hz: int, sizes: list[int], is_ended: bool
) -> None:
    async def scene() -> None:
        async with Conversation(rate_hz=rate_hz) as call:
            chunks = list(cut(speech, sizes))
            for turn, chunk in enumerate(chunks, start=1):
                await call.client.send_audio_buffer(chunk, pad_last_frame=is_ended and turn == len(chunks))
            await call.client.wait_until_played()
            assert {len(frame) for frame in call.router.frames} == {rate_hz // 25}
            assert b"".join(call.router.frames) == padded(speech, rate_hz // 25)
            assert call.router.report().underruns == 0

    speech = real_speech(rate_hz)[:40_000]
    run_in_virtual_time(scene())


@in_virtual_time
async def test_ten_minutes_in_one_call_wait_for_room_and_arrive_without_a_gap() -> None:
    async with Conversation(playback={"max_buffer_s": 30}) as call:
        writing = asyncio.ensure_future(
            call.client.send_audio_buffer(b"".join(numbered(1 + k % 60_000, 640) for k in range(30_000)))
        )
        peak_ms = 0.0
        for _ in range(1190):
            await asyncio.sleep(0.5)
            peak_ms = max(peak_ms, call.client.playback.queued_ms)
        assert writing.done(), "no more than the buffer is left"
        await writing
        assert peak_ms <= 30_000 + SLICE_BYTES / 32
        await call.client.wait_until_played()
        assert call.now_s == pytest.approx(600.0, abs=0.1)
        report = call.router.report()
        assert numbers_of(call.router.frames) == [1 + k % 60_000 for k in range(30_000)]
        assert (report.underruns, report.overflow_frames) == (0, 0)
        assert report.deepest_ms <= 260
        assert call.client.playback.played_ms == 600_000.0


@in_virtual_time
async def test_a_write_returns_when_it_is_buffered_and_waits_where_there_is_no_room() -> None:
    async with Conversation(playback={"max_buffer_s": 1, "lead_ms": 200}) as call:
        for _ in range(6):
            await call.client.send_audio_buffer(FRAME * 10)
        assert call.now_s == 0.0, "a second is the bound, and the lead has left"
        await call.client.send_audio_buffer(FRAME * 10)
        await call.client.send_audio_buffer(FRAME * 10)
        assert call.now_s > 0.1
        await call.client.wait_until_played()
        assert call.router.report().underruns == 0
        assert len(call.router.frames) == 80


@in_virtual_time
async def test_writers_that_wait_keep_their_order() -> None:
    async with Conversation(playback={"max_buffer_s": 0.5}) as call:
        await asyncio.gather(
            *(call.client.send_audio_buffer(numbered(number, 640) * 20) for number in range(1, 11)),
        )
        await call.client.wait_until_played()
        assert numbers_of(call.router.frames) == [number for number in range(1, 11) for _ in range(20)]


@in_virtual_time
async def test_a_writer_that_was_cancelled_leaves_the_way_to_the_next() -> None:
    async with Conversation(playback={"max_buffer_s": 0.5}) as call:
        await call.client.send_audio_buffer(numbered(1, 640) * 50)
        waiting = [
            asyncio.ensure_future(call.client.send_audio_buffer(numbered(number, 640) * 10))
            for number in (2, 3)
        ]
        await rest()
        waiting[0].cancel()
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        await waiting[1]
        await call.client.wait_until_played()
        assert numbers_of(call.router.frames) == [1] * 50 + [3] * 10


@in_virtual_time
async def test_a_text_overtakes_what_is_queued() -> None:
    async with Conversation(playback={"lead_ms": 200}) as call:
        await call.client.send_audio_buffer(FRAME * 100)
        await call.client.send_json_packet({"a": 1})
        await call.client.wait_until_played()
        kinds = [isinstance(arrival.message, str) for arrival in call.router.arrivals]
        assert kinds.index(True) == 11
        assert call.router.texts == ['{"a":1}']


class Unread:
    """A writer whose other side only does what it is told to."""

    def __init__(self, max_buffer_s: float) -> None:
        self.posted: list[mail.ToIo] = []
        self.published = mail.Published(IntakeCounters())
        line = Line(1, self.published, self.posted.append, lambda error: pytest.fail(str(error)))
        self.writer = Writer(line, max_buffer_s=max_buffer_s)

    def of(self, kind: type[MailT]) -> list[MailT]:
        return [message for message in self.posted if isinstance(message, kind)]

    def take(self, taken_bytes: int) -> None:
        self.published.progress = self.published.progress._replace(taken_bytes=taken_bytes)

    def answer(self) -> None:
        for wait in self.of(mail.AwaitRoom):
            if not wait.reply.done():
                wait.reply.set_result(None)


@in_virtual_time
async def test_nobody_gets_in_between_the_parts_of_one_write() -> None:
    unread = Unread(max_buffer_s=1)
    long = asyncio.ensure_future(unread.writer.write(None, numbered(1, 2 * SLICE_BYTES), None))
    await rest()
    assert [len(write.pcm) for write in unread.of(mail.Write)] == [SLICE_BYTES]
    unread.take(SLICE_BYTES)
    assert not unread.writer.write_now(FRAME, None, False), "there is room, but it is spoken for"
    unread.answer()
    await long
    unread.take(2 * SLICE_BYTES)
    assert unread.writer.write_now(FRAME, None, False)
    assert numbers_of(write.pcm for write in unread.of(mail.Write)) == [1, 1, 7]


@in_virtual_time
async def test_of_what_was_cut_nothing_more_is_posted() -> None:
    unread = Unread(max_buffer_s=1)
    long = asyncio.ensure_future(unread.writer.write(None, bytes(10 * SLICE_BYTES), None))
    await rest()
    flushing = asyncio.ensure_future(unread.writer.flush())
    await rest()
    unread.take(SLICE_BYTES)
    unread.answer()
    unread.of(mail.Flush)[0].reply.set_result(Flushed(0.0, 0.0))
    await asyncio.gather(long, flushing)
    assert len(unread.of(mail.Write)) == 1


# Odd bytes, and other formats.


@in_virtual_time
async def test_half_a_sample_joins_the_next_call() -> None:
    async with Conversation() as call:
        pcm = counting_pcm(6400)
        await call.client.send_audio_buffer(pcm[:3333])
        await call.client.send_audio_buffer(bytearray(pcm[3333:4000]))
        await call.client.send_audio_buffer(memoryview(pcm[4000:]))
        await call.client.wait_until_played()
        assert b"".join(call.router.frames) == pcm


@in_virtual_time
async def test_an_odd_number_of_bytes_in_all_is_an_error_that_plays_nothing() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(bytes(1000))
        with pytest.raises(AudioDataError, match="odd number of bytes over the whole utterance"):
            await call.client.send_audio_buffer(bytes(1001), pad_last_frame=True)
        await call.client.send_audio_buffer(bytes(280), pad_last_frame=True)
        await call.client.wait_until_played()
        assert len(call.router.frames) == 2


@in_virtual_time
async def test_half_a_sample_that_is_left_behind_is_reported() -> None:
    async with Conversation() as call:
        errors: list[Exception] = []
        call.client.set_handler(on_error=errors.append)
        await call.client.send_audio_buffer(FRAME + b"\1")
        await call.client.wait_until_played()
        await rest()
        assert [type(error) for error in errors] == [AudioDataError]
        assert call.router.frames == [FRAME]
        await call.client.send_audio_buffer(FRAME)
        await call.client.wait_until_played()
        assert call.router.frames == [FRAME, FRAME], "the next utterance is whole again"


@in_virtual_time
async def test_arrays_and_other_rates() -> None:
    async with Conversation() as call:
        samples = np.frombuffer(real_speech(24000), dtype="<i2")
        ingest = PcmIngest(16000)
        expected = ingest.write(samples, sample_rate=24000) + ingest.finish()
        for part in np.array_split(samples, 50):
            await call.client.send_audio_buffer(part, sample_rate=24000)
        await call.client.wait_until_played()
        assert b"".join(call.router.frames) == padded(expected, 640)
        assert call.router.report().underruns == 0


@in_virtual_time
async def test_the_tail_of_a_resampler_is_fetched_before_the_router_runs_dry() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(real_speech(24000), sample_rate=24000)
        await asyncio.sleep(5.0)
        ingest = PcmIngest(16000)
        expected = ingest.write(real_speech(24000), sample_rate=24000) + ingest.finish()
        assert b"".join(call.router.frames) == padded(expected, 640)
        assert call.router.report().underruns == 0


@in_virtual_time
async def test_audio_that_is_written_before_the_rate_is_known_is_converted() -> None:
    async with Conversation(rate_hz=None) as call:
        speech = real_speech(16000)
        await call.client.send_audio_buffer(speech[:20_000])
        call.router_socket.send_text('{"event":"websocket:connected","content-type":"audio/l16;rate=8000"}')
        await rest()
        assert call.client.format.rate_hz == 8000
        await call.client.send_audio_buffer(real_speech(8000)[10_000:])
        await call.client.wait_until_played()
        assert {len(frame) for frame in call.router.frames} == {320}
        assert abs(len(b"".join(call.router.frames)) - len(real_speech(8000))) <= 640
        assert isinstance(call.link.published.first_message, Connected)


# What is refused.


@pytest.mark.parametrize(
    "arguments",
    [
        {"audio_data": "text"},
        {"audio_data": None},
        {"audio_data": bytes(10), "sample_rate": 1},
        {"audio_data": bytes(10), "frames_ms": 30},
        {"audio_data": bytes(10), "frames_ms": True},
        {"audio_data": bytes(10), "bytes_per_sample": 0},
        {"audio_data": bytes(10), "bytes_per_sample": "640"},
        {"audio_data": np.zeros(10, dtype=np.int32)},
    ],
)
def test_wrong_arguments_are_refused_and_change_nothing(arguments: dict[str, object]) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            with pytest.raises(UsageError):
                await call.client.send_audio_buffer(**arguments)  # type: ignore[arg-type]
            await call.client.send_audio_buffer(FRAME, 320, 10)
            await call.client.wait_until_played()
            assert call.router.frames == [FRAME]

    run_in_virtual_time(scene())


@pytest.mark.parametrize("who", ["we", "the router"])
def test_on_a_closed_connection_everything_that_sends_says_so(who: str) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            if who == "we":
                call.client.disconnect()
                call.client.disconnect()
            else:
                call.router_socket.close(1001, "gone")
                await rest()
            for send in (
                lambda: call.client.send_audio_buffer(FRAME),
                lambda: call.client.send_json_packet("{}"),
                call.client.flush_buffer,
                call.client.speech().__aenter__,
            ):
                with pytest.raises(ConnectionClosed) as caught:
                    await send()
                assert isinstance(caught.value, ValueError)
                assert caught.value.code == (1000 if who == "we" else 1001)
                assert caught.value.reason == ("" if who == "we" else "gone")

    run_in_virtual_time(scene())


@in_virtual_time
async def test_a_write_that_waits_for_room_is_told_of_the_end() -> None:
    async with Conversation(playback={"max_buffer_s": 0.5}) as call:
        await call.client.send_audio_buffer(FRAME * 100)
        writing = [asyncio.ensure_future(call.client.send_audio_buffer(FRAME * 100)) for _ in range(3)]
        await asyncio.sleep(0.1)
        call.router_socket.reset()
        await asyncio.wait(writing)
        assert [type(task.exception()) for task in writing] == [ConnectionClosed] * 3
