# SPDX-License-Identifier: Apache-2.0
"""When silence is due: all that was missed and not more, at its time, to who waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.intake.gaps import FRAME_S, Gap

START_S = 5000.0


def test_silence_begins_with_what_was_missed_and_then_keeps_pace() -> None:
    gap = Gap(0.5, 10.0)
    gap.note_audio(START_S)
    deadline = gap.begin_to_wait(START_S + 0.1)
    assert deadline == START_S + 0.5
    assert gap.frames_due(START_S + 0.4) == 0
    assert gap.frames_due(deadline) == 25
    for index in range(1, 50):
        deadline = gap.next_deadline()
        assert abs(deadline - (START_S + 0.5 + index * FRAME_S)) < 1e-6
        assert gap.frames_due(deadline) == 1


def test_audio_ends_it() -> None:
    gap = Gap(0.5, 10.0)
    gap.note_audio(START_S)
    gap.begin_to_wait(START_S)
    gap.frames_due(START_S + 0.5)
    gap.note_audio(START_S + 0.51)
    assert gap.begin_to_wait(START_S + 0.52) == START_S + 1.01
    assert gap.frames_due(START_S + 0.6) == 0


def test_before_the_first_audio_it_counts_from_when_somebody_waits() -> None:
    gap = Gap(0.5, 10.0)
    assert gap.begin_to_wait(START_S) == START_S + 0.5
    assert gap.begin_to_wait(START_S + 0.2) == START_S + 0.5
    assert gap.frames_due(START_S + 0.5) == 25


def test_a_loop_that_was_blocked_is_no_gap() -> None:
    gap = Gap(0.5, 10.0)
    gap.note_audio(START_S)
    gap.begin_to_wait(START_S)
    assert gap.frames_due(START_S + 3.0) == 0, "what came meanwhile is about to be handed over"
    assert gap.next_deadline() == START_S + 3.0 + FRAME_S
    assert gap.frames_due(START_S + 3.0 + FRAME_S) == 151, "nothing came"


def test_who_comes_late_is_owed_a_bounded_amount() -> None:
    gap = Gap(0.5, 2.0)
    gap.note_audio(START_S)
    gap.begin_to_wait(START_S + 60.0)
    gap.frames_due(START_S + 60.0)
    assert gap.frames_due(START_S + 60.0 + FRAME_S) == 100


@given(
    delays=st.lists(st.floats(0.0, 0.3), min_size=1, max_size=60),
    gap_s=st.sampled_from([0.06, 0.5, 2.0]),
)
def test_silence_is_as_long_as_the_time_that_has_passed(delays: list[float], gap_s: float) -> None:
    gap = Gap(gap_s, 1e9)
    gap.note_audio(START_S)
    now, frames = START_S, 0
    for delay in delays:
        now = max(now, gap.begin_to_wait(now)) + delay
        due = gap.frames_due(now)
        if not due:
            now = gap.next_deadline()
            due = gap.frames_due(now)
        assert due
        frames += due
        assert frames * FRAME_S <= now - START_S + 1e-4
        assert frames * FRAME_S > now - START_S - FRAME_S - 1e-4
