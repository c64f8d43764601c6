# SPDX-License-Identifier: Apache-2.0
"""Iterators over what arrives: pieces of the wanted length and rate, bounded, to an end, on any loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, real_speech

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import Resampler
from audio_connector.errors import IntakeOverflow, LimitError, UsageError
from audio_connector.intake.buffer import MAX_TEXT_BYTES
from audio_connector.intake.items import TextItem
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.testing.virtual_time import Stuck, in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.codec import decode_event, held_bytes
from audio_connector.wire.messages import Disconnected, Dtmf

LAST = Disconnected(code=1000)
FRAME = b"12" * 320


UNTOLD: dict[str, Any] = {"on_overflow": lambda error: None, "on_drop": lambda ms, is_first: None}


def audio_stream(
    *,
    chunk_ms: float | None = None,
    sample_rate: int | None = None,
    rate_hz: int = 16000,
    max_buffer_ms: float = 10_000,
    on_overflow: Callable[[IntakeOverflow], None] = lambda error: pytest.fail(str(error)),
    on_drop: Callable[[float, bool], None] = lambda ms, is_first: None,
) -> AudioStream:
    return AudioStream(
        lambda: AudioFormat(rate_hz),
        chunk_ms=chunk_ms,
        sample_rate=sample_rate,
        max_buffer_ms=max_buffer_ms,
        on_overflow=on_overflow,
        on_drop=on_drop,
    )


async def pieces(stream: AudioStream) -> list[bytes]:
    return [piece async for piece in stream]


@in_virtual_time
async def test_frames_come_out_whatever_the_messages_are() -> None:
    stream = audio_stream()
    messages = [counting_pcm(size) for size in (640, 640, 100, 2000)]
    for message in messages:
        stream.push(message)
    stream.end()
    got = await pieces(stream)
    assert [len(piece) for piece in got] == [640] * 6
    assert b"".join(got) == b"".join(messages).ljust(6 * 640, b"\0")


@pytest.mark.parametrize("sample_rate", [None, 24000])
@pytest.mark.parametrize("chunk_ms", [None, 20.0])
@in_virtual_time
async def test_half_a_sample_of_a_message_does_not_shift_the_next(
    chunk_ms: float | None, sample_rate: int | None
) -> None:
    stream = audio_stream(chunk_ms=chunk_ms, sample_rate=sample_rate)
    before, after = counting_pcm(640), counting_pcm(1280)
    for message in (before, b"\x01", before + b"\x01", after):
        stream.push(message)
    stream.end()
    resampler = Resampler(16000, sample_rate or 16000)
    expected = resampler.push(before * 2 + after) + resampler.finish()
    assert b"".join(await pieces(stream))[: len(expected)] == expected


@given(
    chunk_ms=st.floats(1.0, 300.0),
    rate_hz=st.sampled_from([8000, 16000, 24000]),
    sizes=st.lists(st.integers(1, 2000).map(lambda samples: 2 * samples), min_size=1, max_size=5),
    size_bytes=st.integers(1, 20_000).map(lambda samples: 2 * samples),
)
def test_pieces_have_the_wanted_length_and_nothing_is_lost(
    chunk_ms: float, rate_hz: int, sizes: list[int], size_bytes: int
) -> None:
    async def scene() -> list[bytes]:
        stream = audio_stream(chunk_ms=chunk_ms, rate_hz=rate_hz)
        for message in cut(pcm, sizes):
            stream.push(message)
        stream.end()
        return await pieces(stream)

    pcm = counting_pcm(size_bytes)
    got = run_in_virtual_time(scene())
    piece_bytes = 2 * max(1, round(rate_hz * chunk_ms / 1000))
    assert b"".join(got) == pcm
    assert {len(piece) for piece in got[:-1]} <= {piece_bytes}
    assert 0 < len(got[-1]) <= piece_bytes


@pytest.mark.parametrize("chunk_ms", [None, 100.0])
def test_another_rate_is_resampled_without_seams(chunk_ms: float | None) -> None:
    async def scene() -> list[bytes]:
        stream = audio_stream(chunk_ms=chunk_ms, sample_rate=24000)
        for message in cut(speech, [640]):
            stream.push(message)
        stream.end()
        return await pieces(stream)

    speech = real_speech(16000)
    resampler = Resampler(16000, 24000)
    got = run_in_virtual_time(scene())
    expected = resampler.push(speech) + resampler.finish()
    heard = b"".join(got)
    assert (heard[: len(expected)], any(heard[len(expected) :])) == (expected, False)
    assert {len(piece) for piece in got[:-1]} == {960 if chunk_ms is None else 4800}


@in_virtual_time
async def test_the_format_is_asked_for_when_the_first_audio_is_there() -> None:
    formats: list[AudioFormat] = []
    stream = AudioStream(
        lambda: formats[-1],
        chunk_ms=100,
        sample_rate=None,
        max_buffer_ms=1000,
        **UNTOLD,
    )
    formats.append(AudioFormat(8000))
    stream.push(bytes(320 * 10))
    stream.end()
    assert [len(piece) for piece in await pieces(stream)] == [1600, 1600]


@pytest.mark.parametrize(("sample_rate", "sizes"), [(24000, [960] * 4), (None, [640, 640, 320, 320])])
def test_the_format_may_change(sample_rate: int | None, sizes: list[int]) -> None:
    async def scene() -> list[bytes]:
        formats = [AudioFormat(16000)]
        stream = AudioStream(
            lambda: formats[-1],
            chunk_ms=20,
            sample_rate=sample_rate,
            max_buffer_ms=1000,
            **UNTOLD,
        )
        stream.push(bytes(1280))
        formats.append(AudioFormat(8000))
        stream.push(bytes(640))
        stream.end()
        return await pieces(stream)

    assert [len(piece) for piece in run_in_virtual_time(scene())] == sizes


@in_virtual_time
async def test_what_is_left_at_a_change_of_format_goes_ahead_as_a_short_piece() -> None:
    formats = [AudioFormat(16000)]
    stream = AudioStream(
        lambda: formats[-1],
        chunk_ms=20,
        sample_rate=None,
        max_buffer_ms=1000,
        **UNTOLD,
    )
    stream.push(b"1" * 700)
    formats.append(AudioFormat(8000))
    stream.push(b"2" * 330)
    stream.end()
    assert await pieces(stream) == [b"1" * 640, b"1" * 60, b"2" * 320, b"2" * 10]


@in_virtual_time
async def test_a_consumer_waits_for_what_comes_later() -> None:
    stream = audio_stream()
    consumer = asyncio.ensure_future(pieces(stream))
    for number in range(3):
        await asyncio.sleep(1.0)
        stream.push(bytes([number, 0]) * 320)
    stream.end()
    assert await consumer == [bytes([number, 0]) * 320 for number in range(3)]


@in_virtual_time
async def test_it_ends_where_nothing_ever_came() -> None:
    stream = audio_stream(chunk_ms=100)
    stream.end()
    stream.end()
    assert stream.is_over
    assert await pieces(stream) == []
    assert await pieces(stream) == []


@in_virtual_time
async def test_what_comes_after_the_end_is_nothing() -> None:
    stream = audio_stream()
    stream.end()
    stream.push(b"late")
    assert await pieces(stream) == []


@in_virtual_time
async def test_beyond_its_bound_the_oldest_is_dropped_and_said_so_once_an_episode() -> None:
    errors: list[IntakeOverflow] = []
    drops: list[tuple[float, bool]] = []
    stream = audio_stream(
        max_buffer_ms=100, on_overflow=errors.append, on_drop=lambda *drop: drops.append(drop)
    )
    for number in range(1, 21):
        stream.push(bytes([number]) * 640)
    assert len(errors) == 1
    assert drops == [(20.0, True), *[(20.0, False)] * 14]
    assert [(await anext(stream))[0] for _ in range(5)] == [16, 17, 18, 19, 20]
    for number in range(1, 8):
        stream.push(bytes([number]) * 640)
    assert len(errors) == 2
    assert drops[15:] == [(20.0, True), (20.0, False)]
    stream.end()
    assert [piece[0] for piece in await pieces(stream)] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("sample_rate", [None, 8000, 44100])
@pytest.mark.parametrize("chunk_ms", [None, 30, 100])
def test_what_is_dropped_and_read_is_what_came(chunk_ms: float | None, sample_rate: int | None) -> None:
    async def scene() -> None:
        drops: list[float] = []
        told = {**UNTOLD, "on_drop": lambda ms, is_first: drops.append(ms)}
        stream = audio_stream(chunk_ms=chunk_ms, sample_rate=sample_rate, max_buffer_ms=200, **told)
        for _ in range(120):
            stream.push(bytes(640))
        stream.end()
        read_ms = sum(map(len, await pieces(stream))) / 2 / (sample_rate or 16000) * 1000
        assert read_ms <= 200 + 1e-6
        assert read_ms + sum(drops) == pytest.approx(2400)

    run_in_virtual_time(scene())


@in_virtual_time
async def test_one_piece_is_kept_however_long_it_is() -> None:
    stream = audio_stream(chunk_ms=1000, max_buffer_ms=100)
    stream.push(bytes(32_000))
    stream.end()
    assert [len(piece) for piece in await pieces(stream)] == [32_000]


@in_virtual_time
async def test_a_consumer_that_was_cancelled_may_come_back() -> None:
    stream = audio_stream()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(stream), 1.0)
    stream.push(FRAME)
    assert await anext(stream) == FRAME


@in_virtual_time
async def test_the_successor_of_a_consumer_that_is_being_cancelled_gets_its_piece() -> None:
    stream = audio_stream()
    consumer = asyncio.ensure_future(pieces(stream))
    await rest()
    consumer.cancel()
    successor = asyncio.ensure_future(pieces(stream))
    await rest()
    stream.push(FRAME)
    stream.end()
    assert await successor == [FRAME]


@in_virtual_time
async def test_two_consumers_of_one_stream_are_one_too_many() -> None:
    stream = audio_stream()
    consumer = asyncio.ensure_future(pieces(stream))
    await rest()
    with pytest.raises(UsageError, match="one of its own"):
        await anext(stream)
    stream.push(FRAME)
    stream.end()
    assert await consumer == [FRAME]


@in_virtual_time
async def test_closing_it_ends_who_waits_for_it() -> None:
    stream = audio_stream()
    consumer = asyncio.ensure_future(pieces(stream))
    await rest()
    await stream.aclose()
    assert await consumer == []
    stream.push(b"late")
    assert stream.is_over


def test_waiting_for_what_never_comes_is_noticed_by_these_tests() -> None:
    with pytest.raises(Stuck):
        run_in_virtual_time(pieces_of_nothing())


async def pieces_of_nothing() -> None:
    await pieces(audio_stream())


# Events.


@in_virtual_time
async def test_events_come_in_order_and_the_last_says_how_it_ended() -> None:
    stream = EventStream(max_events=10)
    events = [Dtmf(digit=str(k)) for k in range(5)]
    for event in events:
        stream.push(event)
    stream.end(LAST)
    stream.end(LAST)
    stream.push(Dtmf(digit="9"))
    assert [event async for event in stream] == [*events, LAST]


@in_virtual_time
async def test_a_consumer_that_does_not_read_is_told_so_after_what_was_kept() -> None:
    stream = EventStream(max_events=3)
    for number in range(5):
        stream.push(Dtmf(digit=str(number)))
    assert stream.is_over
    stream.end(LAST)
    assert [await anext(stream) for _ in range(3)] == [Dtmf(digit=str(k)) for k in range(3)]
    with pytest.raises(LimitError, match="max_texts"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@in_virtual_time
async def test_events_that_wait_are_bounded_by_the_memory_that_they_take() -> None:
    text = json.dumps({"event": "x", "values": [[]] * 199})
    item = TextItem(text, decode_event(text))
    fits = MAX_TEXT_BYTES // held_bytes(text)
    stream = EventStream(max_events=1000)
    for _ in range(2 * fits):  # read as they come
        stream.push(item)
        assert await anext(stream) == item.event
    for _ in range(fits + 2):
        stream.push(item)
    assert stream.is_over
    assert [await anext(stream) for _ in range(fits)] == [item.event] * fits
    with pytest.raises(LimitError, match=r"events of \d+ bytes were not read"):
        await anext(stream)


@in_virtual_time
async def test_one_event_is_kept_whatever_its_size() -> None:
    text = json.dumps("x" * MAX_TEXT_BYTES)
    item = TextItem(text, decode_event(text))
    stream = EventStream(max_events=2)
    stream.push(item)
    assert await anext(stream) == item.event


# Another loop than the connection's.


class OtherLoop:
    """A loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> OtherLoop:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def test_a_consumer_may_live_in_another_loop() -> None:
    here = asyncio.get_running_loop()
    made: asyncio.Future[AudioStream] = here.create_future()

    async def consume() -> list[bytes]:
        stream = audio_stream()
        here.call_soon_threadsafe(made.set_result, stream)
        return await pieces(stream)

    with OtherLoop() as other:
        got = asyncio.run_coroutine_threadsafe(consume(), other.loop)
        stream = await made
        for number in range(100):
            stream.push(bytes([number, 0]) * 320)
        stream.end()
        assert await asyncio.wrap_future(got) == [bytes([k, 0]) * 320 for k in range(100)]


async def test_a_stream_made_outside_of_a_loop_belongs_to_its_first_consumer() -> None:
    stream = await asyncio.to_thread(audio_stream)
    stream.push(b"ear1y" * 128)
    with OtherLoop() as other:
        first = asyncio.run_coroutine_threadsafe(anext(stream), other.loop)
        assert await asyncio.wrap_future(first) == b"ear1y" * 128
        rest_of_it = asyncio.run_coroutine_threadsafe(pieces(stream), other.loop)
        stream.push(b"late" * 160)
        stream.end()
        assert await asyncio.wrap_future(rest_of_it) == [b"late" * 160]


async def test_a_consumer_whose_loop_is_gone_is_nobody() -> None:
    with OtherLoop() as other:

        async def make() -> AudioStream:
            return audio_stream()

        stream = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), other.loop))
    stream.push(FRAME)
    assert stream.is_over
    stream.end()


# Where no audio comes.


def gap_stream(gap_s: float = 0.5, **options: float) -> AudioStream:
    return AudioStream(
        lambda: AudioFormat(16000),
        chunk_ms=options.get("chunk_ms"),
        sample_rate=None,
        max_buffer_ms=10_000,
        on_overflow=lambda error: pytest.fail(str(error)),
        on_drop=lambda ms, is_first: None,
        gap_s=gap_s,
    )


@in_virtual_time
async def test_silence_is_as_long_as_what_was_missed_and_ends_with_audio() -> None:
    stream, loop = gap_stream(), asyncio.get_running_loop()
    got: list[tuple[float, bytes]] = []

    async def read() -> None:
        got.extend([(loop.time(), piece) async for piece in stream])

    reading = asyncio.ensure_future(read())
    begun = loop.time()
    for _ in range(10):
        stream.push(FRAME)
        await asyncio.sleep(0.02)
    last = loop.time() - 0.02
    await asyncio.sleep(2.0)
    stream.push(FRAME)
    await rest()
    stream.end()
    await reading
    silent = [at for at, piece in got if piece == bytes(640)]
    assert [piece for _, piece in got if piece != bytes(640)] == [FRAME] * 11
    assert got[-1][1] == FRAME
    assert [at for at in silent if at <= last + 0.5 + 1e-6] == [pytest.approx(last + 0.5)] * 25
    assert silent[25:] == pytest.approx([last + 0.52 + 0.02 * k for k in range(len(silent) - 25)])
    assert len(got) * 0.02 == pytest.approx(loop.time() - begun, abs=0.05)


@in_virtual_time
async def test_pieces_of_any_length_go_on_and_what_was_begun_is_completed() -> None:
    stream, loop = gap_stream(0.2, chunk_ms=100), asyncio.get_running_loop()
    stream.push(FRAME * 2)
    begun = loop.time()
    first = await anext(stream)
    assert first == FRAME * 2 + bytes(3 * 640)
    assert loop.time() == pytest.approx(begun + 0.2)
    assert await anext(stream) == bytes(3200)
    assert await anext(stream) == bytes(3200)
    assert loop.time() == pytest.approx(begun + 0.2 + 0.06, abs=0.021)
    await stream.aclose()


@in_virtual_time
async def test_who_does_not_read_is_given_no_silence_to_keep() -> None:
    stream = gap_stream(0.1)
    stream.push(FRAME)
    assert await anext(stream) == FRAME
    await asyncio.sleep(3000.0)
    stream.push(FRAME)
    assert await anext(stream) == FRAME
    assert not stream._ready


@in_virtual_time
async def test_a_reader_that_is_cancelled_leaves_no_timer() -> None:
    stream = gap_stream(0.5)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(stream), 0.1)
    await asyncio.sleep(10.0)
    assert not stream._ready
    assert await asyncio.wait_for(anext(stream), 0.6) == bytes(640)
