# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from audio_connector.audio import wav
from audio_connector.audio.wav import FilePath, WavWriter, read_wav
from audio_connector.errors import AudioDataError, AudioFileError, AudioFormatError


def noise(samples: int) -> bytes:
    return np.random.default_rng(1).integers(-32768, 32768, samples).astype("<i2").tobytes()


def write_wav(path: Path, data: bytes, *, channels: int = 1, width: int = 2, rate_hz: int = 16000) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((channels, width, rate_hz, 0, "NONE", ""))
        writer.writeframes(data)
    return path


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("samples", [0, 1, 1000, 200_000])
def test_mono_comes_back_as_it_is(tmp_path: Path, rate_hz: int, samples: int) -> None:
    path = write_wav(tmp_path / "a.wav", noise(samples), rate_hz=rate_hz)
    assert read_wav(path) == (noise(samples), rate_hz)
    assert read_wav(str(path)) == (noise(samples), rate_hz)


def test_channels_are_mixed_down(tmp_path: Path) -> None:
    stereo = np.array([[100, 200], [-100, -200], [32767, 32767]], "<i2").tobytes()
    pcm, _ = read_wav(write_wav(tmp_path / "a.wav", stereo, channels=2))
    assert pcm == np.array([150, -150, 32767], "<i2").tobytes()


def test_a_header_that_claims_too_much_is_no_error(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(1000))
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, 40, 0x7FFFF000)
    path.write_bytes(bytes(content))
    assert read_wav(path)[0] == noise(1000)


def test_a_file_cut_inside_a_sample_gives_the_whole_ones(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(1000), channels=2)
    path.write_bytes(path.read_bytes()[:-3])
    assert len(read_wav(path)[0]) == 499 * 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 1}, "8 bits"),
        ({"width": 3}, "24 bits"),
        ({"channels": 33}, "33 channels"),
        ({"rate_hz": 2000}, "2000 Hz"),
    ],
)
def test_another_layout_is_refused_with_what_it_is(
    tmp_path: Path, parameters: dict[str, int], message: str
) -> None:
    path = write_wav(tmp_path / "odd.wav", bytes(66 * 6), **parameters)
    with pytest.raises(AudioFileError, match=message) as caught:
        read_wav(path)
    assert "odd.wav" in str(caught.value)
    assert "expected 16 bits" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"ID3\x03" + bytes(100), b"RIFF\x10\0\0\0WAVEfmt ", b"RIFF\x40\0\0\0WAVEjunk\xff\0\0\0"],
)
def test_what_is_no_wav_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"no\.wav.* is no WAV file"):
        read_wav(path)


@pytest.mark.parametrize("path", ["missing/a.wav", ".", "a\0b", 3, None])
def test_what_cannot_be_opened_is_refused(path: FilePath) -> None:
    with pytest.raises(AudioFileError, match="check the path"):
        read_wav(path)


def test_a_disk_error_halfway_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: wave.Wave_read, count: int) -> bytes:
        raise OSError("Input/output error")

    path = write_wav(tmp_path / "a.wav", noise(10))
    monkeypatch.setattr(wave.Wave_read, "readframes", fail)
    with pytest.raises(AudioFileError, match=r"cannot read on in .*a\.wav.*Input/output error"):
        read_wav(path)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavWriter(path, 24000) as writer:
        for _ in range(100):
            writer.write(noise(480))
        writer.write(b"")
    assert read_wav(path) == (noise(480) * 100, 24000)


def test_a_file_closed_before_any_audio_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    WavWriter(str(path), 8000).close()
    assert read_wav(path) == (b"", 8000)


def test_the_file_is_valid_while_it_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavWriter(path, 8000) as writer:
        for _ in range(75):
            writer.write(noise(160))
        pcm, _ = read_wav(path)
        assert pcm == noise(160) * 50


def test_the_file_is_completed_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with contextlib.suppress(RuntimeError), WavWriter(path, 8000) as writer:
        writer.write(noise(10))
        raise RuntimeError
    assert read_wav(path)[0] == noise(10)


def test_writing_after_close_is_refused_and_closing_twice_is_not(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "out.wav", 8000)
    writer.close()
    writer.close()
    with pytest.raises(AudioFileError, match="is closed"):
        writer.write(b"ab")


def test_half_a_sample_is_refused_and_not_written(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "out.wav", 8000) as writer:
        with pytest.raises(AudioDataError, match="got 3 bytes"):
            writer.write(b"abc")
        writer.write(b"ab")
    assert read_wav(tmp_path / "out.wav")[0] == b"ab"


def test_a_full_file_is_refused_and_stays_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "_MAX_DATA_BYTES", 10)
    with WavWriter(tmp_path / "out.wav", 8000) as writer:
        writer.write(noise(5))
        with pytest.raises(AudioFileError, match="is full"):
            writer.write(b"ab")
    assert read_wav(tmp_path / "out.wav")[0] == noise(5)


@pytest.mark.parametrize("path", ["missing/out.wav", ".", "a\0b", None])
def test_what_cannot_be_written_is_refused(path: FilePath) -> None:
    with pytest.raises(AudioFileError, match="cannot write"):
        WavWriter(path, 8000)


def test_a_bad_rate_is_refused_before_the_file_is_touched(tmp_path: Path) -> None:
    with pytest.raises(AudioFormatError, match="sample rate 0;"):
        WavWriter(tmp_path / "out.wav", 0)
    assert not (tmp_path / "out.wav").exists()
