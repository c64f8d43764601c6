# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from audio_connector.errors import UsageError
from audio_connector.playground import speeches
from audio_connector.playground.speeches import interruption, read_speech, sentence, sentences
from audio_connector.simulator import SAMPLES, sample_speech


def test_the_page_is_offered_every_packaged_sentence() -> None:
    offered = sentences()
    assert [entry["name"] for entry in offered] == list(SAMPLES)
    assert [entry["seconds"] for entry in offered] == [2.99, 5.3]
    for name in SAMPLES:
        assert sentence(name, 8000).pcm == sample_speech((name,), rate_hz=8000)


def test_an_unknown_sentence_is_named() -> None:
    with pytest.raises(UsageError, match=r"no sentence 'x\.wav'; expected one of he-was-not\.wav"):
        sentence("x.wav", 16000)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_the_interruption_begins_at_once_and_is_loud_and_short(rate_hz: int) -> None:
    samples = np.frombuffer(interruption(rate_hz).pcm, "<i2").astype(np.float64)
    assert len(samples) / rate_hz == pytest.approx(0.9)
    frames = samples[: len(samples) // (rate_hz // 50) * (rate_hz // 50)].reshape(-1, rate_hz // 50)
    levels = np.sqrt((frames**2).mean(axis=1))
    assert levels[:10].min() > 150  # what counts as loud in the simulator, from the first frame on
    assert abs(samples[-1]) < 5


def write(path: Path, *, rate_hz: int = 8000, channels: int = 1, samples: int = 800) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"\x10\x20" * samples * channels)
    return str(path)


def test_a_wav_of_another_rate_and_in_stereo_is_taken(tmp_path: Path) -> None:
    speech = read_speech(write(tmp_path / "a.wav", rate_hz=44100, channels=2, samples=44100), "a.wav", 16000)
    assert speech.name == "a.wav"
    assert len(speech.pcm) / 2 / 16000 == pytest.approx(1.0, abs=1e-3)


def test_what_is_no_wav_is_named_as_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "stored-elsewhere"
    path.write_bytes(b"no audio at all")
    with pytest.raises(UsageError) as raised:
        read_speech(str(path), "holiday.wav", 16000)
    assert str(raised.value).startswith("holiday.wav is no WAV file that can be read here: ")
    assert "stored" not in str(raised.value)


def test_an_empty_and_an_endless_wav_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^a\.wav has no audio in it"):
        read_speech(write(tmp_path / "a", samples=0), "a.wav", 16000)
    monkeypatch.setattr(speeches, "MAX_SPEECH_S", 60)
    with pytest.raises(UsageError, match=r"^a\.wav is longer than 1 minutes; cut it$"):
        read_speech(write(tmp_path / "a", samples=8000 * 61), "a.wav", 16000)
