# SPDX-License-Identifier: Apache-2.0
"""What is made of audio messages: sizes, voices, how far ahead, holes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.testing.conformance.notes import (
    LONGEST_HOLE_S,
    MOST_ARRIVALS,
    MOST_ODD,
    Arrival,
    AudioNotes,
    fastest_s,
    holes,
    peak,
)

FORMAT = AudioFormat(16000)
VOICE = b"\x00\x20" * 320
SILENCE = bytes(640)
FRAME_S = 0.02


def voices(*times: float) -> list[Arrival]:
    return [Arrival(at, "voice", FRAME_S) for at in times]


def test_a_voice_is_told_from_silence_by_its_peak() -> None:
    assert peak(b"") == 0
    assert peak(b"\xff") == 0
    assert peak(b"\x01\x00\xff\x7f") == 32767
    assert peak(b"\x00\x80\x07") == 32768


def test_messages_are_counted_and_odd_sizes_kept() -> None:
    notes = AudioNotes(FORMAT)
    for payload in (VOICE, VOICE[:100], VOICE[:99], SILENCE):
        notes.add(payload, 1.0)
    assert notes.messages == 4
    assert dict(notes.sizes) == {640: 2, 100: 1, 99: 1}
    assert [(odd.size, odd.follows_frame) for odd in notes.odd_sizes] == [(100, True), (99, False)]
    assert notes.first_head == VOICE[:48]


def test_what_waits_is_measured_by_a_clock() -> None:
    notes = AudioNotes(FORMAT)
    for _ in range(10):
        notes.add(VOICE, 5.0)
    assert notes.ahead_s(5.0) == pytest.approx(0.2)
    assert notes.ahead_s(5.15) == pytest.approx(0.05)
    assert notes.ahead_s(9.0) == 0
    assert notes.most_ahead_s == pytest.approx(0.2)
    assert notes.voice_end == pytest.approx(5.2)
    notes.add(SILENCE, 6.0)
    assert notes.voiced_s == pytest.approx(0.2)
    assert notes.last_voice_at == 5.0
    assert notes.play_end == pytest.approx(6.02)


def test_a_clear_drops_what_waits() -> None:
    notes = AudioNotes(FORMAT)
    for _ in range(100):
        notes.add(VOICE, 1.0)
    notes.clear(1.5)
    assert notes.ahead_s(1.5) == 0
    assert notes.voice_end == 1.5
    assert notes.voiced_between(1.0, 1.5) == pytest.approx(2.0)
    assert notes.voiced_between(0.0, 1.0) == 0


def test_a_server_without_end_does_not_fill_the_memory() -> None:
    notes = AudioNotes(FORMAT)
    for _ in range(MOST_ARRIVALS + 5):
        notes.add(b"\x01", 0.0)
    assert len(notes.arrivals) == MOST_ARRIVALS
    assert len(notes.odd_sizes) == MOST_ODD
    assert notes.messages == MOST_ARRIVALS + 5


def test_a_hole_in_speech_is_found() -> None:
    assert holes(voices(0.0, 0.02, 0.09)) == [pytest.approx(0.05)]


def test_a_hole_that_nobody_hears_does_not_count() -> None:
    silence = Arrival(0.0, "silence", FRAME_S)
    assert holes([silence, *voices(0.1)]) == []
    assert holes(voices(0.0, FRAME_S + LONGEST_HOLE_S + 0.01)) == []
    assert holes([*voices(0.0), Arrival(0.01, "clear", 0.0), *voices(0.1)]) == []
    assert holes([]) == []


def test_audio_that_waits_fills_what_would_be_a_hole() -> None:
    assert holes(voices(0.0, 0.0, 0.0, 0.05)) == []
    # A clear takes it away, and what comes then is a new beginning.
    cleared = [*voices(0.0, 0.0), Arrival(0.01, "clear", 0.0), *voices(0.02, 0.06)]
    assert holes(cleared) == [pytest.approx(0.02)]


@given(st.lists(st.floats(0.0, 0.3), max_size=40))
def test_the_holes_are_as_long_as_the_last_message_is_late(late_s: list[float]) -> None:
    """Each frame comes when it is due or later: in sum the holes are what the latest was late."""
    times: list[float] = []
    for number, late in enumerate(late_s):
        times.append(max([number * FRAME_S + late, *times[-1:]]))
    lateness = max((at - number * FRAME_S for number, at in enumerate(times)), default=0.0)
    first_late = times[0] if times else 0.0
    assert sum(holes(voices(*times))) == pytest.approx(max(0.0, lateness - first_late), abs=1e-9)


def test_the_fastest_second_is_found() -> None:
    slow = [Arrival(number * FRAME_S, "voice", FRAME_S) for number in range(100)]
    a_frame = 1.5 * FRAME_S  # at the edge of the second one more may count
    assert fastest_s(slow) == pytest.approx(1.0, abs=a_frame)
    burst = [*slow, *[Arrival(2.5, "silence", FRAME_S)] * 100, Arrival(2.5, "clear", 0.0)]
    assert fastest_s(burst) == pytest.approx(2.0 + 0.5, abs=a_frame)
    assert fastest_s([]) == 0
