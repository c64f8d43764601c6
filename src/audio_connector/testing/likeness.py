# SPDX-License-Identifier: Apache-2.0
"""Whether two pieces of audio are the same to a listener, and where they begin to differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = "npt.NDArray[np.float32]"
"""Mono, with full scale at -1 and 1."""

BLOCK_MS: Final = 20
"""Audio is compared block by block; one is a frame."""

DIFFERENT: Final = 0.1
"""Blocks differ from this share of the louder one's energy on: a gain of 3 dB is not different, 6 dB is."""

SAME: Final = 0.02
"""The same for blocks whose gain was taken away: rounding and resampling remain, and another sound does not."""

QUIET: Final = 10 ** (-50 / 20)
"""Root mean square below which nothing is heard: -50 dB of full scale."""

NO_DIFFERENCE: Final = 10 ** (-44 / 20)
"""A difference softer than this is none. Above `QUIET`, so that a soft end may be cut off on one side only."""

PROBE_S: Final = 5.0
"""Audio is aligned by so much of its beginning, so that its length does not matter;"""
SHORT_PROBE_S: Final = 0.5
"""or by so much, where a gap has moved the rest."""

_FFT_SAMPLES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where expected audio is in what was heard.

    Attributes:
        offset: Its first sample, in samples of what was heard; negative where that begins later.
        likeness: 1.0 for the same, 0.0 for nothing in common.
    """

    offset: int
    likeness: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two aligned pieces differ.

    Attributes:
        first_ms: The first block that differs, from the beginning; None where none does.
        blocks: How many do.
        what: What is heard there: "silence instead of sound", "sound instead of silence", "another sound", or where
            they differ in nothing but loudness, "the same sound, 4.7 dB louder".
        is_gain: Whether that is so from the beginning to the end.
    """

    first_ms: float | None = None
    blocks: int = 0
    what: str = ""
    is_gain: bool = False


def aligned(heard: Samples, expected: Samples, rate_hz: int) -> tuple[Alignment, Difference]:
    """Find where the expected audio is in what was heard, at either end of which it may stick out; compare all."""

    def difference(place: Alignment) -> Difference:
        a = shifted(heard, min(0, place.offset))
        return compare(a, shifted(expected, -max(0, place.offset)), rate_hz)

    return _best(heard, expected, rate_hz, difference)


def found(heard: Samples, expected: Samples, rate_hz: int) -> tuple[Alignment, Difference]:
    """Find where the expected audio is in what was heard, and compare only what was heard there."""

    def difference(place: Alignment) -> Difference:
        return compare(shifted(heard, place.offset, len(expected)), expected, rate_hz)

    return _best(heard, expected, rate_hz, difference)


def _best(
    heard: Samples, expected: Samples, rate_hz: int, difference: Callable[[Alignment], Difference]
) -> tuple[Alignment, Difference]:
    place = _align(expected[: int(PROBE_S * rate_hz)], heard)
    best = difference(place)
    if best.first_ms is not None:
        short = _align(expected[: int(SHORT_PROBE_S * rate_hz)], heard)
        other = difference(short)
        # Only where all of the probe is alike, which else is like many things.
        if other.first_ms is None or other.first_ms >= max(SHORT_PROBE_S * 1000, best.first_ms):
            return Alignment(short.offset, place.likeness), other
    return place, best


def _align(probe: Samples, whole: Samples) -> Alignment:
    """Find a probe by cross-correlation."""
    size = len(probe)
    if not size or not len(whole):
        return Alignment(0, 0.0)
    # Zeros around it, so that the probe may stick out at both ends.
    padded = np.concatenate([np.zeros(size, np.float32), whole, np.zeros(size, np.float32)])
    products = _correlate(padded, probe)
    energies = _energies(padded, size)[: len(products)]
    own = float(np.square(probe, dtype=np.float64).sum())
    # Never by less than its own: or a few samples that happen to be alike at an end would count as all of it.
    scores = products / np.sqrt(np.maximum(energies, own) * own + 1e-12)
    best = int(np.argmax(scores))
    return Alignment(best - size, max(0.0, float(scores[best])))


def compare(heard: Samples, expected: Samples, rate_hz: int) -> Difference:
    """Compare two aligned pieces block by block; the shorter one counts as silent behind its end."""
    block = rate_hz * BLOCK_MS // 1000
    count = -(-max(len(heard), len(expected)) // block)
    a, b = _blocks(heard, count, block), _blocks(expected, count, block)
    energy_a, energy_b, energy_of_both = (np.mean(np.square(each), axis=1) for each in (a, b, a - b))
    limit = np.maximum(NO_DIFFERENCE**2, DIFFERENT * np.maximum(energy_a, energy_b))
    different = np.flatnonzero(energy_of_both > limit)
    if not len(different):
        return Difference()
    first = int(different[0])
    is_heard, is_expected = energy_a[first] > QUIET**2, energy_b[first] > QUIET**2
    if not is_heard:
        return Difference(first * BLOCK_MS, len(different), "silence instead of sound")
    if not is_expected:
        return Difference(first * BLOCK_MS, len(different), "sound instead of silence")
    in_all_db, there_db = _gain_db(a, b), _gain_db(a[different], b[different])
    gain_db = there_db if in_all_db is None else in_all_db
    if gain_db is None:
        return Difference(first * BLOCK_MS, len(different), "another sound")
    what = f"the same sound, {abs(gain_db):.1f} dB {'louder' if gain_db > 0 else 'softer'}"
    return Difference(first * BLOCK_MS, len(different), what, is_gain=in_all_db is not None)


def _gain_db(heard: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float | None:
    """By how much the one is louder than the other, where that is all that they differ in; else None."""
    own = float(np.square(expected, dtype=np.float64).sum())
    gain = float(np.multiply(heard, expected, dtype=np.float64).sum()) / own if own else 0.0
    if gain <= 0:
        return None
    rest = np.mean(np.square(heard - gain * expected), axis=1)
    limit = np.maximum(NO_DIFFERENCE**2, SAME * np.mean(np.square(heard), axis=1))
    return 20 * math.log10(gain) if bool(np.all(rest <= limit)) else None


def shifted(samples: Samples, offset: int, length: int | None = None) -> Samples:
    """Cut samples at an offset, with zeros where there are none; to a length, or to their end."""
    head = np.zeros(max(0, -offset), np.float32)
    moved = np.concatenate([head, samples[max(0, offset) :]])
    if length is None:
        return moved
    return np.concatenate([moved[:length], np.zeros(max(0, length - len(moved)), np.float32)])


def _correlate(whole: Samples, probe: Samples) -> npt.NDArray[np.float64]:
    """The scalar product of the probe with the whole at every place; in pieces, so that memory is bounded."""
    size = len(probe)
    fft_size = max(_FFT_SAMPLES, 1 << (2 * size - 1).bit_length())
    step = fft_size - size + 1
    spectrum = np.conj(np.fft.rfft(probe, fft_size))
    places = len(whole) - size + 1
    parts = [
        np.fft.irfft(np.fft.rfft(whole[at : at + fft_size], fft_size) * spectrum, fft_size)[:step]
        for at in range(0, places, step)
    ]
    products: npt.NDArray[np.float64] = np.concatenate(parts)[:places]
    return products


def _energies(whole: Samples, size: int) -> npt.NDArray[np.float64]:
    sums: npt.NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(np.square(whole, dtype=np.float64))])
    return sums[size:] - sums[:-size]


def _blocks(samples: Samples, count: int, block: int) -> npt.NDArray[Any]:
    padded = np.zeros(count * block, np.float32)
    padded[: len(samples)] = samples
    return padded.reshape(count, block)
