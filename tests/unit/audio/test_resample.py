# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import real_speech

from audio_connector.audio.polyphase import filter_between
from audio_connector.audio.resample import Resampler, resample, warm_up
from audio_connector.errors import AudioDataError, AudioFormatError

RATES_HZ = (4000, 8000, 11025, 16000, 22050, 24000, 44100, 48000, 192000)
RELAY_PAIRS_HZ = (
    (8000, 16000), (16000, 8000), (24000, 8000), (24000, 16000), (22050, 8000), (44100, 24000), (48000, 16000),
)  # fmt: skip

# The last two make ratios that have no table of weights, and one of prime numbers.
rates = st.sampled_from((*RATES_HZ, 22049, 10007))


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
    st.lists(st.integers(0, 700), max_size=12),
)
def test_the_result_does_not_depend_on_the_chunks(in_hz: int, out_hz: int, sizes: list[int]) -> None:
    pcm = noise(sum(sizes))
    at_once = Resampler(in_hz, out_hz)
    expected = at_once.push(pcm) + at_once.finish()
    chunked = Resampler(in_hz, out_hz)
    out, at = b"", 0
    for size in sizes:
        out += chunked.push(pcm[2 * at : 2 * (at + size)])
        at += size
    assert out + chunked.finish() == expected


def test_sample_by_sample_gives_the_same() -> None:
    pcm = noise(800)
    expected = in_pieces(Resampler(24000, 16000), pcm, len(pcm))
    assert in_pieces(Resampler(24000, 16000), pcm, 2) == expected


@settings(deadline=None)
@given(rates, rates, st.integers(0, 3000))
def test_out_is_as_long_as_in(in_hz: int, out_hz: int, samples: int) -> None:
    resampler = Resampler(in_hz, out_hz)
    out = resampler.push(bytes(2 * samples)) + resampler.finish()
    assert len(out) == math.floor(Fraction(samples * out_hz, in_hz) + Fraction(1, 2)) * 2


@pytest.mark.parametrize("out_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("in_hz", [8000, 16000, 24000, 44100, 48000])
def test_whole_seconds_are_exact_when_fed_in_pieces(in_hz: int, out_hz: int) -> None:
    out = in_pieces(Resampler(in_hz, out_hz), noise(2 * in_hz), in_hz // 50 * 2)
    assert len(out) == 2 * 2 * out_hz


@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (44100, 16000), (8000, 16000), (16000, 24000)])
def test_a_tone_stays_a_clean_tone(in_hz: int, out_hz: int) -> None:
    samples = middle(in_pieces(Resampler(in_hz, out_hz), tone(1000, in_hz), in_hz // 50 * 2))
    angle = 2 * np.pi * 1000 * np.arange(len(samples)) / out_hz
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    rest = samples - basis @ weights
    amplitude = float(np.hypot(*weights))
    assert amplitude == pytest.approx(16384, rel=0.0001)
    assert 20 * np.log10(amplitude / np.sqrt(2) / np.sqrt(np.mean(rest**2))) > 92


@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (48000, 16000), (24000, 8000)])
def test_what_the_lower_rate_cannot_carry_is_removed(in_hz: int, out_hz: int) -> None:
    samples = middle(in_pieces(Resampler(in_hz, out_hz), tone(0.6 * out_hz, in_hz), 960))
    assert np.abs(samples).max() <= 1


def test_silence_stays_silence() -> None:
    out = in_pieces(Resampler(24000, 16000), bytes(48000), 960)
    assert out == bytes(32000)


def test_overshoot_is_clipped_and_does_not_wrap() -> None:
    square = np.tile(np.repeat([32767, -32768], 24), 100).astype("<i2").tobytes()
    out = np.frombuffer(in_pieces(Resampler(24000, 16000), square, 960), "<i2")
    inside = out.reshape(-1, 16)[4:-4, 4:12]  # away from the edges of the square
    assert np.all(np.abs(inside.astype(int)) > 25000)
    assert np.all(np.sign(inside) == np.sign(inside[:, :1]))
    assert out.max() == 32767
    assert out.min() == -32768


@pytest.mark.parametrize(
    ("in_hz", "out_hz", "worst_ms"),
    [(24000, 16000, 3.9), (16000, 24000, 3.9), (8000, 16000, 7.7), (44100, 8000, 7.7)],
)
def test_every_piece_is_answered_within_a_few_milliseconds(in_hz: int, out_hz: int, worst_ms: float) -> None:
    resampler = Resampler(in_hz, out_hz)
    returned_bytes = 0
    for piece in range(1, 101):
        returned_bytes += len(resampler.push(noise(in_hz // 50, seed=piece)))
        delay_ms = piece * 20 - returned_bytes / out_hz * 500
        assert delay_ms <= worst_ms
        assert resampler.held_bytes / out_hz * 500 == pytest.approx(delay_ms, abs=0.1)


@pytest.mark.parametrize(("in_hz", "out_hz"), RELAY_PAIRS_HZ)
@pytest.mark.parametrize("level", [-32768, -1, 1, 1000, 32767])
def test_a_constant_stays_that_constant(in_hz: int, out_hz: int, level: int) -> None:
    pcm = np.full(in_hz // 10, level, "<i2").tobytes()
    assert set(middle(in_pieces(Resampler(in_hz, out_hz), pcm, 640))) == {level}


@settings(deadline=None)
@given(rates, rates, st.lists(st.tuples(st.integers(0, 700), st.booleans()), max_size=12))
def test_a_drain_changes_nothing_but_what_it_returns(
    in_hz: int, out_hz: int, pieces: list[tuple[int, bool]]
) -> None:
    pcm = noise(sum(size for size, _ in pieces))
    undisturbed = np.frombuffer(resample(pcm, in_hz, out_hz), "<i2")
    resampler = Resampler(in_hz, out_hz)
    out, drained, fed = b"", np.zeros(len(undisturbed), bool), 0
    for size, is_drained in pieces:
        out += resampler.push(pcm[2 * fed : 2 * (fed + size)])
        fed += size
        if is_drained:
            held_bytes = resampler.held_bytes
            start = len(out)
            out += resampler.drain()
            assert len(out) - start == held_bytes
            assert (resampler.held_bytes, resampler.drain()) == (0, b"")
            assert len(out) // 2 == math.floor(Fraction(fed * out_hz, in_hz) + Fraction(1, 2))
            drained[start // 2 : len(out) // 2] = True
    out += resampler.finish()
    samples = np.frombuffer(out, "<i2")
    assert len(samples) == len(undisturbed)
    assert np.array_equal(samples[~drained], undisturbed[~drained])


@settings(deadline=None)
@given(rates, rates, st.integers(0, 3000))
def test_a_drain_returns_what_the_end_would(in_hz: int, out_hz: int, samples: int) -> None:
    resampler = Resampler(in_hz, out_hz)
    out = resampler.push(noise(samples)) + resampler.drain()
    assert out == resample(noise(samples), in_hz, out_hz)
    assert resampler.finish() == b""


@pytest.mark.parametrize(("in_hz", "out_hz"), RELAY_PAIRS_HZ)
@pytest.mark.parametrize("hz", [200, 1000, 3000])
@pytest.mark.parametrize("drain_every", [None, 7, 1])
def test_a_sine_in_just_in_time_pieces_does_not_click(
    in_hz: int, out_hz: int, hz: int, drain_every: int | None
) -> None:
    pcm, piece_bytes = tone(hz, in_hz), in_hz // 50 * 2
    resampler = Resampler(in_hz, out_hz)
    out, joins = b"", []
    for number, at in enumerate(range(0, len(pcm), piece_bytes), 1):
        out += resampler.push(pcm[at : at + piece_bytes])
        if drain_every is not None and number % drain_every == 0:
            start = len(out) // 2
            out += resampler.drain()
            joins.append((start, len(out) // 2))
    samples = np.frombuffer(out + resampler.finish(), "<i2").astype(np.float64)
    assert len(samples) == out_hz
    is_true = np.ones(len(samples), bool)
    for start, end in joins:
        is_true[start:end] = False
    is_true[: out_hz // 125] = is_true[-out_hz // 125 :] = False  # where it begins and ends, the filter rings
    errors = samples[2:] - 2 * np.cos(2 * np.pi * hz / out_hz) * samples[1:-1] + samples[:-2]
    inside = is_true[2:] & is_true[1:-1] & is_true[:-2]
    assert inside.sum() > len(samples) / 3
    assert np.abs(errors[inside]).max() <= 4  # of rounding, in and out
    assert np.abs(samples).max() <= 1.1 * 16384


@pytest.mark.parametrize(
    ("in_hz", "out_hz", "least_db"),
    [(8000, 16000, 32), (24000, 16000, 55), (16000, 24000, 45), (16000, 8000, 33)],
)
def test_speech_that_goes_on_after_each_drain_hardly_differs(in_hz: int, out_hz: int, least_db: int) -> None:
    speech, piece_bytes = real_speech(in_hz), in_hz // 50 * 2
    undisturbed = np.frombuffer(resample(speech, in_hz, out_hz), "<i2").astype(np.float64)
    resampler = Resampler(in_hz, out_hz)
    level = error = 0.0
    at = 0
    for start in range(0, len(speech) - piece_bytes, piece_bytes):
        at += len(resampler.push(speech[start : start + piece_bytes])) // 2
        drained = np.frombuffer(resampler.drain(), "<i2")
        true = undisturbed[at : at + len(drained)]
        level += float(true @ true)
        error += float((drained - true) @ (drained - true))
        at += len(drained)
    assert 10 * math.log10(level / error) > least_db


@pytest.mark.parametrize(("in_hz", "out_hz"), RELAY_PAIRS_HZ)
def test_no_drain_is_louder_than_the_sine(in_hz: int, out_hz: int) -> None:
    for hz in (100, 1000, 2000, 3000, 3600):
        pcm = tone(hz, in_hz)
        resampler = Resampler(in_hz, out_hz)
        piece_bytes = in_hz // 50 * 2 - 6  # at another phase each time
        for start in range(0, len(pcm), piece_bytes):
            out = resampler.push(pcm[start : start + piece_bytes]) + resampler.drain()
            assert np.abs(np.frombuffer(out, "<i2").astype(int)).max() <= 1.1 * 16384


def test_held_bytes_are_what_the_end_would_return() -> None:
    resampler = Resampler(24000, 16000)
    assert (resampler.in_hz, resampler.out_hz, resampler.held_bytes) == (24000, 16000, 0)
    assert (resampler.push(b""), resampler.drain(), resampler.finish()) == (b"", b"", b"")
    assert resampler.push(noise(12)) == b""
    assert resampler.held_bytes == 16
    assert len(resampler.finish()) == 16
    assert resampler.held_bytes == 0
    assert resampler.finish() == b""


def test_after_finish_it_is_as_new() -> None:
    resampler = Resampler(24000, 16000)
    first = resampler.push(noise(1000)) + resampler.finish()
    assert resampler.push(noise(1000)) + resampler.finish() == first


def test_the_same_rate_passes_through_without_a_copy() -> None:
    resampler = Resampler(16000, 16000)
    pcm = noise(100)
    assert resampler.push(pcm) is pcm
    assert resampler.held_bytes == 0
    assert resampler.drain() == resampler.finish() == b""


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
    assert resampler.held_bytes == 0
    with pytest.raises(AudioDataError, match="got 1 bytes"):
        Resampler(16000, 16000).push(b"a")


@pytest.mark.parametrize("rate_hz", [3999, 192001, 16000.0, None])
def test_a_rate_out_of_range_is_refused(rate_hz: object) -> None:
    with pytest.raises(AudioFormatError, match="4000 to 192000"):
        Resampler(rate_hz, 16000)  # type: ignore[arg-type] # the check is for callers without type checker
    with pytest.raises(AudioFormatError, match="4000 to 192000"):
        Resampler(16000, rate_hz)  # type: ignore[arg-type] # as above


def test_warm_up_makes_the_filters_of_the_router() -> None:
    filter_between.cache_clear()
    warm_up()
    assert filter_between.cache_info().currsize == 6
    Resampler(8000, 24000).push(bytes(320))
    assert filter_between.cache_info().currsize == 6
