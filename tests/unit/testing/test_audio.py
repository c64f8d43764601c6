# SPDX-License-Identifier: Apache-2.0
"""Whether audio is what was expected: what does not count, what does, and what the verdict says of it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.wav import read_wav
from audio_connector.errors import AudioDataError, AudioFileError, AudioFormatError, UsageError
from audio_connector.testing import Audio

ONE, OTHER = Audio.of("sample:he-was-not"), Audio.of("sample:unless-to-be")
PYTEST_SHOWS_CHARACTERS = 240


# Where it comes from.


def test_everything_that_is_audio_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    ONE.save(path)
    assert read_wav(path) == (ONE.pcm, 16000)
    assert Audio.of(path) == Audio.of(str(path)) == ONE
    assert Audio.of(ONE) is ONE
    assert Audio.of("sample:he-was-not.wav") == ONE
    assert Audio.of(ONE.pcm, rate_hz=8000) == Audio(ONE.pcm, 8000)
    assert Audio.of(ONE.samples) == ONE
    assert Audio.of(np.array([0.0, 0.5], np.float32)) == Audio(b"\0\0\0\x40")


def test_what_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"cannot open .*gone\.wav"):
        Audio.of(tmp_path / "gone.wav")
    with pytest.raises(
        UsageError, match="no packaged sentence 'sample:hello'; expected one of sample:he-was-not,"
    ):
        Audio.of("sample:hello")
    with pytest.raises(AudioDataError, match="3 bytes"):
        Audio(b"abc")
    with pytest.raises(AudioFormatError):
        Audio(b"", 1)


def test_a_tone_has_its_length_its_pitch_and_its_level() -> None:
    tone = Audio.tone(440, 0.5, level_db=-30, rate_hz=8000)
    assert tone.duration_s == 0.5
    assert tone.level_db == pytest.approx(-30, abs=0.05)
    assert np.argmax(np.abs(np.fft.rfft(tone.samples))) == 440 * 0.5
    assert not tone.is_silent


def test_silence_has_no_level() -> None:
    silence = Audio.silence(1.5)
    assert (silence.duration_s, silence.level_db, silence.is_silent) == (1.5, -math.inf, True)
    assert Audio(b"").is_silent
    assert (str(silence), repr(silence)) == ("1.50 s of silence", "<Audio 1.50 s of silence, 16000 Hz>")
    assert Audio.tone(440, 1, level_db=-60).is_silent


def test_parts_of_it() -> None:
    audio = Audio.silence(1.0) + Audio.tone(440, 0.5) + Audio.silence(2.0, rate_hz=8000)
    assert audio.duration_s == 3.5
    assert audio.between(1.0, 1.5) == Audio.tone(440, 0.5)
    assert audio.between(3.0).is_silent
    assert audio.trimmed() == Audio.tone(440, 0.5)
    assert Audio.silence(1.0).trimmed() == Audio(b"")
    assert audio.at_rate(24000).rate_hz == 24000
    assert audio.at_rate(16000) is audio


# What is the same.


@pytest.mark.parametrize(
    "heard",
    [
        ONE,
        Audio.silence(0.613) + ONE + Audio.silence(2.0),
        ONE.at_rate(8000),
        ONE.at_rate(24000).at_rate(16000),
        Audio.of((ONE.samples * 0.75).astype(np.int16)),
        Audio.silence(0.1) + ONE.at_rate(24000),
    ],
    ids=["itself", "with silence", "at 8 kHz", "by way of 24 kHz", "2.5 dB softer", "at 24 kHz"],
)
def test_it_is_the_same(heard: Audio) -> None:
    assert heard.matches(ONE)
    assert heard.contains(ONE)
    assert (OTHER.at_rate(heard.rate_hz) + heard + OTHER).contains(ONE)


@given(lead=st.integers(0, 3000), tail=st.integers(0, 3000), cut=st.floats(0.2, 2.0))
def test_where_it_is_does_not_matter(lead: int, tail: int, cut: float) -> None:
    piece = ONE.between(0.0, cut).trimmed()
    heard = Audio(bytes(2 * lead) + piece.pcm + bytes(2 * tail))
    assert heard.matches(piece)
    found = heard.contains(piece)
    assert found
    assert found.at_s == pytest.approx(lead / 16000, abs=0.02)


# What is not.


def shown(heard: Audio, expected: Audio = ONE) -> str:
    verdict = heard.matches(expected)
    assert not verdict
    assert len(repr(verdict)) < PYTEST_SHOWS_CHARACTERS, "pytest would cut it"
    return verdict.text


def test_a_missing_end_is_found_where_it_begins() -> None:
    text = shown(ONE.between(0, 1.0))
    assert text.startswith("heard 1.00 s at -28.1 dB, expected 2.94 s at -27.0 dB: alike up to 1000 ms")
    assert "then silence instead of sound; 17" in text


@pytest.mark.parametrize(("gain", "word"), [(1.72, "4.7 dB louder"), (0.5, "6.0 dB softer")])
def test_the_same_sound_at_another_level_is_called_so(gain: float, word: str) -> None:
    heard = Audio.of((ONE.samples * gain).astype(np.int16))
    assert shown(heard).endswith(f": the same sound, {word}; up to 3 dB would not count")
    assert f"the same sound, {word}" in (OTHER + heard).contains(ONE).text
    faded = ONE.between(0, 1.0) + heard.between(1.0)
    assert re.search(rf"alike up to 1\d\d0 ms, then the same sound, {word};", shown(faded))


def test_a_missing_beginning_is_found() -> None:
    assert "alike up to 20 ms, then silence instead of sound; 700 ms differ" in shown(ONE.between(1.0))


def test_a_hole_of_one_frame_is_found() -> None:
    hole = Audio(ONE.pcm[:32000] + bytes(640) + ONE.pcm[32640:])
    assert "alike up to 1000 ms, then silence instead of sound; 20 ms differ (likeness 1.00)" in shown(hole)


def test_a_gap_that_moves_the_rest_is_found_where_it_is() -> None:
    assert "alike up to 1000 ms, then silence instead of sound" in shown(
        Audio(ONE.pcm[:32000] + bytes(640) + ONE.pcm[32000:])
    )


def test_something_else_behind_it_is_found() -> None:
    assert "alike up to 3" in shown(ONE + Audio.silence(0.1) + Audio.tone(440, 0.2))
    assert "then sound instead of silence" in shown(ONE + Audio.silence(0.1) + Audio.tone(440, 0.2))


def test_half_the_level_is_not_the_same() -> None:
    loud, soft = Audio.tone(440, 1.0, level_db=-20), Audio.tone(440, 1.0, level_db=-27)
    assert shown(soft, loud).endswith(": the same sound, 7.0 dB softer; up to 3 dB would not count")


@pytest.mark.parametrize("heard", [OTHER, Audio.silence(1.0), Audio(b""), Audio.tone(440, 3.0)])
def test_something_else_is_called_so(heard: Audio) -> None:
    assert "another sound altogether (likeness 0." in shown(heard)
    verdict = (Audio.silence(1.0) + heard).contains(ONE)
    assert not verdict
    assert verdict.text.startswith("not heard: 2.94 s at -27.0 dB in ")
    assert len(repr(verdict)) < PYTEST_SHOWS_CHARACTERS


def test_half_of_it_is_not_contained_and_the_verdict_says_how_far_it_went() -> None:
    verdict = (Audio.silence(2.0) + ONE.between(0, 1.5) + Audio.silence(2.0)).contains(ONE)
    assert not verdict
    assert "at the likest place, 2.00 s, alike up to 1500 ms, then silence instead of sound" in verdict.text
    assert verdict.at_s == pytest.approx(2.0)


def test_silence_cannot_be_expected() -> None:
    with pytest.raises(UsageError, match="silence is everywhere; ask for is_silent"):
        ONE.matches(Audio.silence(1.0))
    with pytest.raises(UsageError):
        ONE.contains(b"")


def test_ten_minutes_are_searched_too() -> None:
    heard = Audio.silence(200) + OTHER + Audio.silence(100) + ONE + Audio.silence(300)
    assert heard.contains(ONE).at_s == pytest.approx(300 + OTHER.duration_s, abs=0.02)
