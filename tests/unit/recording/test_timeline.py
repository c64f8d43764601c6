# SPDX-License-Identifier: Apache-2.0
"""Where each sample of a side stands: by the clock, whatever the network and the other end's clock do."""

from __future__ import annotations

import itertools
import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.recording.timeline import GAP_S, QUIET_PEAK, SLIP_S, Timeline

RATE_HZ = 8000
FRAME = 160
FRAME_S = 0.02
HOUR_S = 3600.0


def loud(number: int, samples: int = FRAME) -> bytes:
    """Samples that say which piece they are of, and are never quiet."""
    return np.full(samples, 1000 + number % 30_000, "<i2").tobytes()


def caller() -> Timeline:
    return Timeline(RATE_HZ, lookahead_s=1.0, hold_s=5.0)


def ours() -> Timeline:
    return Timeline(RATE_HZ, lookahead_s=0.0, hold_s=0.021)


def samples_of(timeline: Timeline, end_s: float) -> list[int]:
    timeline.finish(end_s)
    samples: list[int] = np.frombuffer(timeline.take(timeline.ready), "<i2").tolist()
    return samples


def starts(samples: list[int], *, kind: type[int] = int) -> list[tuple[int, int]]:
    """Where each piece of `loud` begins, and which it is."""
    found, at = [], 0
    for value, run in itertools.groupby(samples):
        length = len(list(run))
        if value:
            found.append((at, kind(value) - 1000))
        at += length
    return found


@given(st.lists(st.integers(1, 45), min_size=1, max_size=12))
def test_what_a_network_holds_up_stands_where_it_belongs(bursts: list[int]) -> None:
    """In order, as TCP delivers: so many at once, when the last of them is due."""
    timeline, number = caller(), 0
    for burst in bursts:
        now_s = (number + burst) * FRAME_S
        timeline.advance(now_s)
        for _ in range(burst):
            timeline.push(now_s, loud(number))
            number += 1
    expected = [(each * FRAME, each) for each in range(number)]
    assert starts(samples_of(timeline, number * FRAME_S)) == expected
    assert timeline.gaps == timeline.slips == 0


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), min_size=1, max_size=12),
    st.lists(st.integers(1, 400), min_size=1, max_size=7),
)
def test_silence_is_kept_at_its_true_length_however_it_is_cut(
    turns: list[tuple[int, int]], sizes: list[int]
) -> None:
    timeline = caller()
    expected: list[int] = []
    number = 0
    cuts = itertools.cycle(sizes)
    for silent_frames, loud_frames in turns:
        gap = 0 if silent_frames * FRAME_S < GAP_S else silent_frames * FRAME
        expected += [0] * gap
        pcm = b"".join(loud(number + k) for k in range(loud_frames))
        number += loud_frames
        while pcm:
            piece, pcm = pcm[: (size := 2 * next(cuts))], pcm[size:]
            expected += np.frombuffer(piece, "<i2").tolist()
            timeline.push(len(expected) / RATE_HZ, piece)
            timeline.advance(len(expected) / RATE_HZ)
    assert samples_of(timeline, len(expected) / RATE_HZ) == expected
    assert timeline.slips == 0


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 20), st.booleans()), min_size=1, max_size=20))
def test_a_run_of_ours_stands_exactly_where_it_was_heard(runs: list[tuple[float, int, bool]]) -> None:
    timeline, at_s, number = ours(), 0.0, 0
    expected = []
    for pause_s, frames, is_looked_at in runs:
        at_s += pause_s
        for frame in range(frames):
            begin_s = at_s + frame * FRAME_S
            expected.append((round(begin_s * RATE_HZ), number))
            timeline.push(begin_s + FRAME_S, loud(number), is_first=frame == 0)
            number += 1
        at_s += frames * FRAME_S
        if is_looked_at:
            timeline.advance(at_s)
    found = starts(samples_of(timeline, at_s))
    assert [number for _, number in found] == [number for _, number in expected]
    assert all(abs(at - true) <= 1 for (at, _), (true, _) in zip(found, expected, strict=True))


def drifting(
    ppm: float, *, hours: float, speech: bool, jitter_s: float = 0.0, frames: int = 1
) -> tuple[float, Timeline]:
    """A peer whose clock is wrong, in pieces of so many frames; returns by how much one ever stood off its place."""
    timeline, rng = caller(), random.Random(5)
    samples = FRAME * frames
    frame_s = FRAME_S * frames * (1 + ppm / 1e6)
    loud_frame, quiet_frame = loud(0, samples), np.full(samples, QUIET_PEAK, "<i2").tobytes()
    worst_s, now_s = 0.0, 0.0
    for number in range(round(hours * HOUR_S / FRAME_S / frames)):
        true_s = (number + 1) * frame_s
        now_s = max(now_s, true_s + rng.random() * jitter_s)
        is_quiet = speech and number * frames % 150 >= 140  # a breath of 200 ms, every three seconds
        timeline.push(now_s, quiet_frame if is_quiet else loud_frame)
        if number % 25 == 24:
            timeline.advance(now_s)
            timeline.take(timeline.ready)
            waiting = len(timeline._pieces)
            placed_s = (number + 1 - waiting) * frame_s
            worst_s = max(worst_s, abs(timeline.end / RATE_HZ - placed_s))
    return worst_s, timeline


SLOW = pytest.mark.slow
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


@pytest.mark.parametrize(
    ("ppm", "frames"),
    [
        (-1000, 5), (1000, 5), (0, 5),
        *(pytest.param(ppm, 1, marks=SLOW) for ppm in (-1000, -100, 0, 100, 1000)),
    ],
)  # fmt: skip
def test_after_two_hours_a_wrong_clock_is_off_by_no_more_than_a_frame(ppm: int, frames: int) -> None:
    hours = 2.0 if frames > 1 or SOAK_SECONDS >= 60 else 0.2
    worst_s, timeline = drifting(ppm, hours=hours, speech=True, frames=frames)
    assert worst_s <= SLIP_S + 0.005
    assert timeline.slips == pytest.approx(abs(ppm) / 1e6 * hours * HOUR_S / SLIP_S, abs=3, rel=0.2)


@pytest.mark.parametrize("ppm", [-1000, 1000])
def test_without_any_quiet_it_is_off_by_no_more_than_a_gap(ppm: int) -> None:
    worst_s, _ = drifting(ppm, hours=0.1, speech=False)
    assert worst_s <= GAP_S + 0.005


def test_a_network_that_jitters_moves_nothing() -> None:
    worst_s, timeline = drifting(0, hours=0.05, speech=True, jitter_s=0.05)
    assert worst_s <= SLIP_S + 0.005
    assert timeline.slips == timeline.gaps == 0


def test_a_stall_is_no_silence() -> None:
    timeline, at_s = caller(), 0.0
    for number in range(400):
        at_s = (number + 1) * FRAME_S
        if 100 <= number < 300:  # 4 s, and then all at once
            continue
        if number == 300:
            for held in range(100, 300):
                timeline.push(at_s, loud(held))
        timeline.push(at_s, loud(number))
        timeline.advance(at_s)
    assert starts(samples_of(timeline, at_s)) == [(number * FRAME, number) for number in range(400)]


def test_a_stall_that_is_too_long_is_late_and_catches_up_without_a_hole_in_a_word() -> None:
    timeline = caller()
    timeline.push(FRAME_S, loud(0))
    for second in range(12):
        timeline.advance(float(second))
    assert timeline.ready == 6 * RATE_HZ  # 5 s are held; what is older was silence
    for number in range(1, 600):
        timeline.push(12.0, loud(number))
    for number in range(600, 6000):
        at_s = (number + 1) * FRAME_S
        timeline.push(at_s, loud(number) if number % 100 < 90 else bytes(2 * FRAME))
        timeline.advance(at_s)
    found = {number: at for at, number in starts(samples_of(timeline, 120.0))}
    late = {number: (at - number * FRAME) / RATE_HZ for number, at in found.items()}
    assert late[1] == pytest.approx(6.0, abs=0.05)
    assert abs(late[5080]) <= GAP_S
    assert timeline.gaps == 0


def test_a_long_silence_costs_no_memory() -> None:
    timeline = caller()
    timeline.push(FRAME_S, loud(0))
    timeline.advance(1e7)  # four months, in a machine that slept
    assert len(timeline._out) == 2
    timeline.push(1e7 + 1, loud(1))
    timeline.finish(1e7 + 1)
    assert timeline.gaps == 1
    assert timeline.ready == round((1e7 + 1) * RATE_HZ)
    assert len(timeline.take(1000)) == 2000


def test_nothing_is_nothing() -> None:
    timeline = caller()
    timeline.push(1.0, b"")
    timeline.advance(0.5)
    assert timeline.ready == 0
    assert samples_of(timeline, 2.0) == [0] * 2 * RATE_HZ
