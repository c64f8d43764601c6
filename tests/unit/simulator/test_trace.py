# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator import trace
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.trace import (
    BargeIn,
    Envelope,
    EnvelopeRecorder,
    EventLog,
    SeriesRecorder,
    TraceEvent,
    TraceRecorder,
    Turn,
)

RATE_HZ = 8000
BIN = 160  # samples of 20 ms
FEW_BINS = 8  # instead of thousands, so that a short input fills a picture several times

loud = st.integers(-32768, 32767)
# Runs of one value: a picture of single random samples would be the same in every bin.
audio = st.lists(st.tuples(loud, st.integers(1, 700)), max_size=12).map(
    lambda runs: (
        np.concatenate([np.full(length, value, "<i2") for value, length in runs])
        if runs
        else np.zeros(0, "<i2")
    )
)


@pytest.fixture
def few_bins() -> Iterator[None]:
    with mock.patch.object(trace, "MAX_BINS", FEW_BINS):
        yield


def envelope_of(samples: np.ndarray[tuple[int], np.dtype[np.int16]], cuts: list[int]) -> Envelope:
    recorder = EnvelopeRecorder(RATE_HZ)
    edges = [0, *sorted(cut for cut in cuts if cut < len(samples)), len(samples)]
    for begin, end in pairwise(edges):
        recorder.write(samples[begin:end].tobytes())
    return recorder.envelope()


@given(audio, st.lists(st.integers(0, 9000), max_size=20))
def test_an_outline_has_the_extremes_and_the_length_of_its_audio_however_it_was_cut(
    samples: np.ndarray[tuple[int], np.dtype[np.int16]], cuts: list[int]
) -> None:
    with mock.patch.object(trace, "MAX_BINS", FEW_BINS):
        envelope = envelope_of(samples, cuts)
        assert envelope == envelope_of(samples, [])
    assert len(envelope.peaks) <= FEW_BINS
    bin_samples = round(envelope.bin_s * RATE_HZ)
    bins = [samples[at : at + bin_samples] for at in range(0, len(samples), bin_samples)]
    assert list(envelope.peaks) == [(int(part.min()), int(part.max())) for part in bins]
    assert bin_samples % BIN == 0


def test_a_picture_that_is_full_halves_its_resolution(few_bins: None) -> None:
    recorder = EnvelopeRecorder(RATE_HZ)
    for number in range(1, FEW_BINS):
        recorder.write(number.to_bytes(2, "little") * BIN)
    assert recorder.envelope() == Envelope(0.02, tuple((number, number) for number in range(1, FEW_BINS)))
    recorder.write((-5).to_bytes(2, "little", signed=True) * BIN)
    assert recorder.envelope() == Envelope(0.04, ((1, 2), (3, 4), (5, 6), (-5, 7)))


def test_a_bin_that_is_not_full_yet_is_in_the_picture() -> None:
    recorder = EnvelopeRecorder(RATE_HZ)
    assert recorder.envelope() == Envelope(0.02)
    recorder.write(b"\x07\x00" + bytes(2))
    assert recorder.envelope().peaks == ((0, 7),)
    recorder.write(b"\xf9\xff")
    assert recorder.envelope().peaks == ((-7, 7),)


def test_six_hours_fit_into_the_bound() -> None:
    recorder = EnvelopeRecorder(RATE_HZ)
    recorder.write(bytes(2 * RATE_HZ * 6 * 3600))
    envelope = recorder.envelope()
    assert len(envelope.peaks) <= trace.MAX_BINS
    assert len(envelope.peaks) * envelope.bin_s == pytest.approx(6 * 3600, abs=envelope.bin_s)


def greatest_per_bin(notes: list[tuple[int, int]], bin_ms: int) -> list[int]:
    """What a step function of these notes, 0 before the first, was at most in each bin."""
    bins = []
    for begin in range(0, notes[-1][0] + 1, bin_ms):
        before = [value for at, value in notes if at < begin]
        at_begin = [value for at, value in notes if at == begin]
        held = at_begin[:1] or before[-1:] or [0]
        inside = [value for at, value in notes if begin <= at < begin + bin_ms]
        bins.append(max([*held, *inside]))
    return bins


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 60_000)), min_size=1, max_size=60))
def test_a_series_has_the_greatest_value_of_every_bin(notes: list[tuple[int, int]]) -> None:
    notes = [(at * 5, value) for at, value in sorted(notes, key=lambda note: note[0])]
    with mock.patch.object(trace, "MAX_BINS", FEW_BINS):
        recorder = SeriesRecorder()
        for at_ms, value in notes:
            recorder.note(at_ms / 1000, value)
    series = recorder.series()
    assert len(series.values) <= FEW_BINS
    bin_ms = round(series.bin_s * 1000)
    assert bin_ms % 20 == 0
    assert list(series.values) == greatest_per_bin(notes, bin_ms)


def test_a_value_holds_until_the_next_one() -> None:
    recorder = SeriesRecorder()
    recorder.note(0.0, 40)
    recorder.note(0.1, 60)
    recorder.note(0.15, 0)
    recorder.note(0.2, 20)
    assert recorder.series().values == (40, 40, 40, 40, 40, 60, 60, 60, 0, 0, 20)


def test_a_value_before_the_beginning_holds_at_it() -> None:
    recorder = SeriesRecorder()
    recorder.note(-0.5, 40)
    recorder.note(0.03, 20)
    assert recorder.series().values == (40, 40)


def test_a_barge_in_knows_its_latencies_where_they_were_seen() -> None:
    whole = BargeIn(speech_at_s=1.0, clear_at_s=1.25, silent_at_s=1.5)
    assert (whole.latency_ms, whole.speech_to_silence_ms) == (250.0, 500.0)
    assert BargeIn(speech_at_s=1.0, silent_at_s=1.5).latency_ms is None
    assert BargeIn(clear_at_s=1.0, silent_at_s=1.5).speech_to_silence_ms is None
    assert (BargeIn(1.0, 1.25).latency_ms, BargeIn(1.0, 1.25).speech_to_silence_ms) == (None, None)
    assert Turn(2.0, 2.75).latency_ms == 750.0


def test_every_underrun_is_a_hole_with_its_time() -> None:
    recorder = TraceRecorder(16000)
    buffer = PlayoutBuffer(
        AudioFormat(rate_hz=16000), on_underrun=lambda begin, end: recorder.note_hole(begin, end - begin)
    )
    for at_s in (1.0, 1.02, 1.05, 1.07, 1.2, 9.0):
        buffer.receive(bytes(640), at_s)
    holes = recorder.trace().holes
    assert [hole.at_s for hole in holes] == pytest.approx([1.04, 1.09])
    assert [hole.for_s for hole in holes] == pytest.approx([0.01, 0.11])
    assert buffer.report(9.0).underruns == 2
    assert 1000 * sum(hole.for_s for hole in holes) == pytest.approx(buffer.report(9.0).underrun_ms)


def test_holes_beyond_the_bound_are_left_to_the_count() -> None:
    recorder = TraceRecorder(16000)
    with mock.patch.object(trace, "MAX_HOLES", 2):
        for number in range(5):
            recorder.note_hole(float(number), 0.01)
    assert len(recorder.trace().holes) == 2


def test_events_beyond_the_bound_are_counted() -> None:
    log = EventLog()
    with mock.patch.object(trace, "MAX_EVENTS", 2):
        for number in range(5):
            log.add(TraceEvent(float(number), "router", "notify"))
    assert [event.at_s for event in log.events] == [0.0, 1.0]
    assert log.lost == 3
