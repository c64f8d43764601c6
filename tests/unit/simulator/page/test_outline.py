# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.simulator.page.outline import HALF, HEIGHT, Drawn, depth_path, peak_of, wave_path
from audio_connector.simulator.trace import Envelope, Series

loud = st.tuples(st.integers(-32768, 0), st.integers(0, 32767))
quiet = st.just((0, 0))


def corners(d: str) -> list[tuple[int, int]]:
    """The absolute corners of a path of ``M`` and ``l`` commands."""
    found: list[tuple[int, int]] = []
    for piece in re.findall(r"M(\d+) (\d+)l([-\d ]+)Z", d):
        x, y = int(piece[0]), int(piece[1])
        steps = [int(number) for number in piece[2].split()]
        found.append((x, y))
        for dx, dy in zip(steps[::2], steps[1::2], strict=True):
            x, y = x + dx, y + dy
            found.append((x, y))
        assert (x, y) == (int(piece[0]), int(piece[1])), "a piece ends where it began"
    return found


def test_a_waveform_begins_and_ends_with_the_sound() -> None:
    drawn = wave_path(
        Envelope(0.02, ((0, 0), (0, 0), (-16384, 8192), (-8192, 16384), (0, 0))), top=0.5, columns=100
    )
    assert (drawn.units, drawn.seconds) == (10, 0.1)
    assert corners(drawn.d) == [
        (4, HALF), (5, HALF - 150), (7, HALF - 300), (8, HALF), (7, HALF + 150), (5, HALF + 300), (4, HALF),
    ]  # fmt: skip


@given(st.lists(loud | quiet, min_size=1, max_size=300), st.integers(1, 80))
def test_putting_bins_together_keeps_the_extremes_and_the_extent(
    peaks: list[tuple[int, int]], columns: int
) -> None:
    drawn = wave_path(Envelope(0.02, tuple(peaks)), top=1.0, columns=columns)
    assert drawn.units <= 2 * columns
    assert drawn.seconds == pytest.approx(0.02 * len(peaks), abs=0.02 * -(-len(peaks) // columns))
    found = corners(drawn.d)
    sounds = [number for number, (low, high) in enumerate(peaks) if low or high]
    assert bool(found) == bool(sounds)
    if not found:
        return
    unit_s = drawn.seconds / drawn.units
    group_s = 2 * unit_s
    assert min(x for x, _ in found) * unit_s == pytest.approx(0.02 * sounds[0], abs=group_s)
    assert max(x for x, _ in found) * unit_s == pytest.approx(0.02 * (sounds[-1] + 1), abs=group_s)
    highest, lowest = max(high for _, high in peaks), min(low for low, _ in peaks)
    assert min(y for _, y in found) == pytest.approx(HALF - HALF * highest / 32768, abs=1)
    assert max(y for _, y in found) == pytest.approx(HALF - HALF * lowest / 32768, abs=1)


def test_what_is_beyond_the_axis_is_at_its_edge() -> None:
    found = corners(wave_path(Envelope(0.02, ((-32768, 32767),)), top=0.5, columns=10).d)
    assert {y for _, y in found} == {0, HALF, 2 * HALF}


def test_the_peak_is_the_greatest_of_both_sides() -> None:
    assert peak_of(Envelope(0.02, ((-8192, 100), (0, 4096)))) == 0.25
    assert peak_of(Envelope(0.02)) == 0


def test_a_depth_is_drawn_as_steps() -> None:
    drawn = depth_path(Series(0.02, (0.0, 100.0, 100.0, 50.0)), top=100, columns=10)
    assert drawn == Drawn(f"M0 {HEIGHT}V{HEIGHT}H1V0H3V{HEIGHT // 2}H4V{HEIGHT}Z", 4, 0.08)


def test_putting_bins_of_a_depth_together_keeps_the_greatest() -> None:
    drawn = depth_path(Series(0.02, (0.0, 100.0, 0.0, 0.0, 50.0)), top=100, columns=3)
    assert drawn == Drawn(f"M0 {HEIGHT}V0H1V{HEIGHT}H2V{HEIGHT // 2}H3V{HEIGHT}Z", 3, 0.12)


def test_what_is_empty_has_no_path() -> None:
    assert wave_path(Envelope(0.02), top=1.0, columns=10) == Drawn("", 0, 0.0)
    assert wave_path(Envelope(0.02, ((0, 0),) * 3), top=1.0, columns=10).d == ""
    assert depth_path(Series(0.02), top=100, columns=10) == Drawn("", 0, 0.0)
    assert depth_path(Series(0.02, (0.0, 0.0)), top=100, columns=10).d == ""
