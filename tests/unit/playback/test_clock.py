# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.player import about

from audio_connector.playback.clock import RunClock


def started(now: float = 100.0, sent: int = 0) -> RunClock:
    clock = RunClock()
    clock.start(now)
    clock.send(sent)
    return clock


def test_without_a_run_nothing_is_heard() -> None:
    clock = RunClock()
    assert clock.heard(1e9) == 0
    assert clock.dry_at_s < 0
    clock.correct(1e9, 5)
    assert clock.heard(1e9) == 0


@given(start=st.floats(0.0, 1e6), sent=st.integers(0, 1000), after=st.integers(-10, 1200))
def test_frame_k_is_heard_at_the_anchor_plus_k_frames(start: float, sent: int, after: int) -> None:
    clock = started(start, sent)
    assert clock.heard(start + after * 0.02) == max(0, min(sent, after))
    assert (start + after * 0.02 >= clock.dry_at_s) == (after >= sent)
    assert clock.dry_at_s == about(start + sent * 0.02)


@given(start=st.floats(0.0, 1e6), lead_frames=st.integers(2, 100), after=st.integers(0, 1000))
def test_frames_are_due_one_lead_earlier(start: float, lead_frames: int, after: int) -> None:
    clock = started(start)
    assert clock.due(start + after * 0.02, lead_frames * 0.02) == after + lead_frames + 1
    clock.send(after)
    assert clock.due(start + after * 0.02, lead_frames * 0.02) == lead_frames + 1


def test_runs_add_up() -> None:
    clock = started(sent=10)
    clock.end(10)
    assert (clock.heard_before, clock.sent, clock.anchor_s) == (10, 0, None)
    clock.start(200.0)
    clock.send(10)
    clock.end(4)
    assert clock.heard_before == 14


@given(corrections=st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(-5, 60)), max_size=30))
def test_a_correction_never_takes_back(corrections: list[tuple[float, int]]) -> None:
    clock, now, heard = started(sent=50), 100.0, 0
    for after_s, frames in corrections:
        now += after_s
        assert heard <= clock.heard(now) <= 50
        heard = clock.heard(now)
        clock.correct(now, frames)
        if 0 < frames <= 50:
            assert clock.heard(now) == max(heard, frames)
        else:
            assert clock.heard(now) == heard
        heard = clock.heard(now)


def test_a_new_run_knows_nothing_of_old_corrections() -> None:
    clock = started(sent=50)
    clock.correct(100.1, 40)
    clock.correct(100.1, 10)
    assert clock.heard(100.1) == 40
    clock.end(40)
    clock.start(200.0)
    clock.sent = 50
    assert clock.heard(200.1) == 5
