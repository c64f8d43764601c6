# SPDX-License-Identifier: Apache-2.0
"""Two pieces of PCM in one: where one gives way to another, and side by side; and how loud one is."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


def crossfade(old: bytes, new: bytes) -> bytes:
    """Blend from one piece into another of the same length, so that a cut between them does not click.

    Args:
        old: Whole mono 16-bit little-endian samples: how the audio before goes on.
        new: As many: what follows.

    Returns:
        As many samples, which begin as ``old`` and end as ``new``.
    """
    fading, rising = _samples(old), _samples(new)
    count = len(fading)
    mixed = array("h", ((fading[i] * (count - i) + rising[i] * i) // count for i in range(count)))
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()


def peak_of(pcm: bytes) -> int:
    """Return the greatest distance from zero among whole 16-bit little-endian samples; 0 where there is none."""
    samples = _samples(pcm)
    return max(abs(max(samples)), abs(min(samples))) if samples else 0


def interleave(left: bytes, right: bytes) -> bytes:
    """Return stereo of two pieces of mono of the same length, whole 16-bit samples in any order of bytes."""
    stereo = array("h", bytes(2 * len(left)))
    stereo[0::2], stereo[1::2] = array("h", left), array("h", right)
    return stereo.tobytes()


def sum_of(pieces: Sequence[bytes]) -> bytes:
    """Return pieces of whole 16-bit little-endian samples, all of one length, heard together; at least one of them.

    What is louder than a sample can be is as loud as one can be: a wrap would be a crack.
    """
    if len(pieces) == 1:
        return pieces[0]
    import numpy as np  # noqa: PLC0415 - slow, and only who mixes needs it

    total = np.sum([np.frombuffer(piece, "<i2") for piece in pieces], axis=0, dtype=np.int32)
    return np.clip(total, -32768, 32767).astype("<i2").tobytes()


def _samples(pcm: bytes) -> array[int]:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
