# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.simulator import observer as module
from audio_connector.simulator.observer import MAX_NOTES, Observer
from audio_connector.simulator.trace import BargeIn, Turn

LOUD = b"\x00\x10" * 320
ZEROS = bytes(640)
ORIGIN = 5000.0


class Listening:
    """An observer that is told of a call in frames of 20 ms."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.observer = Observer(waiting=lambda: self.waiting)
        self.observer.origin = ORIGIN

    def say(self, begin_s: float, end_s: float) -> None:
        """The participant is loud."""
        for at in range(round(begin_s * 50), round(end_s * 50)):
            self.observer.said(at * 0.02, is_loud=True)
        self.observer.said(end_s, is_loud=False)

    def pause(self, begin_s: float, end_s: float) -> None:
        for at in range(round(begin_s * 50), round(end_s * 50)):
            self.observer.said(at * 0.02, is_loud=False)

    def play(self, begin_s: float, end_s: float, frame: bytes = LOUD) -> None:
        """The session hears the bot."""
        for at in range(round(begin_s * 50), round(end_s * 50)):
            self.observer.played(frame, ORIGIN + at * 0.02)

    def receive(self, *times_s: float, frame: bytes = LOUD) -> None:
        for at_s in times_s:
            self.observer.received(frame, ORIGIN + at_s)

    def clear(
        self, at_s: float, dropped_ms: float = 0.0, *, now_s: float | None = None, heard: bool = True
    ) -> None:
        now = ORIGIN + (at_s if now_s is None else now_s)
        self.observer.cleared(ORIGIN + at_s, now, dropped_ms, was_heard=heard)

    def look(self, at_s: float) -> None:
        self.observer.look(ORIGIN + at_s)

    @property
    def turns(self) -> list[Turn]:
        return self.observer.turns

    @property
    def barge_ins(self) -> tuple[BargeIn, ...]:
        return self.observer.all_barge_ins()


def about(value: float) -> Any:
    return pytest.approx(value, abs=1e-6)


# Turns.


def test_a_turn_is_from_the_last_word_to_the_first_sound() -> None:
    call = Listening()
    call.say(1.0, 2.0)
    call.pause(2.0, 3.0)
    call.play(2.7, 3.0)
    [turn] = call.turns
    assert (turn.speech_end_s, turn.reply_at_s, turn.latency_ms) == (about(2.0), about(2.7), about(700))


def test_a_pause_between_two_words_is_no_end() -> None:
    call = Listening()
    call.say(1.0, 2.0)
    call.pause(2.0, 2.38)
    call.say(2.38, 2.5)
    call.play(3.0, 3.1)
    assert call.turns == [Turn(about(2.5), about(3.0))]


def test_what_began_between_two_words_was_no_answer() -> None:
    call = Listening()
    call.say(1.0, 1.1)
    call.pause(1.1, 1.2)
    call.play(1.12, 2.0)  # such as a greeting, which waited for nobody
    assert len(call.turns) == 1
    call.say(1.2, 1.5)
    assert call.turns == []
    call.pause(1.5, 2.6)
    call.play(2.5, 3.0)
    assert call.turns == [Turn(about(1.5), about(2.5))]


def test_a_click_is_no_word_and_a_quiet_sound_no_answer() -> None:
    call = Listening()
    call.say(1.0, 1.04)
    call.pause(1.04, 1.1)
    call.say(1.1, 1.14)
    call.play(1.5, 1.6)
    assert call.turns == []
    call.say(2.0, 2.06)
    call.play(2.5, 2.6, frame=b"\x01\x00" * 320)
    assert call.turns == []
    call.play(2.6, 2.7)
    assert call.turns == [Turn(about(2.06), about(2.6))]


def test_one_answer_per_question_however_many_sentences_it_has() -> None:
    call = Listening()
    call.say(1.0, 1.5)
    call.play(2.0, 2.5)
    call.play(3.5, 4.0)
    assert len(call.turns) == 1
    call.pause(1.5, 5.0)
    call.say(5.0, 5.2)
    call.play(6.0, 6.2)
    assert call.turns[1:] == [Turn(about(5.2), about(6.0))]


def test_a_greeting_is_no_answer() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.say(1.2, 1.5)
    assert call.turns == []
    call.play(2.0, 2.1)
    assert call.turns == [Turn(about(1.5), about(2.0))]


# Barge-ins.


def test_a_barge_in_from_the_first_word_over_clear_to_silence() -> None:
    call = Listening()
    call.play(0.0, 0.7)
    call.say(0.5, 0.7)
    assert call.barge_ins == (BargeIn(speech_at_s=about(0.5)),)
    call.clear(0.7, 2000)
    call.clear(0.701)  # the second form of the same flush
    call.play(0.7, 0.72)
    call.look(0.74)
    assert call.barge_ins[0].silent_at_s is None
    call.look(0.75)
    assert call.barge_ins[0].silent_at_s is None  # something may still come
    call.look(0.79)
    [barge_in] = call.barge_ins
    assert barge_in == BargeIn(about(0.5), about(0.7), about(0.72), 2000, 0.0)


def test_a_clear_alone_is_a_barge_in_and_one_of_nothing_is_none() -> None:
    call = Listening()
    call.clear(0.5, heard=False)
    assert not call.observer.barge_ins
    call.play(1.0, 1.22)
    call.clear(1.205, 400)
    call.look(1.3)
    assert call.barge_ins == (BargeIn(None, about(1.205), about(1.22), 400, 0.0),)


def test_a_bot_that_is_just_in_time_does_not_end_in_its_own_holes() -> None:
    call = Listening()
    for at in range(60):  # a frame, and a hole of 30 ms behind it
        call.observer.played(LOUD, ORIGIN + at * 0.05)
        if at == 20:
            call.say(1.0, 1.06)
        call.look(at * 0.05 + 0.045)
    assert call.barge_ins == (BargeIn(speech_at_s=about(1.0)),)
    call.look(2.97 + 0.39)
    assert call.barge_ins[0].silent_at_s is None
    call.look(2.97 + 0.41)
    assert call.barge_ins == (BargeIn(about(1.0), None, about(2.97)),)


def test_a_clear_that_comes_after_the_bots_own_end_does_not_count() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.say(0.9, 1.0)
    call.clear(1.2, heard=False)
    assert call.barge_ins == (BargeIn(about(0.9), None, about(1.0)),)


def test_a_clear_between_two_words_is_silence_at_once() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 1.3, frame=ZEROS)
    call.clear(1.25, 500)
    call.look(1.4)
    assert call.barge_ins == (BargeIn(None, about(1.25), about(1.25), 500),)
    assert call.barge_ins[0].latency_ms == 0


def test_a_bot_that_sends_zeros_without_pause_falls_silent_as_well() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.say(0.5, 0.8)
    call.clear(1.0, 300)
    for at in range(50, 100):
        call.receive(at * 0.02, frame=ZEROS)
        call.play(at * 0.02, (at + 1) * 0.02, frame=ZEROS)
        call.look(at * 0.02 + 0.019)
    [barge_in] = call.barge_ins
    assert (barge_in.silent_at_s, barge_in.stale_ms) == (about(1.0), 0)
    call.play(2.0, 2.1)
    assert call.turns == [Turn(about(0.8), about(2.0))]


def test_an_echo_is_nobody_who_is_spoken_over() -> None:
    call = Listening()
    for begin in (1.0, 2.0, 3.0):
        for at in range(round(begin * 50), round(begin * 50) + 25):
            call.observer.said(at * 0.02, is_loud=True)
            call.observer.played(LOUD, ORIGIN + at * 0.02 + 0.001)
        call.pause(begin + 0.5, begin + 1.0)
    assert not call.barge_ins
    assert not call.turns


def test_a_bot_that_only_breathes_is_not_spoken_over() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 2.0, frame=b"\x01\x00" * 320)
    call.say(1.5, 2.0)
    assert not call.barge_ins
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 1.3, frame=b"\x01\x00" * 320)
    call.say(1.2, 2.0)  # before its pause is one
    assert len(call.barge_ins) == 1


def test_who_speaks_between_two_words_of_the_bot_interrupts_it() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 1.3, frame=ZEROS)
    call.say(1.2, 1.3)
    assert not call.barge_ins  # it may have been its last word
    call.play(1.3, 1.5)
    assert call.barge_ins == (BargeIn(speech_at_s=about(1.2)),)
    call.clear(1.5, 300)
    call.look(1.6)
    assert call.barge_ins == (BargeIn(about(1.2), about(1.5), about(1.5), 300),)
    assert call.barge_ins[0].speech_to_silence_ms == about(300)


def test_who_speaks_in_a_pause_that_a_clear_makes_the_end_has_interrupted() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 1.2, frame=ZEROS)
    call.say(1.2, 1.3)
    call.play(1.2, 1.4, frame=ZEROS)
    call.clear(1.38, 500)
    call.look(1.5)
    [barge_in] = call.barge_ins
    assert (barge_in.speech_at_s, barge_in.silent_at_s) == (about(1.2), about(1.38))


def test_a_clear_after_the_first_frame_of_speech_belongs_to_it() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.observer.said(0.9, is_loud=True)
    call.clear(0.91, 500)
    call.look(1.1)
    call.say(0.92, 1.2)
    assert call.barge_ins == (BargeIn(about(0.9), about(0.91), about(1.0), 500),)


def test_a_clear_has_nothing_to_do_with_a_click_or_a_word_of_long_ago() -> None:
    call = Listening()
    call.play(0.0, 3.0)
    call.say(0.5, 0.52)
    call.clear(2.9, 500)
    call.look(3.2)
    assert [each.speech_at_s for each in call.barge_ins] == [None]
    call = Listening()
    call.play(0.0, 1.0)
    call.say(1.2, 1.4)
    call.pause(1.4, 5.0)
    call.play(5.0, 6.0)
    call.clear(5.9, 500)
    call.look(6.2)
    assert [each.speech_at_s for each in call.barge_ins] == [None]


def test_who_speaks_while_sound_waits_interrupts_however_long_the_pause() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.waiting = [ZEROS] * 20 + [LOUD]
    call.say(1.6, 1.8)
    assert call.barge_ins == (BargeIn(speech_at_s=about(1.6)),)
    call = Listening()
    call.play(0.0, 1.0)
    call.waiting = [ZEROS] * 20
    call.say(1.6, 1.8)
    assert not call.barge_ins


def test_who_speaks_after_the_bots_last_word_answers_it() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.play(1.0, 3.0, frame=ZEROS)
    call.say(1.2, 2.0)
    call.look(3.0)
    call.play(3.0, 3.2)
    assert not call.barge_ins
    assert call.turns == [Turn(about(2.0), about(3.0))]


def test_what_goes_on_after_a_clear_is_stale() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.clear(1.0, 0)
    call.receive(1.03, 1.08, 1.13)  # each within three frames of the one before
    call.play(1.04, 1.16)
    call.look(1.23)
    call.receive(1.3)
    assert call.barge_ins == (BargeIn(None, about(1.0), about(1.16), 0.0, 60.0),)


def test_a_clear_that_waited_begins_its_time_when_it_is_obeyed() -> None:
    """A slow reader has read audio and clear long before it comes to them."""
    call = Listening()
    call.play(0.0, 2.0)
    call.clear(1.0, 100, now_s=2.0)
    call.receive(2.05)
    call.look(2.2)
    assert call.barge_ins == (BargeIn(None, about(1.0), about(2.0), 100, 20.0),)


def test_an_answer_soon_after_the_silence_is_a_turn() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.say(0.5, 0.9)
    call.clear(0.98, 0)
    call.look(1.07)
    call.play(1.1, 1.2)
    assert call.turns == [Turn(about(0.9), about(1.1))]
    assert call.barge_ins[0].silent_at_s == about(1.0)


def test_while_the_participant_speaks_on_an_interruption_goes_on() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.say(0.5, 2.0)
    call.play(1.6, 1.8)  # the bot has only made a pause, and its silence was not looked at
    call.clear(1.8, 100)
    call.look(1.9)
    assert call.barge_ins == (BargeIn(about(0.5), about(1.8), about(1.8), 100),)


def test_a_call_that_ends_in_a_barge_in_has_seen_no_silence() -> None:
    call = Listening()
    call.play(0.0, 1.0)
    call.clear(0.5, 100)
    [barge_in] = call.barge_ins
    assert (barge_in.silent_at_s, barge_in.latency_ms) == (None, None)


# Jitter.


def test_jitter_is_that_of_rfc_3550() -> None:
    call = Listening()
    call.receive(*(at * 0.02 for at in range(50)))
    assert call.observer.jitter_s == about(0.0)
    call.receive(0.98 + 0.036)  # 16 ms late
    assert call.observer.jitter_s == about(0.001)
    call.receive(2.0)  # after a pause, which is no jitter
    assert call.observer.jitter_s == about(0.001)
    assert call.observer.jitter_peak_s == about(0.001)
    call.receive(*(2.02 + at * 0.02 for at in range(50)))
    assert call.observer.jitter_s < 0.0001
    assert call.observer.jitter_peak_s == about(0.001)


# Whatever happens.


FACTS = st.tuples(
    st.sampled_from(["loud", "quiet", "bot", "bot zeros", "message", "clear", "idle clear", "look"]),
    st.integers(0, 30),
)


@given(st.lists(FACTS, max_size=80))
def test_no_latency_is_negative_whatever_happens(facts: list[tuple[str, int]]) -> None:
    call = Listening()
    observer = call.observer
    tick, playing_until = 0, 0
    for what, length in facts:
        for _ in range(length if what in ("loud", "quiet", "bot", "bot zeros") else 1):
            at_s = tick * 0.02
            now = ORIGIN + at_s
            observer.said(at_s, is_loud=what == "loud")
            if what.startswith("bot"):
                observer.received(LOUD if what == "bot" else ZEROS, now)
                observer.played(LOUD if what == "bot" else ZEROS, now)
                playing_until = tick + 1
            elif what == "message":
                observer.received(LOUD, now)
            elif what.endswith("clear"):
                # A clear may have waited, and there is something to hear while a frame plays.
                observer.cleared(now - 0.005, now, 20.0, was_heard=playing_until > tick)
            observer.look(now + 0.019)
            tick += 1
    for turn in observer.turns:
        assert turn.latency_ms >= 0
    for barge_in in observer.all_barge_ins():
        assert barge_in.speech_at_s is not None or barge_in.clear_at_s is not None
        for latency_ms in (barge_in.latency_ms, barge_in.speech_to_silence_ms):
            assert latency_ms is None or latency_ms >= -1e-6
        assert barge_in.stale_ms >= 0
    ends = [turn.speech_end_s for turn in observer.turns]
    assert ends == sorted(set(ends))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_NOTES == 10_000
    monkeypatch.setattr(module, "MAX_NOTES", 5)
    call = Listening()
    for second in range(0, 40, 2):
        call.say(second, second + 0.1)
        call.pause(second + 0.1, second + 1.0)
        call.play(second + 1.0, second + 1.1)
        call.clear(second + 1.1)
        call.look(second + 1.3)
    assert (len(call.turns), len(call.barge_ins)) == (5, 5)
