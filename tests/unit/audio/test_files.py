# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from audio_connector.audio.files import iter_audio_file
from audio_connector.audio.wav import FilePath
from audio_connector.errors import AudioFileError, UsageError


def noise(samples: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(1).integers(-32768, 32768, samples, dtype=np.int16)


def pcm_of(samples: npt.NDArray[np.int16]) -> bytes:
    return samples.astype("<i2").tobytes()


def write_plain(path: Path, samples: int, rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(pcm_of(noise(samples)))
    return path


def write_any(path: Path, samples: npt.NDArray[Any], rate_hz: int, subtype: str | None = None) -> Path:
    pytest.importorskip("soundfile").write(path, samples, rate_hz, subtype=subtype)
    return path


@pytest.fixture
def without_soundfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError):
        importlib.import_module("soundfile")


@pytest.mark.parametrize(
    ("block_ms", "sizes"), [(200, [3200] * 5), (300, [4800] * 3 + [1600]), (5000, [16000])]
)
def test_a_plain_wav_comes_in_blocks_without_soundfile(
    tmp_path: Path, without_soundfile: None, block_ms: int, sizes: list[int]
) -> None:
    pieces = list(iter_audio_file(write_plain(tmp_path / "a.wav", 16000, 16000), block_ms=block_ms))
    assert [len(pcm) for pcm, _ in pieces] == [2 * size for size in sizes]
    assert {rate_hz for _, rate_hz in pieces} == {16000}
    assert b"".join(pcm for pcm, _ in pieces) == pcm_of(noise(16000))


def test_the_name_does_not_matter(tmp_path: Path, without_soundfile: None) -> None:
    path = write_plain(tmp_path / "a.mp3", 100, 8000)
    assert list(iter_audio_file(str(path))) == [(pcm_of(noise(100)), 8000)]


def test_a_file_without_any_samples_is_refused_at_once(tmp_path: Path) -> None:
    empty = np.zeros(0, np.int16)
    for path in (
        write_plain(tmp_path / "a.wav", 0, 8000),
        write_any(tmp_path / "b.wav", empty, 8000, "FLOAT"),
        write_any(tmp_path / "c.ogg", empty, 8000),
    ):
        with pytest.raises(
            AudioFileError, match=rf"{path.name}.* has no audio in it; expected at least one sample"
        ):
            iter_audio_file(path)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_an_empty_file_is_refused_as_such(tmp_path: Path, without_soundfile: None, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(AudioFileError, match=rf"{name}.* cannot be decoded: it is empty;"):
        iter_audio_file(tmp_path / name)


@pytest.mark.parametrize("size", [0, 100, 0xFFFFFFFF])
def test_a_streamed_wav_is_played_whole(tmp_path: Path, without_soundfile: None, size: int) -> None:
    path = write_plain(tmp_path / "a.wav", 16000, 16000)
    content = bytearray(path.read_bytes())
    content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(bytes(content))
    assert b"".join(pcm for pcm, _ in iter_audio_file(path)) == pcm_of(noise(16000))


@pytest.mark.parametrize("after", [b"", b"LIST\4\0\0\0INFO"])
def test_chunks_behind_the_samples_are_not_played(tmp_path: Path, after: bytes) -> None:
    path = write_any(tmp_path / "a.wav", noise(999) / 32768, 16000, "PCM_24")
    path.write_bytes(path.read_bytes() + after)
    assert b"".join(pcm for pcm, _ in iter_audio_file(path)) == pcm_of(noise(999))


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("size", [0, 96, 0xFFFFFFFF])
def test_a_streamed_wav_of_another_format_is_played_whole(tmp_path: Path, subtype: str, size: int) -> None:
    path = write_any(tmp_path / "a.wav", noise(16000) / 32768, 16000, subtype)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(bytes(content))
    assert b"".join(pcm for pcm, _ in iter_audio_file(path)) == pcm_of(noise(16000))


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.flac", None), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.aiff", "PCM_16")]
)
def test_other_formats_are_exact(tmp_path: Path, name: str, subtype: str | None) -> None:
    # As floats, because soundfile writes integers into float files without scaling them.
    path = write_any(tmp_path / name, noise(10_000) / 32768, 44100, subtype)
    pieces = list(iter_audio_file(path, block_ms=100))
    assert [len(pcm) for pcm, _ in pieces] == [8820, 8820, 2360]
    assert b"".join(pcm for pcm, _ in pieces) == pcm_of(noise(10_000))
    assert {rate_hz for _, rate_hz in pieces} == {44100}


def test_other_formats_are_mixed_down_and_clipped(tmp_path: Path) -> None:
    floats = np.array([[0.5, 0.25], [1.5, 1.5], [-3.0, -3.0]], np.float32)
    path = write_any(tmp_path / "a.wav", floats, 16000, "FLOAT")
    assert list(iter_audio_file(path)) == [(np.array([12288, 32767, -32768], "<i2").tobytes(), 16000)]


def test_a_file_is_closed_when_the_iterator_is(tmp_path: Path) -> None:
    for path in (
        write_plain(tmp_path / "a.wav", 16000, 16000),
        write_any(tmp_path / "a.flac", noise(16000), 16000),
    ):
        pieces = iter_audio_file(path)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined] # a generator; a file left open is a ResourceWarning


def test_other_formats_without_soundfile_say_what_to_install(tmp_path: Path, without_soundfile: None) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"fLaC" + bytes(50))
    with pytest.raises(AudioFileError, match=r"a\.flac.*pip install 'audio-connector\[files\]'"):
        iter_audio_file(path)


def test_what_soundfile_does_not_know_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    for name, content in (("a.txt", b"hello"), ("a.raw", bytes(100)), ("a.wav", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(AudioFileError, match="cannot be decoded") as caught:
            iter_audio_file(path)
        assert name in str(caught.value)


def test_a_rate_or_layout_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="1 channels and 1000 Hz"):
        iter_audio_file(write_any(tmp_path / "a.wav", noise(100), 1000))
    with pytest.raises(AudioFileError, match="40 channels and 16000 Hz"):
        iter_audio_file(write_any(tmp_path / "b.wav", noise(400).reshape(-1, 40), 16000))


def test_a_float_that_is_not_finite_names_the_file(tmp_path: Path) -> None:
    path = write_any(tmp_path / "a.wav", np.array([0.0, np.nan], np.float32), 16000, "FLOAT")
    with pytest.raises(AudioFileError, match=r"a\.wav.*got nan"):
        list(iter_audio_file(path))


@pytest.mark.parametrize("path", ["missing.wav", ".", "a\0b", None])
def test_what_cannot_be_opened_is_refused_at_once(path: FilePath) -> None:
    with pytest.raises(AudioFileError, match="check the path"):
        iter_audio_file(path)


@pytest.mark.parametrize("block_ms", [0, -1, 20.0, True, None])
def test_a_block_has_a_length(block_ms: int) -> None:
    with pytest.raises(UsageError, match="positive int"):
        iter_audio_file("a.wav", block_ms=block_ms)
