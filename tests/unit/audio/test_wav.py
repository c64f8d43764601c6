# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import io
import os
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
@pytest.mark.parametrize("samples", [1, 1000, 200_000])
def test_mono_comes_back_as_it_is(tmp_path: Path, rate_hz: int, samples: int) -> None:
    path = write_wav(tmp_path / "a.wav", noise(samples), rate_hz=rate_hz)
    assert read_wav(path) == (noise(samples), rate_hz)
    assert read_wav(str(path)) == (noise(samples), rate_hz)


def test_channels_are_mixed_down(tmp_path: Path) -> None:
    stereo = np.array([[100, 200], [-100, -200], [32767, 32767]], "<i2").tobytes()
    pcm, _ = read_wav(write_wav(tmp_path / "a.wav", stereo, channels=2))
    assert pcm == np.array([150, -150, 32767], "<i2").tobytes()


LIST = b"LIST" + struct.pack("<L", 26) + b"INFOISFT\x0e\0\0\0Lavf58.29.100\0"
BROKEN = b"LIST" + struct.pack("<L", 27) + b"INFO"


def with_size(path: Path, size: int, *, after: bytes = b"") -> Path:
    """A file whose header says another size, and what is behind its audio."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, 40, size)
    path.write_bytes(bytes(content) + after)
    return path


@pytest.mark.parametrize("size", [0, 1, 2, 1000, 1998, 2000, 2001, 0x7FFFF000, 0xFFFFFFFE, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_size", [0, 36, 2036, 0xFFFFFFFF])
def test_all_is_played_whatever_size_a_stream_has_written(tmp_path: Path, size: int, riff_size: int) -> None:
    path = with_size(write_wav(tmp_path / "a.wav", noise(1000)), size)
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, 4, riff_size)
    path.write_bytes(bytes(content))
    assert read_wav(path) == (noise(1000), 16000)


@pytest.mark.parametrize(
    "after", [LIST, LIST + b"id3 \4\0\0\0ID3\4", b"bext\1\0\0\0x", b"bext\1\0\0\0x\0" + LIST]
)
def test_chunks_behind_the_audio_are_not_played(tmp_path: Path, after: bytes) -> None:
    path = with_size(write_wav(tmp_path / "a.wav", noise(1000)), 2000, after=after)
    assert read_wav(path)[0] == noise(1000)
    odd = with_size(write_wav(tmp_path / "b.wav", noise(1000)), 1999, after=after)  # and one byte of padding
    assert read_wav(odd)[0] == noise(1000)[:1998]


def test_chunks_behind_an_unknown_size_cannot_be_told_from_audio(tmp_path: Path) -> None:
    path = with_size(write_wav(tmp_path / "a.wav", noise(1000)), 0xFFFFFFFF, after=LIST)
    assert read_wav(path)[0] == noise(1000) + LIST


def test_what_only_begins_like_a_chunk_is_audio(tmp_path: Path) -> None:
    path = with_size(write_wav(tmp_path / "a.wav", noise(1000)), 2000, after=BROKEN)
    assert read_wav(path)[0] == noise(1000) + BROKEN


def test_chunks_before_the_audio_are_skipped(tmp_path: Path) -> None:
    content = write_wav(tmp_path / "a.wav", noise(1000)).read_bytes()
    path = tmp_path / "b.wav"
    path.write_bytes(content[:12] + b"junk\3\0\0\0abc\0" + content[12:36] + LIST + content[36:])
    assert read_wav(path)[0] == noise(1000)


@pytest.mark.parametrize("kind", [1, 3])
def test_the_extensible_form_is_read_where_it_is_pcm(tmp_path: Path, kind: int) -> None:
    form = struct.pack("<HHLLHHHHL", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4) + struct.pack("<H14x", kind)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEfmt \x28\0\0\0" + form + b"data\xff\xff\xff\xff" + noise(10))
    if kind == 1:
        assert read_wav(path) == (noise(10), 16000)
    else:
        with pytest.raises(AudioFileError, match="16 bits of format 3, 1 channels"):
            read_wav(path)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 0xFFFFFFFF])
@pytest.mark.parametrize("after", [b"", b"x", LIST])
def test_a_wav_without_any_samples_is_refused(tmp_path: Path, size: int, after: bytes) -> None:
    path = write_wav(tmp_path / "a.wav", b"", channels=2)
    if size == 0 or not after.startswith(b"LIST"):
        with pytest.raises(
            AudioFileError, match=r"a\.wav.* has no audio in it; expected at least one sample"
        ):
            read_wav(with_size(path, size, after=after))


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
    [
        b"",
        b"RIFF",
        b"RIFF\x10\0\0\0AVI ",
        b"ID3\x03" + bytes(100),
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"RIFF\x40\0\0\0WAVEjunk\xff\0\0\0",
    ],
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
    class Failing(io.FileIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if (offset, whence) == (44, 0):  # at its audio
                raise OSError("Input/output error")
            return super().seek(offset, whence)

    path = write_wav(tmp_path / "a.wav", noise(10))
    monkeypatch.setattr(Path, "open", lambda path, mode: Failing(path, mode))  # noqa: PLW0108 - a class would not be bound
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
    with wave.open(str(path)) as reader:
        assert (reader.getnframes(), reader.getframerate()) == (0, 8000)


def test_the_file_is_valid_while_it_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavWriter(path, 8000) as writer:
        for _ in range(75):
            writer.write(noise(160))
        pcm, _ = read_wav(path)
        assert len(pcm) >= len(noise(160)) * 50
        assert (noise(160) * 75).startswith(pcm)


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


def test_errors_name_a_path_as_one_types_it(tmp_path: Path) -> None:
    missing, text, folder = tmp_path / "gone.wav", tmp_path / "text.wav", tmp_path / "no" / "out.wav"
    text.write_text("no audio")
    for attempt in (
        lambda: read_wav(missing),
        lambda: read_wav(text),
        lambda: WavWriter(folder, 16000),
    ):
        with pytest.raises(AudioFileError) as caught:
            attempt()
        assert f"'{tmp_path}" in str(caught.value)
        assert "Path(" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="no locks")
def test_two_do_not_write_into_one_file(tmp_path: Path) -> None:
    """The second emptied what the first had written, and both wrote on, each at its own place."""
    path, samples = tmp_path / "call.wav", noise(2000)
    with WavWriter(path, 16000) as first:
        first.write(samples)
        with pytest.raises(AudioFileError, match=r"being written by somebody else.*choose another name"):
            WavWriter(path, 8000)
        first.write(samples)
    assert read_wav(path) == (samples * 2, 16000)
    with WavWriter(path, 8000) as second:  # now it is replaced
        second.write(samples)
    assert read_wav(path) == (samples, 8000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    """Waiting for a reader held up every recording of the process."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioFileError, match="No such device or address"):
        WavWriter(tmp_path / "pipe", 16000)
