# SPDX-License-Identifier: Apache-2.0
"""The buffer is bounded, drops the oldest audio and never a text, keeps the order, and counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.intake.buffer import MAX_TEXT_BYTES, MIN_MESSAGE_BYTES, IntakeBuffer

Buffer = IntakeBuffer[str]


def buffer(max_audio_bytes: int = 1000, max_texts: int = 10) -> Buffer:
    return IntakeBuffer(max_audio_bytes=max_audio_bytes, max_texts=max_texts)


def wanted_buffer(max_audio_bytes: int = 1000) -> Buffer:
    """One whose application takes all that comes."""
    real = buffer(max_audio_bytes)
    real.want(True, True, is_settled=True)
    return real


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 400)),
        st.tuples(st.just("text"), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.just("want"), st.integers(0, 7)),
    ),
    max_size=120,
)


class Model:
    """One list of all that waits, and what the rules of the module say of it."""

    def __init__(self) -> None:
        self.waiting: list[bytes | str] = []
        self.wants: dict[type, bool] = {bytes: False, str: False}
        self.is_settled = self.is_dropping = False
        self.episodes = self.dropped = self.unwanted = 0

    def of(self, kind: type) -> list[bytes | str]:
        return [item for item in self.waiting if isinstance(item, kind)]

    def want(self, audio: bool, texts: bool, is_settled: bool) -> None:
        self.wants, self.is_settled = {bytes: audio, str: texts}, is_settled
        for kind, wanted in self.wants.items():
            if is_settled and not wanted:
                self.unwanted += len(self.of(kind))
                self.waiting = [item for item in self.waiting if not isinstance(item, kind)]
        self.is_dropping = self.is_dropping and bool(self.of(bytes))

    def push_audio(self, payload: bytes) -> bool:
        self.waiting.append(payload)
        lost = 0
        while sum(len(item) for item in self.of(bytes)) > 1000 or (
            len(self.of(bytes)) > 1000 // MIN_MESSAGE_BYTES
        ):
            self.waiting.remove(self.of(bytes)[0])
            lost += 1
        if self.is_settled and not self.wants[bytes]:
            assert not lost
            self.waiting.remove(payload)
            lost = 1
        if not self.wants[bytes]:
            self.unwanted += lost
            return False
        self.dropped += lost
        is_first = bool(lost and not self.is_dropping)
        self.episodes += is_first
        self.is_dropping = self.is_dropping or bool(lost)
        return is_first

    def push_text(self, text: str) -> bool:
        is_full = len(self.of(str)) == 10
        if is_full and self.wants[str]:
            return False
        self.waiting.append(text)
        if not self.wants[str] and (is_full or self.is_settled):
            self.waiting.remove(self.of(str)[0])
            self.unwanted += 1
        return True

    def take(self, limit: int) -> list[bytes | str]:
        taken = [item for item in self.waiting if self.wants[type(item)]][:limit]
        for item in taken:
            self.waiting.remove(item)
        self.is_dropping = self.is_dropping and bool(self.of(bytes))
        return taken


@given(steps=STEPS)
def test_against_a_list(steps: list[tuple[str, int]]) -> None:
    real, model = buffer(1000, 10), Model()
    pushed = refused = taken = 0
    for number, (step, size) in enumerate(steps):
        if step == "audio":
            payload = bytes([number]) * size
            pushed += 1
            assert real.push_audio(payload, 0.0) == model.push_audio(payload)
        elif step == "text":
            is_taken = model.push_text(str(number))
            pushed, refused = pushed + 1, refused + (not is_taken)
            assert real.push_text(str(number), 1) == is_taken
        elif step == "want":
            wanted = (bool(size & 1), bool(size & 2), bool(size & 4))
            model.want(*wanted)
            real.want(*wanted[:2], is_settled=wanted[2])
        else:
            items = model.take(size)
            taken += len(items)
            assert real.take(size, 0.0) == items
        counters, kept = real.counters, len(real)
        assert kept == len(model.waiting)
        assert real.audio_bytes == sum(len(item) for item in model.of(bytes)) <= 1000
        assert real.text_bytes == len(real.texts) == len(model.of(str))
        assert (counters.overflow_episodes, counters.dropped_messages) == (model.episodes, model.dropped)
        assert counters.unwanted_messages == model.unwanted
        assert pushed == refused + taken + counters.dropped_messages + counters.unwanted_messages + kept
    assert real.take(1000, 0.0, unwanted_too=True) == model.waiting


@given(steps=STEPS)
def test_only_texts_that_are_wanted_are_refused(steps: list[tuple[str, int]]) -> None:
    real = buffer(1000, 3)
    for step, size in steps:
        if step == "want":
            real.want(True, False, is_settled=bool(size & 4))
        else:
            assert real.push_text("text", 1)


def test_the_newest_message_is_kept_whatever_its_size() -> None:
    real = wanted_buffer(1000)
    real.push_audio(b"a" * 600, 0.0)
    assert real.push_audio(b"b" * 5000, 0.0)
    assert real.take(9, 0.0) == [b"b" * 5000]


def test_the_first_drop_of_an_episode_says_so_and_all_are_counted() -> None:
    real = wanted_buffer(1000)
    for _ in range(10):
        assert not real.push_audio(bytes(100), 0.0)
    assert real.push_audio(bytes(300), 0.0)
    assert not real.push_audio(bytes(300), 0.0)
    assert (real.counters.dropped_messages, real.counters.dropped_bytes) == (6, 600)
    assert real.counters.buffered_peak_bytes == 1000


def test_taking_a_part_does_not_end_an_episode() -> None:
    real = wanted_buffer(1000)
    for _ in range(11):
        real.push_audio(bytes(100), 0.0)
    real.take(9, 0.0)
    for _ in range(20):
        assert not real.push_audio(bytes(100), 0.0)
    real.take(100, 0.0)
    assert [real.push_audio(bytes(100), 0.0) for _ in range(11)] == [False] * 10 + [True]
    assert real.counters.overflow_episodes == 2


def test_the_longest_wait_is_noted() -> None:
    real = wanted_buffer()
    real.push_audio(b"1", 10.0)
    real.push_audio(b"2", 11.0)
    real.take(1, 12.5)
    assert real.counters.age_peak_ms == pytest.approx(2500.0)
    real.take(1, 12.6)
    assert real.counters.age_peak_ms == pytest.approx(2500.0)


def test_a_bound_that_shrinks_takes_effect_with_the_next_message() -> None:
    real = wanted_buffer(1000)
    for _ in range(10):
        real.push_audio(bytes(100), 0.0)
    real.max_audio_bytes = 500
    assert real.push_audio(bytes(100), 0.0)
    assert real.counters.dropped_messages == 6


def test_what_was_taken_and_dropped_unread_counts_in_frames() -> None:
    real = wanted_buffer(1000)
    for is_first in (True, False, True):
        real.note_unread(30.0, AudioFormat(8000), is_first=is_first)
    counters = real.counters
    assert (counters.dropped_bytes, counters.dropped_messages, counters.overflow_episodes) == (1440, 4, 2)


def test_short_messages_are_bounded_by_their_number() -> None:
    real = wanted_buffer(1000)
    for _ in range(1000 // MIN_MESSAGE_BYTES):
        assert not real.push_audio(b"x", 0.0)
    assert real.push_audio(b"x", 0.0)
    assert len(real) == 1000 // MIN_MESSAGE_BYTES


def test_texts_are_bounded_by_their_size_and_the_first_is_always_kept() -> None:
    real = wanted_buffer()
    assert real.push_text("huge", MAX_TEXT_BYTES + 1)
    assert not real.push_text("refused", 1)
    assert real.take(1, 0.0) == ["huge"]
    assert real.push_text("a", MAX_TEXT_BYTES - 1)
    assert real.push_text("b", 1)
    assert not real.push_text("c", 1)
    assert real.text_bytes == MAX_TEXT_BYTES
    assert real.take(9, 0.0) == ["a", "b"]
    assert real.text_bytes == 0


def test_what_nobody_wants_yet_is_dropped_without_an_episode() -> None:
    """An application that speaks for a while before it listens is not slow."""
    real = buffer(1000)
    for number in range(15):
        assert not real.push_audio(bytes(100), 0.0)
        assert real.push_text(str(number), 1)
    counters = real.counters
    assert (counters.dropped_messages, counters.overflow_episodes, counters.unwanted_messages) == (0, 0, 10)
    real.want(True, True, is_settled=False)
    assert real.take(99, 0.0)[1::2] == [str(number) for number in range(5, 15)]
    assert [real.push_audio(bytes(100), 0.0) for _ in range(12)] == [False] * 10 + [True, False]
    assert [real.push_text("late", 1) for _ in range(12)] == [True] * 10 + [False] * 2
    assert (counters.dropped_messages, counters.overflow_episodes, counters.unwanted_messages) == (2, 1, 10)


def test_once_settled_what_nobody_wants_is_let_go_and_who_asks_later_gets_what_comes_then() -> None:
    real = buffer()
    real.push_audio(b"early", 0.0)
    real.push_text("early", 5)
    real.want(False, True, is_settled=False)
    assert real.take(9, 0.0) == ["early"]
    real.want(False, True, is_settled=True)
    real.push_audio(b"unwanted", 0.0)
    real.want(True, True, is_settled=True)
    real.push_audio(b"late", 0.0)
    assert real.take(9, 0.0) == [b"late"]
    assert real.counters.unwanted_messages == 2
    assert real.counters.dropped_messages == real.counters.overflow_episodes == 0


def test_an_unwanted_text_of_any_size_makes_room_for_itself() -> None:
    real = buffer()
    assert all(real.push_text(str(number), MAX_TEXT_BYTES // 2) for number in range(3))
    assert real.push_text("huge", MAX_TEXT_BYTES + 1)
    assert real.take(9, 0.0, unwanted_too=True) == ["huge"]
    assert real.counters.unwanted_messages == 3


# Gaps.


def gaps_of(*times: float | bool) -> tuple[int, float, float, float]:
    """Audio at these times; True and False unmute and mute at the time before."""
    real, now = buffer(), 0.0
    for time in times:
        if isinstance(time, bool):
            real.note_active(time, now)
        else:
            now = time
            real.note_audio(640, now)
    counters = real.counters
    return counters.gaps, counters.silence_ms, counters.longest_gap_ms, counters.muted_ms


def test_frames_on_time_have_no_gap() -> None:
    assert gaps_of(*(k * 0.02 for k in range(100))) == (0, 0.0, 0.0, 0.0)
    assert gaps_of(0.0, 0.06, 0.119) == (0, 0.0, 0.0, 0.0)


def test_gaps_are_counted_summed_and_the_longest_kept() -> None:
    gaps, silence_ms, longest_ms, _ = gaps_of(0.0, 0.5, 0.52, 2.52, 2.62)
    assert gaps == 3
    assert silence_ms == pytest.approx(2600.0)
    assert longest_ms == pytest.approx(2000.0)


def test_being_muted_is_no_gap() -> None:
    real = buffer()
    real.note_audio(640, 0.0)
    real.note_active(False, 1.0)
    real.note_active(False, 2.0)
    real.note_active(True, 5.0)
    real.note_audio(640, 6.0)
    assert real.counters.gaps == 0
    assert real.counters.muted_ms == pytest.approx(4000.0)


def test_audio_is_counted_whether_it_is_kept_or_not() -> None:
    real = buffer()
    for k in range(5):
        real.note_audio(640, k * 0.02)
    assert (real.counters.audio_messages, real.counters.audio_bytes, len(real)) == (5, 3200, 0)


@given(st.lists(st.integers(0, 2000), max_size=8), st.permutations([8000, 16000, 24000]))
def test_another_rate_leaves_what_was_counted_as_long_as_it_was(sizes: list[int], rates: list[int]) -> None:
    real = buffer()
    for k, size_bytes in enumerate(sizes):
        real.note_audio(size_bytes, k * 0.02)
        real.push_audio(bytes(size_bytes), k * 0.02)
    before = real.counters.snapshot()
    real.counters.last_as_long(rates[0], rates[1])
    for name in ("audio_bytes", "dropped_bytes", "buffered_peak_bytes"):
        was_s, is_s = getattr(before, name) / rates[0], getattr(real.counters, name) / rates[1]
        assert was_s <= is_s < was_s + 1 / rates[1], name
