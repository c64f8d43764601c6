# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import SUPPORTED_RATES_HZ, AudioFormat, check_rate_hz, may_be_pcm
from audio_connector.errors import AudioFormatError, UsageError

formats = st.sampled_from([AudioFormat(rate_hz) for rate_hz in SUPPORTED_RATES_HZ])


@pytest.mark.parametrize(
    ("rate_hz", "samples", "size_bytes", "per_second"),
    [(8000, 160, 320, 16000), (16000, 320, 640, 32000), (24000, 480, 960, 48000)],
)
def test_sizes_follow_from_the_rate(rate_hz: int, samples: int, size_bytes: int, per_second: int) -> None:
    audio_format = AudioFormat(rate_hz)
    assert audio_format.frame_samples == samples
    assert audio_format.frame_bytes == size_bytes
    assert audio_format.bytes_per_second == per_second
    assert audio_format.duration_ms(size_bytes) == 20.0


def test_the_default_is_16_khz_and_values_are_equal_and_frozen() -> None:
    assert AudioFormat() == AudioFormat(16000)
    assert len({AudioFormat(), AudioFormat(16000), AudioFormat(8000)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        AudioFormat().rate_hz = 8000  # type: ignore[misc] # the error is what is tested


@pytest.mark.parametrize("rate_hz", [0, -16000, 44100, 48000, 16000.0, True, "16000", None])
def test_another_rate_is_refused_and_named(rate_hz: object) -> None:
    with pytest.raises(AudioFormatError, match="8000, 16000, 24000") as caught:
        AudioFormat(rate_hz)  # type: ignore[arg-type] # the check is for callers without type checker
    assert repr(rate_hz) in str(caught.value)


@given(formats, st.integers(0, 10**9))
def test_durations_and_sizes_are_inverse_for_whole_samples(audio_format: AudioFormat, samples: int) -> None:
    size_bytes = samples * 2
    assert audio_format.bytes_for_ms(audio_format.duration_ms(size_bytes)) == size_bytes


@given(formats, st.floats(0, 1e9))
def test_bytes_for_ms_are_whole_samples_and_at_most_half_a_sample_off(
    audio_format: AudioFormat, ms: float
) -> None:
    size_bytes = audio_format.bytes_for_ms(ms)
    assert size_bytes % 2 == 0
    assert abs(audio_format.duration_ms(size_bytes) - ms) <= 0.5001 * 1000 / audio_format.rate_hz


@pytest.mark.parametrize("ms", [-1, -0.001, math.nan, math.inf])
def test_an_impossible_duration_is_refused(ms: float) -> None:
    with pytest.raises(UsageError, match="got a duration"):
        AudioFormat().bytes_for_ms(ms)


@given(formats)
def test_content_type_round_trip(audio_format: AudioFormat) -> None:
    assert AudioFormat.from_content_type(audio_format.content_type) == audio_format


@pytest.mark.parametrize(
    ("text", "rate_hz"),
    [
        ("audio/l16;rate=16000", 16000),
        ("audio/l16; rate=8000", 8000),
        ("  AUDIO/L16 ; Rate = 24000 ", 24000),
        ('audio/l16;rate="8000"', 8000),
        ("audio/l16;channels=1;rate=8000;x", 8000),
        ("audio/l16;rate=8000;rate=24000", 8000),
        ("audio/l16", 16000),
        ("audio/l16;", 16000),
        ("audio/l16;channels=1", 16000),
        ('audio/l16; Channels = "1" ;channels=2', 16000),
    ],
)
def test_content_type_is_read_tolerantly(text: str, rate_hz: int) -> None:
    assert AudioFormat.from_content_type(text).rate_hz == rate_hz


@pytest.mark.parametrize(
    "text",
    [
        "",
        "audio/wav;rate=16000",
        "audio/l161;rate=16000",
        "audio/l16;rate=",
        "audio/l16;rate",
        "audio/l16;rate=44100",
        "audio/l16;rate=-8000",
        "audio/l16;rate=16000;channels=2",
        "audio/l16;channels=",
        "audio/l16;rate=8_000",
        "audio/l16;rate=\N{FULLWIDTH DIGIT EIGHT}000",
        "audio/l16;rate=" + "9" * 10_000,
        "audio/l16;rate=8000" + ";" * 16,
        None,
        16000,
    ],
)
def test_a_foreign_content_type_is_refused_briefly(text: object) -> None:
    with pytest.raises(AudioFormatError, match="audio/l16;rate=N") as caught:
        AudioFormat.from_content_type(text)  # type: ignore[arg-type] # it comes from the network
    assert len(str(caught.value)) < 400


def test_only_so_many_parameters_are_looked_at() -> None:
    assert AudioFormat.from_content_type("audio/l16" + ";a=1" * 15 + ";rate=8000").rate_hz == 8000
    assert may_be_pcm("audio/l16" + ";" * 16_000 + "channels=2")
    assert not may_be_pcm("audio/l16" + ";" * 16 + "channels=2")


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("audio/l16;rate=44100", True),
        ("audio/l16;rate=x", True),
        ("", True),
        (";rate=8000", True),
        ("audio/l16;channels=1", True),
        ("audio/l16;rate=16000;channels=2", False),
        ("audio/opus", False),
        ("AUDIO/WAV;rate=16000", False),
    ],
)
def test_what_says_that_it_is_something_else_is_no_pcm(text: str, may_be: bool) -> None:
    assert may_be_pcm(text) is may_be


@given(st.text())
def test_any_text_gives_a_format_or_an_error(text: str) -> None:
    for content_type in (text, "audio/l16;" + text, "audio/l16;rate=" + text):
        with contextlib.suppress(AudioFormatError):
            assert AudioFormat.from_content_type(content_type).rate_hz in SUPPORTED_RATES_HZ


@pytest.mark.parametrize("rate_hz", [4000, 11025, 44100, 192000])
def test_rates_of_applications_are_wider(rate_hz: int) -> None:
    assert check_rate_hz(rate_hz) == rate_hz


@pytest.mark.parametrize("rate_hz", [3999, 192001, 16000.0, True, None, "16000"])
def test_rates_out_of_range_are_refused(rate_hz: object) -> None:
    with pytest.raises(AudioFormatError, match="4000 to 192000"):
        check_rate_hz(rate_hz)
