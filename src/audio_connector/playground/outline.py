# SPDX-License-Identifier: Apache-2.0
"""What the page draws of a call, batched until it is sent: outlines of audio, and values over time.

Pure. Each batch says at which bin it begins, so that a batch that is lost leaves a gap and shifts nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from audio_connector.audio.format import SAMPLE_BYTES

BIN_MS: Final = 10
"""Length of a bin of a waveform: a pixel on a page that shows 10 s."""

MAX_BINS: Final = 500
"""Bins that may wait to be sent, 5 s of a waveform."""


class OutlineBatch:
    """Lowest and highest sample of each bin of audio.

    Args:
        rate_hz: Samples per second.
    """

    def __init__(self, rate_hz: int) -> None:
        self._bin_bytes = rate_hz * BIN_MS // 1000 * SAMPLE_BYTES
        self._rest = bytearray()
        self._peaks: list[int] = []
        self._first = 0

    def write(self, pcm: bytes) -> None:
        """Take the next samples, 16-bit little-endian, of any number."""
        self._rest += pcm
        whole = len(self._rest) // self._bin_bytes * self._bin_bytes
        if not whole:
            return
        samples = np.frombuffer(bytes(self._rest[:whole]), "<i2").reshape(-1, self._bin_bytes // SAMPLE_BYTES)
        del self._rest[:whole]
        self._peaks += np.stack([samples.min(axis=1), samples.max(axis=1)], axis=1).reshape(-1).tolist()
        excess = len(self._peaks) // 2 - MAX_BINS
        if excess > 0:
            self._first += excess
            del self._peaks[: 2 * excess]

    def take(self) -> tuple[int, list[int]]:
        """Return the number of the first bin, and low and high by turns, of all bins since the last time."""
        first, peaks = self._first, self._peaks
        self._first += len(peaks) // 2
        self._peaks = []
        return first, peaks


class ValueBatch:
    """A value per tick."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._first = 0

    def note(self, value: float) -> None:
        """Take the next value."""
        self._values.append(value)
        if len(self._values) > MAX_BINS:
            self._first += 1
            del self._values[0]

    def take(self) -> tuple[int, list[float]]:
        """Return the number of the first value, and all since the last time."""
        first, values = self._first, self._values
        self._first += len(values)
        self._values = []
        return first, values
