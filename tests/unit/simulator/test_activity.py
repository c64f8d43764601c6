# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.activity import LEAST_LEVEL, Level, is_loud, level_of
from audio_connector.simulator.speech import cut_to_frames, sample_speech


def sine(peak: float, samples: int = 320) -> bytes:
    wave = peak * np.sin(np.arange(samples) * 2 * np.pi / 32)
    return np.rint(wave).astype("<i2").tobytes()


@pytest.mark.parametrize("samples", [160, 320, 480])
def test_the_three_levels(samples: int) -> None:
    # The root mean square of a sine is its peak over the root of two.
    assert level_of(bytes(samples * 2)) is Level.NOTHING
    assert level_of(sine(LEAST_LEVEL * 2**0.5 * 0.98, samples)) is Level.QUIET
    assert level_of(sine(LEAST_LEVEL * 2**0.5 * 1.02, samples)) is Level.LOUD
    assert level_of(b"\x01\x00" * samples) is Level.QUIET
    assert level_of(b"\x00\x80" * samples) is Level.LOUD  # the lowest sample, which has no positive twin


def test_speech_is_loud_and_its_pauses_are_not() -> None:
    frames = cut_to_frames(sample_speech(pauses_s=[1.0]), AudioFormat(16000))
    share = sum(map(is_loud, frames)) / len(frames)
    assert 0.6 < share < 0.9
    longest = max(map(len, "".join(".#"[is_loud(frame)] for frame in frames).split("#")))
    assert longest >= 50
