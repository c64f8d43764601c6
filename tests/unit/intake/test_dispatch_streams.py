# SPDX-License-Identifier: Apache-2.0
"""Iterators get what handlers get, as long as somebody holds them."""

from __future__ import annotations

import gc
import sys
import threading

from support.dispatching import TEXT, Stage

from audio_connector.audio.format import AudioFormat
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.testing.virtual_time import in_virtual_time, rest
from audio_connector.wire.messages import Disconnected


def audio_stream() -> AudioStream:
    return AudioStream(
        AudioFormat,
        chunk_ms=None,
        sample_rate=16000,
        max_buffer_ms=1000,
        on_overflow=lambda error: None,
        on_drop=lambda ms, is_first: None,
    )


@in_virtual_time
async def test_streams_get_what_handlers_get() -> None:
    stage = Stage()
    told: list[object] = []
    events = EventStream(max_events=10)
    stage.dispatcher.add(events)
    assert stage.wanted == [(False, True, 0, False)]
    stage.set(on_event=told.append)
    stage.feed(TEXT)
    await rest()
    last = Disconnected(code=1000)
    stage.dispatcher.end_streams(last)
    assert [event async for event in events] == [TEXT.event, last]
    assert told == [TEXT.event]
    await stage.end()


@in_virtual_time
async def test_a_stream_that_was_let_go_costs_nothing() -> None:
    stage = Stage()
    kept, lost, closed = (EventStream(max_events=2) for _ in range(3))
    for stream in (kept, lost, closed):
        stage.dispatcher.add(stream)
    del stream, lost
    gc.collect()
    await closed.aclose()
    heard, unheard = audio_stream(), audio_stream()
    for audio in (heard, unheard):
        stage.dispatcher.add(audio)
    del audio, unheard
    gc.collect()
    stage.feed(TEXT, TEXT, b"1", b"2")
    await rest()
    assert len(stage.dispatcher._event_streams) == len(stage.dispatcher._audio_streams) == 1
    await stage.end()
    assert await anext(kept) == TEXT.event


@in_virtual_time
async def test_a_stream_of_a_connection_that_is_over_ends_at_once() -> None:
    stage = Stage()
    last = Disconnected(code=1000)
    await stage.end()
    stage.dispatcher.end_streams(last)
    events, audio = EventStream(max_events=10), audio_stream()
    stage.dispatcher.add(events)
    stage.dispatcher.add(audio)
    assert [event async for event in events] == [last]
    assert [piece async for piece in audio] == []


@in_virtual_time
async def test_a_stream_that_fails_is_reported_and_harms_nobody() -> None:
    def fail() -> AudioFormat:
        raise KeyError("bad")

    class BadEvents(EventStream):
        def push(self, event: object) -> None:
            raise KeyError("bad")

    stage = Stage()
    errors: list[Exception] = []
    bad = AudioStream(
        fail,
        chunk_ms=None,
        sample_rate=None,
        max_buffer_ms=1000,
        on_overflow=lambda error: None,
        on_drop=lambda ms, is_first: None,
    )
    bad_events = BadEvents(max_events=10)
    audio, events = audio_stream(), EventStream(max_events=10)
    for stream in (bad, audio):
        stage.dispatcher.add(stream)
    for event_stream in (bad_events, events):
        stage.dispatcher.add(event_stream)
    stage.set(on_error=errors.append)
    stage.feed(b"12" * 320, TEXT)
    await rest()
    assert [repr(error) for error in errors] == ["KeyError('bad')"] * 2
    assert await anext(audio) == b"12" * 320
    assert await anext(events) == TEXT.event
    await stage.end()


@in_virtual_time
async def test_streams_may_be_added_from_many_threads_at_a_time() -> None:
    stage = Stage()
    streams = [audio_stream() for _ in range(400)]

    def add(share: list[AudioStream]) -> None:
        for stream in share:
            stage.dispatcher.add(stream)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=add, args=(streams[at::8],)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert len(stage.dispatcher._audio_streams) == len(streams)
    await stage.end()
