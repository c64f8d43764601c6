# SPDX-License-Identifier: Apache-2.0
"""PCM as the engines take it: an array of floats at the rate of their training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_connector.audio.resample import resample


def to_floats(audio: bytes, sample_rate: int, wanted_hz: int) -> NDArray[np.float32]:
    """Convert 16-bit little-endian mono PCM.

    Args:
        audio: Whole samples at ``sample_rate``.
        sample_rate: Hz, 4,000 to 192,000.
        wanted_hz: Hz of the result.

    Returns:
        Samples from -1 to 1.

    Raises:
        AudioDataError: An odd number of bytes.
        AudioFormatError: A rate is out of range.
    """
    whole = np.frombuffer(resample(audio, sample_rate, wanted_hz), dtype="<i2")
    return whole.astype(np.float32) / 32768.0
