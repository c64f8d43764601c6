# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.turns import ended, going, started

from audio_connector.errors import UsageError
from audio_connector.turns import (
    BargeIn,
    BargeInMachine,
    Decision,
    Silence,
    SpeechPaused,
    TurnEvent,
)

PAUSE, RESUME, INTERRUPT = Decision.PAUSE, Decision.RESUME, Decision.INTERRUPT


def decisions(machine: BargeInMachine, *events: TurnEvent, we_speak: bool = True) -> list[Decision | None]:
    return [machine.take(event, we_speak=we_speak) for event in events]


def test_we_fall_silent_at_the_first_sound_and_drop_it_all_once_it_is_speech() -> None:
    machine = BargeInMachine(BargeIn(min_speech_ms=250))
    assert decisions(machine, started(), going(0.2), going(0.25)) == [PAUSE, None, INTERRUPT]
    assert not machine.is_held


def test_a_cough_lets_us_go_on_after_a_while() -> None:
    machine = BargeInMachine(BargeIn(min_speech_ms=250, resume_after_ms=300))
    assert decisions(machine, started(), going(0.3, 0.2), going(0.42, 0.32)) == [PAUSE, None, RESUME]
    assert decisions(machine, going(0.5, 0.4), ended(0.1)) == [None, None]


def test_a_cough_that_goes_on_before_that_is_an_interruption() -> None:
    machine = BargeInMachine(BargeIn(min_speech_ms=250, resume_after_ms=300))
    assert decisions(machine, started(), going(0.2, 0.1), going(0.22)) == [PAUSE, None, None]
    assert decisions(machine, going(0.26)) == [INTERRUPT]


def test_after_a_false_alarm_the_next_sound_of_the_same_utterance_holds_again() -> None:
    machine = BargeInMachine(BargeIn(min_speech_ms=800, resume_after_ms=100))
    assert decisions(machine, started(), going(0.3, 0.2), going(0.4)) == [PAUSE, RESUME, PAUSE]


def test_the_end_of_the_utterance_is_the_end_of_a_false_alarm_whatever_is_set() -> None:
    machine = BargeInMachine(BargeIn(resume_after_ms=10_000))
    assert decisions(machine, started(), ended(0.2)) == [PAUSE, RESUME]


def test_without_a_pause_we_speak_on_until_it_is_certain() -> None:
    machine = BargeInMachine(BargeIn(pause_first=False))
    assert decisions(machine, started(), going(0.2), going(0.25)) == [None, None, INTERRUPT]


def test_where_words_are_wanted_a_noise_of_any_length_is_none() -> None:
    machine = BargeInMachine(BargeIn(min_words=2))
    assert decisions(machine, started(), going(5.0), going(5.5, 0.4)) == [PAUSE, None, RESUME]
    assert machine.heard(1, we_speak=True) is None
    assert machine.heard(2, we_speak=True) is INTERRUPT


def test_words_that_come_behind_the_utterance_still_count_for_it() -> None:
    machine = BargeInMachine(BargeIn(min_words=1))
    assert decisions(machine, started(), going(0.5), ended(0.5)) == [PAUSE, None, RESUME]
    assert machine.heard(3, we_speak=True) is INTERRUPT
    assert machine.heard(3, we_speak=True) is None  # once


def test_words_of_what_was_said_before_we_spoke_interrupt_nothing() -> None:
    machine = BargeInMachine(BargeIn(min_words=1))
    assert decisions(machine, started(), going(0.5), ended(0.5), we_speak=False) == [None] * 3
    assert machine.heard(5, we_speak=True) is None


def test_late_words_that_were_said_over_something_else_interrupt_nothing() -> None:
    machine = BargeInMachine(BargeIn(min_words=1))
    assert decisions(machine, started(), going(0.5)) == [PAUSE, None]
    assert decisions(machine, going(0.6), ended(0.6), we_speak=False) == [None, None]
    assert machine.heard(3, we_speak=True) is None, "what was spoken over had ended before we began anew"


def test_words_of_one_utterance_do_not_count_for_the_next() -> None:
    machine = BargeInMachine(BargeIn(min_words=1, min_speech_ms=100))
    decisions(machine, started(), going(0.5), we_speak=False)
    machine.heard(5, we_speak=False)
    assert decisions(machine, ended(0.5), started()) == [None, PAUSE]


def test_who_speaks_as_we_begin_is_heard_out() -> None:
    machine = BargeInMachine()
    assert decisions(machine, started(), going(3.0), we_speak=False) == [None, None]
    assert decisions(machine, going(3.02)) == [INTERRUPT]


def test_while_we_are_silent_nothing_is_decided_and_silence_never_decides() -> None:
    machine = BargeInMachine()
    assert decisions(machine, started(), going(3.0), ended(3.0), we_speak=False) == [None] * 3
    paused = SpeechPaused(start_s=0, end_s=3, at_s=3.2, audio=b"", sample_rate=16000, audio_start_s=0)
    assert decisions(machine, Silence(start_s=0, at_s=1), paused) == [None, None]


def test_an_utterance_that_was_cut_for_its_length_is_the_same_one() -> None:
    machine = BargeInMachine(BargeIn(min_words=1))
    assert decisions(machine, started(), started(30, continues=True)) == [PAUSE, None]
    assert machine.heard(1, we_speak=True) is INTERRUPT


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "go on", "pause", "end", "words"]), st.booleans(), st.integers(0, 30)
    ),
    max_size=40,
)


@given(STEPS, st.builds(BargeIn, min_words=st.integers(0, 2), pause_first=st.booleans()))
def test_whatever_comes_holding_and_going_on_alternate(
    steps: list[tuple[str, bool, int]], policy: BargeIn
) -> None:
    machine = BargeInMachine(policy)
    is_held = False
    for what, we_speak, tenths in steps:
        at_s = tenths / 10
        if what == "words":
            decision = machine.heard(tenths % 4, we_speak=we_speak)
        else:
            events: dict[str, TurnEvent] = {
                "start": started(at_s), "go on": going(at_s), "pause": going(at_s, at_s), "end": ended(at_s),
            }  # fmt: skip
            decision = machine.take(events[what], we_speak=we_speak)
            is_held = is_held and we_speak  # nothing is left that could be held
        assert decision is None or we_speak
        assert decision is not PAUSE or (policy.pause_first and not is_held)
        assert decision is not RESUME or is_held
        is_held = (is_held or decision is PAUSE) and decision not in (RESUME, INTERRUPT)
        assert machine.is_held == is_held


def test_a_policy_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="BargeIn: min_words=-1"):
        BargeIn(min_words=-1)
