# SPDX-License-Identifier: Apache-2.0
"""Detectors on speech, silence and noise; quick enough to be called in the loop."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.engines import need
from support.spoken import sample

from audio_connector.audio.resample import resample
from audio_connector.engines import SpeechDetector
from audio_connector.engines.silero import Silero
from audio_connector.engines.webrtc import WebRtc
from audio_connector.errors import AudioDataError

pytestmark = pytest.mark.apps


def detector(name: str, rate_hz: int) -> SpeechDetector:
    need(name)
    return Silero(sample_rate=rate_hz) if name == "silero" else WebRtc(sample_rate=rate_hz)


def share(detector: SpeechDetector, audio: bytes) -> float:
    """How much of it counts as speech."""
    length = detector.frame_samples * 2
    frames = [audio[begin : begin + length] for begin in range(0, len(audio) - length + 1, length)]
    detector.reset()
    return float(np.mean([detector.probability(frame) > 0.5 for frame in frames]))


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
@pytest.mark.parametrize("name", ["silero", "webrtcvad"])
def test_speech_is_told_from_silence(name: str, rate_hz: int) -> None:
    made = detector(name, rate_hz)
    assert isinstance(made, SpeechDetector)
    speech, own_hz = sample("unless-to-be.wav")
    assert share(made, resample(speech, own_hz, rate_hz)) > 0.7
    assert share(made, bytes(rate_hz * 4)) == 0
    hum = 3_000 * np.sin(np.arange(rate_hz * 2) * 2 * np.pi * 50 / rate_hz)
    assert share(made, hum.astype("<i2").tobytes()) < 0.1


def test_silero_takes_noise_for_none() -> None:
    noise = np.random.default_rng(1).normal(0, 1_000, 64_000).astype("<i2").tobytes()
    assert share(detector("silero", 16_000), noise) < 0.1


@pytest.mark.parametrize("name", ["silero", "webrtcvad"])
def test_a_frame_takes_less_than_a_millisecond_of_a_core(name: str) -> None:
    made = detector(name, 16_000)
    frame = bytes(made.frame_samples * 2)
    rounds = []
    for _ in range(50):
        # Of this process, whatever else the machine has to do.
        began_at = time.process_time()
        made.probability(frame)
        rounds.append(time.process_time() - began_at)
    assert sorted(rounds)[10] < 0.001


@pytest.mark.parametrize("name", ["silero", "webrtcvad"])
def test_a_frame_of_another_length_is_refused(name: str) -> None:
    made = detector(name, 16_000)
    with pytest.raises(AudioDataError, match=f"got a frame of 4 bytes; expected {made.frame_samples * 2}"):
        made.probability(b"abcd")
