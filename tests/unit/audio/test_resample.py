# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from fractions import Fraction
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_connector.audio.resample import DEFAULT_QUALITY, LIVE_QUALITY, Quality, Resampler, resample
from audio_connector.errors import AudioDataError, AudioFormatError

RATES_HZ = (4000, 8000, 11025, 16000, 22050, 24000, 44100, 48000, 192000)
CLEAN_QUALITIES: tuple[Quality, ...] = ("MQ", "HQ", "VHQ", "VR")

rates = st.sampled_from(RATES_HZ)
clean_qualities = st.sampled_from(CLEAN_QUALITIES)


def noise(samples: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(-32768, 32768, samples).astype("<i2").tobytes()


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> bytes:
    n = np.arange(int(rate_hz * seconds))
    wave: npt.NDArray[np.float64] = np.rint(16384 * np.sin(2 * np.pi * hz * n / rate_hz))
    return wave.astype("<i2").tobytes()


def in_pieces(resampler: Resampler, pcm: bytes, piece_bytes: int) -> bytes:
    pieces = [resampler.push(pcm[at : at + piece_bytes]) for at in range(0, len(pcm), piece_bytes)]
    return b"".join([*pieces, resampler.finish()])


def middle(pcm: bytes) -> npt.NDArray[np.float64]:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return samples[len(samples) // 4 : len(samples) * 3 // 4]


@settings(deadline=None)
@given(
    rates,
    rates,
    clean_qualities,
    st.lists(st.integers(0, 700), max_size=12),
)
def test_the_result_does_not_depend_on_the_chunks(
    in_hz: int, out_hz: int, quality: Quality, sizes: list[int]
) -> None:
    pcm = noise(sum(sizes))
    at_once = Resampler(in_hz, out_hz, quality=quality)
    expected = at_once.push(pcm) + at_once.finish()
    chunked = Resampler(in_hz, out_hz, quality=quality)
    out, at = b"", 0
    for size in sizes:
        out += chunked.push(pcm[2 * at : 2 * (at + size)])
        at += size
    assert out + chunked.finish() == expected


@pytest.mark.parametrize("quality", get_args(Quality))
def test_sample_by_sample_gives_the_same(quality: Quality) -> None:
    pcm = noise(800)
    expected = in_pieces(Resampler(24000, 16000, quality=quality), pcm, len(pcm))
    assert in_pieces(Resampler(24000, 16000, quality=quality), pcm, 2) == expected


@settings(deadline=None)
@given(rates, rates, clean_qualities, st.integers(0, 3000))
def test_out_is_as_long_as_in(in_hz: int, out_hz: int, quality: Quality, samples: int) -> None:
    resampler = Resampler(in_hz, out_hz, quality=quality)
    out = resampler.push(bytes(2 * samples)) + resampler.finish()
    assert len(out) == math.floor(Fraction(samples * out_hz, in_hz) + Fraction(1, 2)) * 2


@pytest.mark.parametrize("out_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("in_hz", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("quality", [DEFAULT_QUALITY, LIVE_QUALITY])
def test_whole_seconds_are_exact_when_fed_in_pieces(in_hz: int, out_hz: int, quality: Quality) -> None:
    out = in_pieces(Resampler(in_hz, out_hz, quality=quality), noise(2 * in_hz), in_hz // 50 * 2)
    assert len(out) == 2 * 2 * out_hz


@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (44100, 16000), (8000, 16000), (16000, 24000)])
@pytest.mark.parametrize("quality", CLEAN_QUALITIES)
def test_a_tone_stays_a_clean_tone(in_hz: int, out_hz: int, quality: Quality) -> None:
    samples = middle(in_pieces(Resampler(in_hz, out_hz, quality=quality), tone(1000, in_hz), in_hz // 50 * 2))
    angle = 2 * np.pi * 1000 * np.arange(len(samples)) / out_hz
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    rest = samples - basis @ weights
    amplitude = float(np.hypot(*weights))
    assert amplitude == pytest.approx(16384, rel=0.001)
    assert 20 * np.log10(amplitude / np.sqrt(2) / np.sqrt(np.mean(rest**2))) > 85


@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (48000, 16000), (24000, 8000)])
@pytest.mark.parametrize("quality", CLEAN_QUALITIES)
def test_what_the_lower_rate_cannot_carry_is_removed(in_hz: int, out_hz: int, quality: Quality) -> None:
    samples = middle(in_pieces(Resampler(in_hz, out_hz, quality=quality), tone(0.6 * out_hz, in_hz), 960))
    assert np.abs(samples).max() <= 1


@pytest.mark.parametrize("quality", get_args(Quality))
def test_silence_stays_silence(quality: Quality) -> None:
    out = in_pieces(Resampler(24000, 16000, quality=quality), bytes(48000), 960)
    assert out == bytes(32000)


@pytest.mark.parametrize("quality", CLEAN_QUALITIES)
def test_overshoot_is_clipped_and_does_not_wrap(quality: Quality) -> None:
    square = np.tile(np.repeat([32767, -32768], 24), 100).astype("<i2").tobytes()
    out = np.frombuffer(in_pieces(Resampler(24000, 16000, quality=quality), square, 960), "<i2")
    inside = out.reshape(-1, 16)[4:-4, 4:12]  # away from the edges of the square
    assert np.all(np.abs(inside.astype(int)) > 25000)
    assert np.all(np.sign(inside) == np.sign(inside[:, :1]))
    assert out.max() == 32767
    assert out.min() == -32768


@pytest.mark.parametrize(
    ("in_hz", "out_hz", "worst_ms"), [(24000, 16000, 10.1), (16000, 24000, 15.1), (8000, 16000, 30.1)]
)
def test_the_live_quality_answers_every_piece(in_hz: int, out_hz: int, worst_ms: float) -> None:
    resampler = Resampler(in_hz, out_hz, quality=LIVE_QUALITY)
    returned_bytes = 0
    for piece in range(1, 101):
        returned_bytes += len(resampler.push(noise(in_hz // 50, seed=piece)))
        assert piece * 20 - returned_bytes / out_hz * 500 <= worst_ms


def test_held_is_true_between_the_first_sample_and_finish() -> None:
    resampler = Resampler(24000, 16000)
    assert (resampler.in_hz, resampler.out_hz, resampler.held) == (24000, 16000, False)
    assert resampler.push(b"") == b""
    assert not resampler.held
    resampler.push(noise(10))
    assert resampler.held
    assert resampler.finish()
    assert not resampler.held
    assert resampler.finish() == b""


@pytest.mark.parametrize("quality", get_args(Quality))
def test_after_finish_it_is_as_new(quality: Quality) -> None:
    resampler = Resampler(24000, 16000, quality=quality)
    first = resampler.push(noise(1000)) + resampler.finish()
    assert resampler.push(noise(1000)) + resampler.finish() == first


def test_the_same_rate_passes_through_without_a_copy() -> None:
    resampler = Resampler(16000, 16000)
    pcm = noise(100)
    assert resampler.push(pcm) is pcm
    assert not resampler.held
    assert resampler.finish() == b""


def test_long_audio_in_one_call_equals_pieces() -> None:
    pcm = noise(200_000)
    assert resample(pcm, 24000, 16000) == in_pieces(Resampler(24000, 16000), pcm, 960)


def test_one_shot_conversion() -> None:
    assert len(resample(noise(24000), 24000, 16000)) == 32000
    assert resample(b"", 24000, 16000) == b""


def test_an_odd_piece_is_refused_and_feeds_nothing() -> None:
    resampler = Resampler(24000, 16000)
    with pytest.raises(AudioDataError, match="got 3 bytes"):
        resampler.push(b"abc")
    assert not resampler.held
    with pytest.raises(AudioDataError, match="got 1 bytes"):
        Resampler(16000, 16000).push(b"a")


@pytest.mark.parametrize("rate_hz", [3999, 192001, 16000.0, None])
def test_a_rate_out_of_range_is_refused(rate_hz: object) -> None:
    with pytest.raises(AudioFormatError, match="4000 to 192000"):
        Resampler(rate_hz, 16000)  # type: ignore[arg-type] # the check is for callers without type checker
    with pytest.raises(AudioFormatError, match="4000 to 192000"):
        Resampler(16000, rate_hz)  # type: ignore[arg-type] # as above


@pytest.mark.parametrize("quality", ["QQ", "hq", "", None, 3])
def test_an_unknown_quality_is_refused(quality: object) -> None:
    with pytest.raises(AudioFormatError, match="LQ, MQ, HQ, VHQ, VR"):
        Resampler(24000, 16000, quality=quality)  # type: ignore[arg-type] # as above
