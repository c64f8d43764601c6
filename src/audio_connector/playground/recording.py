# SPDX-License-Identifier: Apache-2.0
"""A recording of one call of the page: left what was spoken, right what was heard, of all its participants."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from audio_connector.audio.format import SAMPLE_BYTES

MAX_S: Final = 600
"""Seconds that a recording keeps; then it stops, and says so."""


class Recording:
    """Tracks that begin at different times, and a stereo WAV of them.

    Args:
        rate_hz: Samples per second.
        max_s: Longest recording, in seconds.
    """

    def __init__(self, rate_hz: int, *, max_s: float = MAX_S) -> None:
        self.rate_hz = rate_hz
        self._max_samples = int(max_s * rate_hz)
        self._spoken: list[tuple[int, bytearray]] = []
        self._heard: list[tuple[int, bytearray]] = []
        self.is_full = False

    def spoken(self, *, from_s: float = 0.0) -> Callable[[bytes], None]:
        """Begin a track of what a participant says; return what takes its audio."""
        return self._begin(self._spoken, from_s)

    def heard(self, *, from_s: float = 0.0) -> Callable[[bytes], None]:
        """Begin a track of what a participant hears; return what takes its audio."""
        return self._begin(self._heard, from_s)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._samples / self.rate_hz

    def wav(self) -> bytes:
        """Return it as a 16-bit stereo WAV. Where participants are louder together than full scale, it is clipped."""
        samples = self._samples
        stereo = np.stack([_mix(self._spoken, samples), _mix(self._heard, samples)], axis=1)
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(2)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(self.rate_hz)
            writer.writeframes(stereo.tobytes())
        return file.getvalue()

    @property
    def _samples(self) -> int:
        tracks = [*self._spoken, *self._heard]
        return max((start + len(pcm) // SAMPLE_BYTES for start, pcm in tracks), default=0)

    def _begin(self, tracks: list[tuple[int, bytearray]], from_s: float) -> Callable[[bytes], None]:
        start = min(round(from_s * self.rate_hz), self._max_samples)
        pcm = bytearray()
        tracks.append((start, pcm))
        room = (self._max_samples - start) * SAMPLE_BYTES

        def write(piece: bytes) -> None:
            fits = piece[: room - len(pcm)]
            self.is_full = self.is_full or len(fits) < len(piece)
            pcm.extend(fits)

        return write


def _mix(tracks: list[tuple[int, bytearray]], samples: int) -> npt.NDArray[np.int16]:
    mixed = np.zeros(samples, np.int32)
    for start, pcm in tracks:
        part = np.frombuffer(bytes(pcm), "<i2")[: max(0, samples - start)]
        mixed[start : start + len(part)] += part
    return np.clip(mixed, -32768, 32767).astype("<i2")
