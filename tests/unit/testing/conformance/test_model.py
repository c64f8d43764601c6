# SPDX-License-Identifier: Apache-2.0
"""What a run is given: the server, and what is said to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.wav import WavWriter
from audio_connector.errors import AudioFileError, UsageError
from audio_connector.testing.conformance.model import Speech, Target


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"url": "localhost:8765"}, "ws://host:port"),
        ({"url": "ws://localhost", "headers": {"a b": "c"}}, "'a b'"),
        ({"url": "ws://localhost", "headers": {"a": "x" * 600}}, "512"),
        ({"url": "ws://localhost", "rate_hz": 44100}, "44100"),
    ],
)
def test_a_target_says_what_is_wrong_with_it(values: dict[str, object], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        Target(**values)  # type: ignore[arg-type]


def write_wav(path: Path, seconds: float, rate_hz: int = 8000) -> Path:
    with WavWriter(str(path), rate_hz) as file:
        file.write(b"\x01\x02" * round(seconds * rate_hz))
    return path


def test_the_packaged_speech_has_two_lengths() -> None:
    speech = Speech.packaged()
    frames = speech.frames(AudioFormat(24000), most_s=100.0)
    assert {len(frame) for frame in frames} == {960}
    assert (
        2.5 < len(frames) / 50 < 3.5 < len(speech.frames(AudioFormat(24000), most_s=100.0, is_long=True)) / 50
    )
    assert len(speech.frames(AudioFormat(8000), most_s=1.0)) == 50


def test_of_a_wav_the_beginning_is_said(tmp_path: Path) -> None:
    speech = Speech.from_wav(write_wav(tmp_path / "long.wav", 11.0))
    assert (len(speech.prompt), speech.rate_hz) == (2 * 8000 * 10, 8000)
    assert len(speech.frames(AudioFormat(16000), most_s=10.0)) == 500


def test_a_wav_without_audio_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "empty.wav", 0.0)
    with pytest.raises(AudioFileError, match="has no audio"):
        Speech.from_wav(path)
    with pytest.raises(AudioFileError, match="no WAV file"):
        Speech.from_wav(__file__)
