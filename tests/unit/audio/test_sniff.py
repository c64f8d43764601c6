# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import gzip
import io
import wave
import zipfile

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered, real_speech

from audio_connector.audio.sniff import refuse_file, what_it_looks_like
from audio_connector.errors import AudioDataError

SPEECH = real_speech(24000)


def encoded(file_format: str, rate_hz: int = 24000, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    samples = np.frombuffer(SPEECH, "<i2").astype(np.float64) / 32768
    soundfile.write(file, samples, rate_hz, format=file_format, subtype=subtype)
    return file.getvalue()


def wav_file() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24000)
        writer.writeframes(SPEECH)
    return file.getvalue()


def zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("speech.pcm", SPEECH)
    return file.getvalue()


def adts_stream() -> bytes:
    """AAC frames as ffmpeg writes them: AAC-LC, 24 kHz, mono."""
    frames = []
    for at in range(0, 4000, 190):
        body = SPEECH[20000 + at : 20190 + at]
        size = len(body) + 7
        header = (0xFFF15840 << 24 | size << 13 | 0x7FF << 2).to_bytes(7, "big")
        frames.append(header + body)
    return b"".join(frames)


MP3 = encoded("MP3")
FILES = {
    "wav": (wav_file(), "a WAV file with its header"),
    "rf64": (encoded("RF64"), "a WAV file with its header"),
    "ogg": (encoded("OGG", subtype="OPUS"), "an Ogg file"),
    "flac": (encoded("FLAC"), "a FLAC file"),
    "aiff": (encoded("AIFF"), "an AIFF file"),
    "au": (encoded("AU"), "an .au file"),
    "caf": (encoded("CAF"), "a CAF file"),
    "id3": (b"ID3\x04\0\0\0\0\1\x7f" + MP3, "an MP3 file"),
    "mp4": (b"\0\0\0\x20ftypM4A \0\0\2\0isomiso2" + SPEECH, "an MP4 or M4A file"),
    "webm": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1" + SPEECH, "a WebM or Matroska file"),
    "amr": (b"#!AMR-WB\n" + SPEECH, "an AMR file"),
    "gzip": (gzip.compress(SPEECH), "gzip data"),
    "zip": (zip_file(), "a zip file"),
}
TEXTS = [
    (b'{"error": {"code": 401, "message": "Invalid API key"}}', "JSON text"),
    ('\n {"fehler":"ungültiger Schlüssel €"}'.encode(), "JSON text"),
    ('[{"錯誤":"無效的金鑰無效的金鑰無效的金鑰"}]'.encode(), "JSON text"),
    (b'\xef\xbb\xbf{"audio":"UklGRg=="}', "JSON text"),
    (b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>", "HTML"),
    (b"<HTML>\n<body>", "HTML"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    (b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "XML"),
    (b"Unauthorized", "text"),
    (b"Internal Server Error", "text"),
    (b"HTTP/1.1 429 Too Many Requests\r\n", "text"),
    (b"The voice 'alloy' is not available in this region.\n", "text"),
    (b'data: {"type": "speech.audio.delta", "delta": "AAAA"}\n\n', "text"),
    (base64.b64encode(SPEECH[20000:30000]), "base64 text"),
    (base64.encodebytes(SPEECH[20000:30000]), "base64 text"),
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [16, 64, 640, 4096, 100_000])
def test_files_are_told_by_their_beginning(name: str, size: int) -> None:
    data, kind = FILES[name]
    assert what_it_looks_like(data[:size]) == kind
    with pytest.raises(AudioDataError, match=f"^got {kind} as audio; expected raw mono 16-bit [^\\n]*$"):
        refuse_file(data[:size])


@pytest.mark.parametrize("name", FILES)
def test_what_is_too_short_to_tell_passes(name: str) -> None:
    data, kind = FILES[name]
    for size in range(16):
        assert what_it_looks_like(data[:size]) in (None, kind)
    assert what_it_looks_like(data[:2]) is None


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100, 48000])
def test_mp3_without_a_tag_is_told_by_its_frames(rate_hz: int) -> None:
    data = encoded("MP3", rate_hz)
    assert data[0] == 0xFF
    for size in (1500, 4096, 100_000):
        assert what_it_looks_like(data[:size]) == "an MP3 file"
    assert what_it_looks_like(data[:7]) is None


@pytest.mark.parametrize("size", [400, 1500, 4096])
def test_aac_is_told_by_its_frames(size: int) -> None:
    assert what_it_looks_like(adts_stream()[:size]) == "AAC audio (ADTS)"


@pytest.mark.parametrize(("data", "kind"), TEXTS)
def test_text_is_told_and_quoted_in_one_line(data: bytes, kind: str) -> None:
    assert what_it_looks_like(data) == kind
    with pytest.raises(
        AudioDataError, match=rf"^got {kind} \([^\n]*\) as audio; expected raw [^\n]*$"
    ) as caught:
        refuse_file(data * 50)
    assert len(str(caught.value)) < 400


def test_a_character_may_be_cut_at_the_end() -> None:
    text = "Der Schlüssel für Größe ist ungültig, wähle einen gültigen"
    for size in range(40, len(text.encode()) + 1):
        assert what_it_looks_like(text.encode()[:size]) == "text"


def test_the_advice_fits() -> None:
    for data, advice in ((wav_file(), r"client\.play\(\)"), (TEXTS[0][0], "status"), (MP3, "raw 16-bit PCM")):
        with pytest.raises(AudioDataError, match=advice):
            refuse_file(data[:4096])


# Nothing of this is refused: PCM.

places = st.integers(0, 100_000)


@settings(max_examples=500)
@given(
    st.integers(0, 2**32), st.integers(0, 4096)
)  # by its seed: hypothesis knows the constants of the source
def test_noise_at_full_scale_passes(seed: int, size: int) -> None:
    refuse_file(np.random.default_rng(seed).bytes(size))


@pytest.mark.parametrize(
    "start", [b"\xff\xfb\x90\x00", b"\xff\xf1\x58\x40\x10\x00\xfc", b"\xff\xff", b"PK", b"ID3"]
)
def test_one_header_alone_passes(start: bytes) -> None:
    refuse_file(start + SPEECH[20000:24000])
    refuse_file(start + bytes(4000))


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 2048), st.floats(0, 32767), st.integers(-32768, 32767))
def test_noise_of_any_level_passes(seed: int, samples: int, level: float, offset: int) -> None:
    values = np.random.default_rng(seed).normal(offset, level, samples).clip(-32768, 32767)
    refuse_file(values.astype("<i2").tobytes())


@settings(max_examples=300)
@given(st.floats(20, 4000), st.sampled_from([8000, 16000, 24000]), st.floats(0, 32767), places)
def test_sines_pass(hz: float, rate_hz: int, level: float, start: int) -> None:
    wave_: npt.NDArray[np.float64] = level * np.sin(2 * np.pi * hz / rate_hz * (start + np.arange(2048)))
    refuse_file(np.rint(wave_).astype("<i2").tobytes())


@given(st.binary(min_size=2, max_size=2), st.integers(0, 2048))
@example(b'{"', 100)
@example(b"AA", 100)
def test_a_constant_passes(sample: bytes, count: int) -> None:
    refuse_file(sample * count)


@settings(max_examples=300)
@given(places, st.integers(0, 4096), st.sampled_from([8000, 16000, 24000]))
def test_speech_passes_wherever_it_is_cut_even_inside_a_sample(start: int, size: int, rate_hz: int) -> None:
    speech = real_speech(rate_hz)
    start %= len(speech)
    refuse_file(speech[start : start + size])


def test_a_tone_that_looks_like_frames_passes_because_it_repeats() -> None:
    period = b"\xff\xf3\x84\xc4" + SPEECH[20000:20188]  # a header of MP3 with 192 bytes, 250 Hz at 24 kHz
    assert what_it_looks_like(period * 20) is None
    assert what_it_looks_like(b"".join(period[:4] + SPEECH[at : at + 188] for at in range(20000, 24000, 188)))


def test_the_samples_of_the_tests_pass() -> None:
    for start in range(0, 65536, 37):
        refuse_file(counting_pcm(1280, start=start))
        refuse_file(numbered(start, 640))
