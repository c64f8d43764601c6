# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.wav import WavWriter
from audio_connector.errors import AudioDataError, AudioFileError, UsageError
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.script import Step
from audio_connector.simulator.speech import SAMPLES, Lines, SpeechLibrary, cut_to_frames, sample_speech

URL = "ws://127.0.0.1:1/"


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_the_packaged_speech_is_about_nine_seconds(rate_hz: int) -> None:
    pcm = sample_speech(rate_hz=rate_hz)
    assert len(pcm) / 2 / rate_hz == pytest.approx(2.99 + 0.8 + 5.3, abs=0.01)


def test_pauses_are_digital_silence() -> None:
    pcm = sample_speech(SAMPLES * 2, pauses_s=[1.0, 0.5])
    plain = sample_speech(SAMPLES * 2, pauses_s=[0.0])
    assert len(pcm) - len(plain) == 32000 * 2
    assert bytes(32000) in pcm


def test_the_last_frame_is_padded() -> None:
    assert cut_to_frames(b"\x01\x02" * 400, AudioFormat(rate_hz=16000)) == (
        b"\x01\x02" * 320,
        b"\x01\x02" * 80 + bytes(480),
    )
    assert cut_to_frames(b"", AudioFormat(rate_hz=16000)) == ()


def test_many_calls_share_the_frames_of_one_speech(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    with WavWriter(path, 8000) as file:
        file.write(b"\x01\x02" * 800)
    library = SpeechLibrary()
    first = library.lines_of(RouterCall(url=URL, speech=path)).speech
    assert len(first) == 5
    assert library.lines_of(RouterCall(url=URL, speech=str(path))).speech is first
    assert len(library.lines_of(RouterCall(url=URL, speech=path, rate_hz=24000)).speech[0]) == 960
    pcm = b"\x01\x02" * 320
    second = library.lines_of(RouterCall(url=URL, speech=pcm)).speech
    assert library.lines_of(RouterCall(url=URL, speech=pcm)).speech is second
    assert len(library.lines_of(RouterCall(url=URL, speech=pcm, speech_rate_hz=8000)).speech) == 2


def test_no_speech_is_no_frames() -> None:
    assert SpeechLibrary().lines_of(RouterCall(url=URL)) == Lines()


def test_half_a_sample_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    library = SpeechLibrary()
    with pytest.raises(AudioDataError, match="3 bytes"):
        library.lines_of(RouterCall(url=URL, speech=b"abc"))
    with pytest.raises(AudioFileError, match="nowhere"):
        library.lines_of(RouterCall(url=URL, speech=tmp_path / "nowhere.wav"))


def test_what_steps_say_comes_in_the_order_of_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    with WavWriter(path, 8000) as file:
        file.write(b"\x01\x02" * 160)
    pcm = b"\x03\x04" * 480
    steps = [
        Step(at_s=3, say=pcm),
        Step(at_s=2, dtmf="1"),
        Step(at_s=1, say=path),
        Step(at_s=3, say="sample:he-was-not"),
    ]
    lines = SpeechLibrary().lines_of(RouterCall(url=URL, steps=steps))
    assert lines.speech == ()
    assert [len(frames) for frames in lines.says] == [2, 0, 1, 150]
    assert b"".join(lines.says[0]) == pcm + bytes(320)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_a_packaged_sentence_has_a_name_wherever_a_path_may_stand(rate_hz: int) -> None:
    library = SpeechLibrary()
    frames = library.lines_of(RouterCall(url=URL, speech="sample:unless-to-be", rate_hz=rate_hz)).speech
    assert len(frames) == pytest.approx(5.3 * 50, abs=1)
    assert (
        library.lines_of(RouterCall(url=URL, speech=Path("sample:unless-to-be.wav"), rate_hz=rate_hz)).speech
        == frames
    )
    with pytest.raises(UsageError, match="there is no packaged sentence 'sample:x'"):
        library.lines_of(RouterCall(url=URL, speech="sample:x"))
