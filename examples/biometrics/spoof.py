# SPDX-License-Identifier: Apache-2.0
"""What makes audio look like a recording: hints for a person, and no protection. No clock and no I/O.

What is seen: the very recording that was heard before, also through a telephone, louder, or with some noise; audio
that lacks the high frequencies which the enrolment had; audio that is clipped. What is not seen: a recording that
nobody has heard before, a synthetic voice, a voice that was changed, and a recording played faster or slower.

A recording is known again by its print (after Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System",
2002): for each 16 ms and each of 16 bands one bit, whether the energy's slope over the bands has grown. Of two
recordings, of the same words too, half of the bits differ; of two copies of one few do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_connector.errors import UsageError

RATE_HZ: Final = 16_000
FRAME, STEP, BITS = 2048, 256, 16
"""Samples of a frame and between two: they overlap much, so that it does not matter where a copy begins."""
LOUD_DB: Final = 30.0
"""A frame that is softer than the loudest by more has bits of noise."""
SHORTEST_FRAMES: Final = 94
"""1.5 s of speech in common, or chance has its part."""
COPY: Final = 0.3
"""Of two copies through a telephone 3 to 20 % of the bits differ, of other recordings 40 % at the least where they
fit the best."""
CLIPPED: Final = 0.001
FULL_SCALE: Final = 32_700
DULLER_DB: Final = 25.0
"""Of one reader in one room, stretches of three seconds were at -6 to -32 dB; through a telephone, below -60."""


@dataclass(frozen=True, eq=False)
class Print:
    """What a recording is known again by.

    Attributes:
        bits: For each frame and band one; True where the slope has grown.
        loud: For each frame whether it counts.
    """

    bits: NDArray[np.bool_]
    loud: NDArray[np.bool_]

    def packed(self) -> bytes:
        """Return it in 17 bits for each frame."""
        return np.packbits(np.column_stack([self.bits, self.loud])).tobytes()

    @classmethod
    def unpacked(cls, data: bytes) -> Print:
        """Return what `packed` made."""
        bits = np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool)
        frames = len(bits) // (BITS + 1)
        table = bits[: frames * (BITS + 1)].reshape(frames, BITS + 1)
        return cls(table[:, :BITS], table[:, BITS])


def print_of(audio: bytes) -> Print:
    """Return the print of audio at 16 kHz."""
    samples = np.frombuffer(audio, "<i2").astype(np.float32)
    if len(samples) < FRAME + STEP:
        return Print(np.zeros((0, BITS), bool), np.zeros(0, bool))
    power = _power(samples)
    edges = np.geomspace(300, 3000, BITS + 2) * FRAME / RATE_HZ  # what a telephone carries
    bands = np.add.reduceat(power, edges[:-1].astype(int), axis=1)[:, : BITS + 1]
    slope = np.diff(np.log(bands + 1.0), axis=1)
    energy = 10 * np.log10(bands.sum(axis=1) + 1.0)
    loud = energy > max(energy.max() - LOUD_DB, 20.0)
    return Print(slope[1:] > slope[:-1], loud[1:])


def difference(one: Print, other: Print) -> float:
    """Return the share of bits that differ where the two fit best; 0.5 where they have too little in common."""
    size = 1 << (len(one.loud) + len(other.loud)).bit_length()

    def correlate(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        product = np.fft.rfft(a, size, axis=0) * np.conj(np.fft.rfft(b, size, axis=0))
        return np.asarray(np.fft.irfft(product, size, axis=0))

    if not len(one.loud) or not len(other.loud):
        return 0.5
    counted = correlate(one.loud.astype(float), other.loud.astype(float))
    signs = [np.where(each.loud[:, np.newaxis], each.bits * 2.0 - 1.0, 0.0) for each in (one, other)]
    agreed = correlate(*signs).sum(axis=1)
    enough = counted >= SHORTEST_FRAMES
    if not enough.any():
        return 0.5
    return float(np.min((1 - agreed[enough] / (BITS * counted[enough])) / 2))


def brightness_db(audio: bytes) -> float:
    """Return how loud the sharpest sounds are above 4 kHz, against all that is loud below, in dB: -60 is nothing.

    The sharpest, since an s is bright and an o is not, and three seconds may have few of either.
    """
    samples = np.frombuffer(audio, "<i2").astype(np.float32)
    if len(samples) < FRAME:
        return -60.0
    power = _power(samples)
    low, split, high = (round(hz * FRAME / RATE_HZ) for hz in (300, 4_200, 7_600))
    below, above = power[:, low:split].sum(axis=1), power[:, split:high].sum(axis=1)
    loud = below[below >= np.median(below)].mean()
    return max(-60.0, float(10 * np.log10((np.percentile(above, 95) + 1.0) / (loud + 1.0))))


def hints(audio: bytes, *, heard_before: Iterable[Print], enrolled_brightness_db: float) -> list[str]:
    """Return what looks like a recording, in words; nothing of it is a proof, and nothing of it is no proof either.

    Args:
        audio: What was said, 16-bit mono at 16 kHz, as it came: without anything cut out.
        heard_before: Prints of this person's earlier recordings.
        enrolled_brightness_db: That of the enrolment.

    Raises:
        UsageError: Part of a sample.
    """
    if len(audio) % 2:
        raise UsageError(f"got {len(audio)} bytes; expected whole 16-bit samples")
    found = []
    own = print_of(audio)
    if any(difference(own, each) < COPY for each in heard_before):
        found.append("the same recording was heard before")
    if brightness_db(audio) < enrolled_brightness_db - DULLER_DB:
        found.append("lacks the high frequencies of the enrolment")
    samples = np.abs(np.frombuffer(audio, "<i2").astype(np.int32))
    if len(samples) and float(np.mean(samples >= FULL_SCALE)) > CLIPPED:
        found.append("is clipped")
    return found


def _power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) ** 2, np.float64)
