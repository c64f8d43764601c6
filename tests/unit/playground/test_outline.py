# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.playground.outline import BIN_MS, MAX_BINS, OutlineBatch, ValueBatch


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@given(pieces=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 99))
def test_the_outline_does_not_depend_on_how_the_audio_was_cut(
    rate_hz: int, pieces: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).integers(-32768, 32768, sum(pieces), dtype=np.int16)
    batch = OutlineBatch(rate_hz)
    at = 0
    got: list[int] = []
    for count in pieces:
        batch.write(samples[at : at + count].tobytes())
        at += count
        first, peaks = batch.take()
        assert first == len(got) // 2
        got += peaks
    bin_samples = rate_hz * BIN_MS // 1000
    bins = samples[: len(samples) // bin_samples * bin_samples].reshape(-1, bin_samples)
    assert got == [int(value) for row in bins for value in (row.min(), row.max())]


def test_what_is_not_taken_is_bounded_and_leaves_a_gap() -> None:
    batch = OutlineBatch(16000)
    batch.write(bytes(2 * 160 * (MAX_BINS + 7)))
    first, peaks = batch.take()
    assert (first, len(peaks)) == (7, 2 * MAX_BINS)
    assert batch.take() == (MAX_BINS + 7, [])


def test_values_are_numbered_and_bounded() -> None:
    batch = ValueBatch()
    for value in range(MAX_BINS + 3):
        batch.note(value)
    first, values = batch.take()
    assert (first, values[0], values[-1]) == (3, 3, MAX_BINS + 2)
    batch.note(1.5)
    assert batch.take() == (MAX_BINS + 3, [1.5])
