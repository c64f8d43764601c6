# SPDX-License-Identifier: Apache-2.0
"""The buffer is bounded, drops the oldest audio and never a text, keeps the order, and counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.intake.buffer import MAX_TEXT_BYTES, MIN_MESSAGE_BYTES, IntakeBuffer

Buffer = IntakeBuffer[str]


def buffer(max_audio_bytes: int = 1000, max_texts: int = 10) -> Buffer:
    return IntakeBuffer(max_audio_bytes=max_audio_bytes, max_texts=max_texts)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 400)),
        st.tuples(st.just("text"), st.just(0)),
        st.tuples(st.sampled_from(["take", "take audio", "take texts"]), st.integers(1, 5)),
    ),
    max_size=120,
)


@given(steps=STEPS)
def test_against_a_list(steps: list[tuple[str, int]]) -> None:
    """The model: one list of all that waits, from which the oldest audio is dropped."""
    real = buffer(1000, 10)
    model: list[bytes | str] = []
    episodes = dropped = 0
    is_dropping = False
    for number, (step, size) in enumerate(steps):
        if step == "audio":
            payload = bytes([number]) * size
            model.append(payload)
            lost = 0
            while sum(len(item) for item in model if isinstance(item, bytes)) > 1000 or (
                sum(isinstance(item, bytes) for item in model) > 1000 // MIN_MESSAGE_BYTES
            ):
                oldest = next(item for item in model if isinstance(item, bytes))
                model.remove(oldest)
                lost += 1
            dropped += lost
            assert real.push_audio(payload, 0.0) == (0 if is_dropping else lost)
            episodes += bool(lost and not is_dropping)
            is_dropping = is_dropping or bool(lost)
        elif step == "text":
            is_room = sum(isinstance(item, str) for item in model) < 10
            assert real.push_text(str(number), 1) == is_room
            if is_room:
                model.append(str(number))
        else:
            wanted = {"take": (bytes, str), "take audio": (bytes,), "take texts": (str,)}[step]
            expected = [item for item in model if isinstance(item, wanted)][:size]
            assert real.take(size, 0.0, audio=step != "take texts", texts=step != "take audio") == expected
            for item in expected:
                model.remove(item)
            is_dropping = is_dropping and any(isinstance(item, bytes) for item in model)
        assert len(real) == len(model)
        assert real.audio_bytes == sum(len(item) for item in model if isinstance(item, bytes)) <= 1000
        assert (real.counters.overflow_episodes, real.counters.dropped_messages) == (episodes, dropped)
    assert real.take(1000, 0.0) == model


def test_the_newest_message_is_kept_whatever_its_size() -> None:
    real = buffer(1000)
    real.push_audio(b"a" * 600, 0.0)
    assert real.push_audio(b"b" * 5000, 0.0) == 1
    assert real.take(9, 0.0) == [b"b" * 5000]


def test_the_first_drop_of_an_episode_says_how_many() -> None:
    real = buffer(1000)
    for _ in range(10):
        assert real.push_audio(bytes(100), 0.0) == 0
    assert real.push_audio(bytes(300), 0.0) == 3
    assert real.push_audio(bytes(300), 0.0) == 0
    assert real.counters.dropped_bytes == 600
    assert real.counters.buffered_peak_bytes == 1000


def test_taking_a_part_does_not_end_an_episode() -> None:
    real = buffer(1000)
    for _ in range(11):
        real.push_audio(bytes(100), 0.0)
    real.take(9, 0.0)
    for _ in range(20):
        assert real.push_audio(bytes(100), 0.0) == 0
    real.take(100, 0.0)
    assert [real.push_audio(bytes(100), 0.0) for _ in range(11)] == [0] * 10 + [1]
    assert real.counters.overflow_episodes == 2


def test_the_longest_wait_is_noted() -> None:
    real = buffer()
    real.push_audio(b"1", 10.0)
    real.push_audio(b"2", 11.0)
    real.take(1, 12.5)
    assert real.counters.age_peak_ms == pytest.approx(2500.0)
    real.take(1, 12.6)
    assert real.counters.age_peak_ms == pytest.approx(2500.0)


def test_a_bound_that_shrinks_takes_effect_with_the_next_message() -> None:
    real = buffer(1000)
    for _ in range(10):
        real.push_audio(bytes(100), 0.0)
    real.max_audio_bytes = 500
    assert real.push_audio(bytes(100), 0.0) == 6


def test_short_messages_are_bounded_by_their_number() -> None:
    real = buffer(1000)
    for _ in range(1000 // MIN_MESSAGE_BYTES):
        assert real.push_audio(b"x", 0.0) == 0
    assert real.push_audio(b"x", 0.0) == 1
    assert len(real) == 1000 // MIN_MESSAGE_BYTES


def test_texts_are_bounded_by_their_size_and_the_first_is_always_kept() -> None:
    real = buffer()
    assert real.push_text("huge", MAX_TEXT_BYTES + 1)
    assert not real.push_text("refused", 1)
    assert real.take(1, 0.0) == ["huge"]
    assert real.push_text("a", MAX_TEXT_BYTES - 1)
    assert real.push_text("b", 1)
    assert not real.push_text("c", 1)
    assert real.text_bytes == MAX_TEXT_BYTES
    assert real.take(9, 0.0) == ["a", "b"]
    assert real.text_bytes == 0


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
