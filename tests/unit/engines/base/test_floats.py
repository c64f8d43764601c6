# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.engines.base.floats import to_floats
from audio_connector.errors import AudioDataError


@given(st.binary(max_size=400).filter(lambda audio: len(audio) % 2 == 0))
def test_samples_are_the_same_numbers_from_minus_one_to_one(audio: bytes) -> None:
    samples = to_floats(audio, 16_000, 16_000)
    assert samples.dtype == np.float32
    assert np.all(np.abs(samples) <= 1)
    assert (samples * 32768).astype("<i2").tobytes() == audio


def test_another_rate_is_converted_and_half_a_sample_refused() -> None:
    assert len(to_floats(bytes(8_000 * 2), 8_000, 16_000)) == 16_000
    with pytest.raises(AudioDataError, match="got 3 bytes"):
        to_floats(b"abc", 16_000, 16_000)
