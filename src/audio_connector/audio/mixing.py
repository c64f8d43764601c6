# SPDX-License-Identifier: Apache-2.0
"""Two pieces of PCM in one: where one gives way to another or to silence, on top of each other, side by side."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


def fade_out(pcm: bytes, samples: int) -> bytes:
    """Let whole 16-bit little-endian samples die away over the first so many, and be silent behind them."""
    size_bytes = min(2 * samples, len(pcm))
    return crossfade(pcm[:size_bytes], bytes(size_bytes)) + bytes(len(pcm) - size_bytes)


def fade_in(pcm: bytes, samples: int) -> bytes:
    """Let whole 16-bit little-endian samples come up from silence over the first so many."""
    size_bytes = min(2 * samples, len(pcm))
    return crossfade(bytes(size_bytes), pcm[:size_bytes]) + pcm[size_bytes:]


def mix(over: bytes, under: bytes, gain_from: float, gain_to: float) -> bytes:
    """Add one piece to another, quieter or louder; what is too loud for 16 bits is clipped, not wrapped.

    It takes 11 us for a frame of 16 kHz, by numpy, and 16 where the gain changes; a loop over its samples takes 250.

    Args:
        over: Whole mono 16-bit little-endian samples, which stay as they are; or nothing.
        under: Likewise, at least as many.
        gain_from: What ``under`` is multiplied by at its beginning.
        gain_to: And at its end, in a straight line.

    Returns:
        As many samples as ``under`` has.
    """
    import numpy as np  # noqa: PLC0415 - it is slow to import, and only who has a background needs it

    mixed = np.frombuffer(under, "<i2") * np.float32(gain_from)
    if gain_from != gain_to:
        mixed += np.frombuffer(under, "<i2") * (_ramp(len(under) // 2) * np.float32(gain_to - gain_from))
    np.rint(mixed, out=mixed)
    if over:
        mixed[: len(over) // 2] += np.frombuffer(over, "<i2")
    mixed.clip(-32768, 32767, out=mixed)
    return mixed.astype("<i2").tobytes()


@lru_cache(maxsize=8)
def _ramp(count: int) -> NDArray[np.float32]:
    """From 0 on in a straight line, so that 1 would follow; the lengths are those of a frame."""
    import numpy as np  # noqa: PLC0415 - as above

    return np.arange(count, dtype=np.float32) / np.float32(count)


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
