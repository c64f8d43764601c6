# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clouds import cut

from audio_connector.engines.base.samples import HEAD_BYTES, WholeSamples, wav_of
from audio_connector.errors import AudioDataError, AudioFormatError


@given(st.binary(max_size=5000), st.lists(st.integers(0, 2000), max_size=12))
def test_the_samples_do_not_depend_on_how_they_were_cut(data: bytes, sizes: list[int]) -> None:
    pcm = b"\0\0" + data[: len(data) // 2 * 2]  # begins like no file
    samples = WholeSamples()
    pieces = [samples.push(piece) for piece in cut(pcm, sizes)]
    assert b"".join([*pieces, samples.finish()]) == pcm
    assert all(len(piece) % 2 == 0 for piece in pieces)


def test_the_first_piece_comes_as_soon_as_it_is_known_to_be_audio() -> None:
    samples = WholeSamples()
    assert samples.push(bytes(HEAD_BYTES - 1)) == b""
    assert samples.push(bytes(2)) == bytes(HEAD_BYTES)
    assert samples.push(bytes(3)) == bytes(4)
    assert samples.finish() == b""


def test_half_a_sample_at_the_end_is_an_error_and_no_click() -> None:
    samples = WholeSamples()
    samples.push(bytes(HEAD_BYTES + 1))
    with pytest.raises(AudioDataError, match="odd number of bytes"):
        samples.finish()


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error": {"message": "no such voice"}, "more": "' + b"x" * 4000, "JSON text"),
        (b"<!DOCTYPE html><html><body>It works!</body></html>", "HTML"),
        (wav_of(bytes(8000), 16000), "a WAV file"),
        (b"ID3\x04\x00" + bytes(4000), "an MP3 file"),
    ],
)
def test_what_is_no_pcm_is_refused_however_it_comes(data: bytes, kind: str, size: int) -> None:
    samples = WholeSamples()

    def passed() -> list[bytes]:
        return [*(samples.push(piece) for piece in cut(data, [size] * (len(data) // size))), samples.finish()]

    with pytest.raises(AudioDataError, match=kind):
        passed()


def test_a_wav_file_has_the_samples_and_their_rate() -> None:
    with wave.open(io.BytesIO(wav_of(b"\1\0\2\0", 24000))) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.readframes(9)) == (24000, 1, b"\1\0\2\0")
    assert len(wav_of(b"", 8000)) == 44
    with pytest.raises(AudioDataError):
        wav_of(b"\0", 8000)
    with pytest.raises(AudioFormatError):
        wav_of(b"", 0)
