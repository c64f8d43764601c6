# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from audio_connector.playground.recording import Recording


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


def read(recording: Recording) -> npt.NDArray[np.int16]:
    with wave.open(io.BytesIO(recording.wav())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, recording.rate_hz)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


def test_left_is_spoken_and_right_is_heard() -> None:
    recording = Recording(8000)
    spoken, heard = recording.spoken(), recording.heard()
    spoken(pcm(1, 2))
    heard(pcm(10))
    spoken(pcm(3))
    assert read(recording).tolist() == [[1, 10], [2, 0], [3, 0]]


def test_a_later_participant_is_mixed_in_at_its_time() -> None:
    recording = Recording(8000)
    recording.spoken()(pcm(1, 1, 1, 1))
    recording.heard()(pcm(30000, 30000, -30000, -30000))
    recording.spoken(from_s=2 / 8000)(pcm(5, 5, 5))
    recording.heard(from_s=1 / 8000)(pcm(30000, -30000))
    assert read(recording).tolist() == [[1, 30000], [1, 32767], [6, -32768], [6, -30000], [5, 0]]


def test_it_is_bounded_and_says_so() -> None:
    recording = Recording(8000, max_s=0.001)
    spoken, late = recording.spoken(), recording.heard(from_s=99)
    spoken(pcm(*range(5)))
    assert not recording.is_full
    spoken(pcm(*range(5)))
    late(pcm(1))
    assert recording.is_full
    assert recording.seconds == 0.001
    assert read(recording)[:, 0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def test_an_empty_one_is_a_valid_file() -> None:
    assert len(read(Recording(24000))) == 0
    assert Recording(24000).seconds == 0
