# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.activity import WINDOW_S, EnergyDetector, Stretch
from audio_connector.errors import AudioDataError, AudioFormatError

RATES_HZ = (8000, 16000, 24000)


def noise(level: float, seconds: float, rate_hz: int = 16000, seed: int = 1) -> bytes:
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * rate_hz))
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def tone(hz: float, level: float, seconds: float, rate_hz: int = 16000) -> bytes:
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()


def shares(detector: EnergyDetector, pcm: bytes) -> list[float]:
    size = 2 * detector.frame_samples
    return [detector.probability(pcm[at : at + size]) for at in range(0, len(pcm) // size * size, size)]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("level", [5, 100, 1000, 4000])
def test_steady_noise_is_no_speech_from_the_first_frame_on(rate_hz: int, level: float) -> None:
    detector = EnergyDetector(rate_hz)
    assert max(shares(detector, noise(level, 20, rate_hz))) < 0.5


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_voice_over_noise_is_speech_and_the_noise_behind_it_none(rate_hz: int) -> None:
    detector = EnergyDetector(rate_hz)
    shares(detector, noise(200, 3, rate_hz))
    assert min(shares(detector, tone(300, 3000, 0.5, rate_hz))) > 0.9
    assert max(shares(detector, noise(200, 1, rate_hz))) < 0.5


def test_after_digital_silence_the_first_frame_of_a_voice_is_speech() -> None:
    detector = EnergyDetector()
    assert shares(detector, bytes(32000)) == [0.0] * 50
    assert shares(detector, tone(300, 3000, 0.1))[0] == 1


def test_digital_silence_in_a_noisy_call_says_nothing_of_the_room() -> None:
    detector = EnergyDetector()
    shares(detector, noise(500, 3))
    shares(detector, bytes(5 * 32000))
    assert max(shares(detector, noise(500, 1, seed=2))) < 0.5


def test_a_room_that_becomes_louder_is_speech_for_the_window_and_one_that_becomes_quieter_never() -> None:
    detector = EnergyDetector()
    shares(detector, noise(50, 5))
    louder = shares(detector, noise(800, 2 * WINDOW_S, seed=2))
    settled = round(WINDOW_S * 50 * 1.2)
    assert min(louder[: round(WINDOW_S * 50 * 0.7)]) > 0.5
    assert max(louder[settled:]) < 0.5
    assert max(shares(detector, noise(50, 2, seed=3))) < 0.5


def test_the_hum_of_a_mains_hides_no_voice() -> None:
    detector = EnergyDetector()
    hum = np.frombuffer(tone(50, 8000, 2), "<i2")
    assert max(shares(detector, hum.tobytes())) < 0.5
    voice = np.frombuffer(tone(300, 1500, 2), "<i2")
    assert min(shares(detector, (hum + voice).tobytes())) > 0.5


def test_loud_music_without_pauses_becomes_the_room() -> None:
    """Three voices that swell and fade by 3 dB, four times a second."""
    at = np.arange(20 * 16000) / 16000
    swell = 1 + 0.17 * np.sin(2 * np.pi * 4 * at)
    chord = sum(np.sin(2 * np.pi * hz * at) for hz in (220.0, 277.2, 329.6))
    music = (2500 * swell * chord).clip(-32768, 32767).astype("<i2")
    detector = EnergyDetector()
    stretch = Stretch(onset_samples=1600, pause_samples=8000)
    shown = [stretch.push(share, 320) and stretch.is_open for share in shares(detector, music.tobytes())]
    assert not any(shown[150:])
    assert not stretch.is_open
    loud = noise(15000, 0.3)
    over = (music[: len(loud) // 2].astype(int) + np.frombuffer(loud, "<i2")).clip(-32768, 32767)
    assert min(shares(detector, over.astype("<i2").tobytes())) > 0.5


def test_a_lost_frame_is_no_silent_room() -> None:
    detector = EnergyDetector()
    for second in range(10):
        shares(detector, noise(500, 0.98, seed=second))
        detector.probability(noise(1, 0.02))
    assert max(shares(detector, noise(500, 1, seed=99))) < 0.5


@given(st.lists(st.binary(min_size=320, max_size=320), max_size=50))
def test_whatever_comes_the_answer_is_a_probability_and_a_reset_forgets_it(frames: list[bytes]) -> None:
    detector = EnergyDetector(8000)
    first = [detector.probability(frame) for frame in frames]
    assert all(0 <= each <= 1 for each in first)
    detector.reset()
    assert [detector.probability(frame) for frame in frames] == first


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(AudioDataError, match=r"got a frame of 320 bytes; expected 640, 20 ms at 16000 Hz"):
        EnergyDetector().probability(bytes(320))
    with pytest.raises(AudioFormatError):
        EnergyDetector(100)


def stretches(shown: str, *, onset: int = 3, pause: int = 4) -> list[tuple[int, int]]:
    """From where to where, of a text in which # is speech; a frame is one sample."""
    stretch = Stretch(onset_samples=onset, pause_samples=pause)
    found = []
    for mark in shown:
        probability = {"#": 0.9, "+": 0.4, ".": 0.1}[mark]
        if stretch.push(probability, 1) and not stretch.is_open:
            found.append((stretch.start, stretch.stop))
    return found


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("....##......", []),  # a click
        ("...###....", [(3, 6)]),
        ("...##.##....", [(3, 8)]),  # it flickered
        ("#.#.#.#.#....", []),  # and never was more speech than not
        ("##" + ".#" * 50 + "##....", [(101, 104)]),  # hardly ever, and what was long ago is not of it
        ("...###...#....", [(3, 10)]),  # a pause
        ("...###....###....", [(3, 6), (10, 13)]),
        ("...###+++....", [(3, 9)]),  # less likely, and still of it
        ("...+++....", []),  # that alone does not begin one
    ],
)
def test_stretches_of_speech(shown: str, found: list[tuple[int, int]]) -> None:
    assert stretches(shown) == found


@given(st.text("#+.", max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_stretches_are_in_order_and_begin_and_end_with_speech(shown: str, onset: int, pause: int) -> None:
    last = 0
    for start, stop in stretches(shown, onset=onset, pause=pause):
        assert last <= start < stop
        assert shown[start] == "#"
        assert shown[stop - 1] in "#+"
        assert "." * pause not in shown[start + onset : stop]
        last = stop
