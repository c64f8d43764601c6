# SPDX-License-Identifier: Apache-2.0
"""Sums of PCM: where one piece gives way to another."""

from __future__ import annotations

import sys
from array import array


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


def _samples(pcm: bytes) -> array[int]:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
