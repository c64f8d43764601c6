# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.activity import (
    ABOVE_ROOM,
    LEAST_LEVEL,
    Level,
    is_loud,
    level_as_rms,
    level_of,
    levels_of,
    loud_from,
)
from audio_connector.simulator.samples import SAMPLES
from audio_connector.simulator.speech import Frames, cut_to_frames, sample_speech
from audio_connector.turns import SpeechEnded, TurnDetector


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


def frames_of(sample: str, rate_hz: int) -> Frames:
    return cut_to_frames(sample_speech([sample], rate_hz=rate_hz), AudioFormat(rate_hz))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("pause_frames", [0, 100])
def test_a_sentence_ends_with_its_last_word_and_not_with_the_noise_of_its_room(
    sample: str, rate_hz: int, pause_frames: int
) -> None:
    """Asked of somebody else: the detector of turns, which goes by the band of the voice."""
    pause = (bytes(rate_hz // 25),) * pause_frames
    frames = (*pause, *frames_of(sample, rate_hz), *pause)
    [speech] = [
        event
        for event in TurnDetector(sample_rate=rate_hz).feed(b"".join(frames) + bytes(4 * rate_hz))
        if isinstance(event, SpeechEnded)
    ]
    shown = "".join(".#"[level is Level.LOUD] for level in levels_of(frames))
    assert shown.index("###") * 0.02 == pytest.approx(speech.start_s, abs=0.1)
    assert (shown.rindex("#") + 1) * 0.02 == pytest.approx(speech.end_s, abs=0.1)


def test_what_is_loud_throughout_is_loud_and_so_is_what_is_only_just() -> None:
    assert set(levels_of((sine(8000),) * 50)) == {Level.LOUD}
    assert set(levels_of((sine(LEAST_LEVEL * 2**0.5 * 1.02),) * 50)) == {Level.LOUD}
    assert levels_of((bytes(640), sine(100), sine(8000))) == (Level.NOTHING, Level.QUIET, Level.LOUD)
    assert levels_of(()) == ()


def test_how_loud_the_room_is_says_what_is_quiet() -> None:
    room, word, end = 200.0, 8000.0, 500.0
    assert loud_from([room] * 5 + [word] * 90 + [room] * 5) == ABOVE_ROOM * room
    # Neither silence around the room, nor what is between two words, makes it another one.
    pause = [0.0] * 900
    assert (
        loud_from(pause + [room] * 5 + [word] * 90 + [20.0] * 90 + [word] + [room] * 5 + pause)
        == ABOVE_ROOM * room
    )
    assert loud_from([1.8 * end] * 5 + [word] * 90 + [end] * 5) == word / 8
    assert loud_from([20.0] * 10 + [word] * 90) == loud_from([]) == loud_from([0.0]) == LEAST_LEVEL
    assert level_as_rms(b"\xe8\x03\x18\xfc" * 160) == 1000


def test_the_soft_end_of_the_last_word_is_no_room() -> None:
    """As a synthesiser has it: silence, words, and an s that is 20 dB below them."""
    assert loud_from([0.0] * 20 + [8000.0] * 90 + [500.0] * 6 + [0.0] * 20) == LEAST_LEVEL
    assert levels_of((sine(8000),) * 50 + (sine(600),) * 6)[-1] is Level.LOUD
