# SPDX-License-Identifier: Apache-2.0
"""Audio is found where it is, and compared block by block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.testing.likeness import Alignment, Difference, Samples, aligned, compare, found, shifted

RATE_HZ = 8000
BLOCK = 160


def noise(samples: int, *, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, samples).astype(np.float32)


@given(at=st.integers(0, 70_000), size=st.integers(400, 50_000))
def test_a_piece_is_found_anywhere(at: int, size: int) -> None:
    piece = noise(size)
    whole = np.concatenate([noise(at, seed=1), piece, noise(9000, seed=2)])
    place, difference = found(whole, piece, RATE_HZ)
    assert place.offset == at
    assert place.likeness == pytest.approx(1.0)
    assert difference == Difference()


@pytest.mark.parametrize("cut", [0, 1, 777, 3000])
def test_what_begins_later_is_aligned_and_its_beginning_is_missing(cut: int) -> None:
    whole = noise(8000)
    place, difference = aligned(whole[cut:], whole, RATE_HZ)
    assert place.offset == -cut
    assert difference.blocks == (cut + BLOCK // 2) // BLOCK or cut in (1, 777)
    assert difference.first_ms == (None if cut < BLOCK // 10 else 0)


def test_there_is_nothing() -> None:
    nothing = np.zeros(0, np.float32)
    assert found(nothing, noise(400), RATE_HZ)[0] == Alignment(0, 0.0)
    assert found(noise(400), nothing, RATE_HZ) == (Alignment(0, 0.0), Difference())


@pytest.mark.parametrize(
    ("heard", "expected", "what"),
    [
        (0.0, 0.1, "silence instead of sound"),
        (0.1, 0.0, "sound instead of silence"),
        (0.1, -0.1, "another sound"),
        (0.1, 0.2, "the same sound, 6.0 dB softer"),
        (0.2, 0.1, "the same sound, 6.0 dB louder"),
        (0.1, 0.08, ""),
        (0.003, 0.0, ""),
    ],
)
def test_a_block_differs_from_a_tenth_of_its_energy_on(heard: float, expected: float, what: str) -> None:
    a, b = np.full(1600, 0.1, np.float32), np.full(1600, 0.1, np.float32)
    a[800:960], b[800:960] = heard, expected
    difference = compare(a, b, RATE_HZ)
    assert difference.what == what
    assert (difference.first_ms, difference.blocks) == ((100, 1) if what else (None, 0))


def test_shifting_fills_up_with_zeros() -> None:
    samples = np.array([1, 2, 3], np.float32)
    assert list(shifted(samples, 1)) == [2, 3]
    assert list(shifted(samples, -2)) == [0, 0, 1, 2, 3]
    assert list(shifted(samples, 1, 4)) == [2, 3, 0, 0]
    assert list(shifted(samples, -1, 2)) == [0, 1]
    assert list(shifted(samples, 9, 1)) == [0]
