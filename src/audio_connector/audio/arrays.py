# SPDX-License-Identifier: Apache-2.0
"""Numpy arrays made into mono 16-bit PCM, for `audio_connector.audio.pcm`.

It imports numpy, which takes longer than all else here together: import it where an array is at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from audio_connector.audio.format import MAX_CHANNELS
from audio_connector.errors import AudioDataError

_FULL_SCALE: Final = 32768  # what soundfile and torchaudio divide by, so that a round trip is exact
_SHAPES: Final = f"shape (samples,) or (samples, channels) with 1 to {MAX_CHANNELS} channels"

# Synthesisers overshoot, up to 2 perhaps, and four voices at full scale add up to 4: that is clipped. Floats in the
# range of int16 are beyond it at once: in that range 4 is -78 dB, less than the noise of a quiet room.
_MAX_OVERSHOOT: Final = 4.0

# What is worked out at once stays in the processor's cache: an hour of floats took 3.4 s as a whole, and takes 0.2 s;
# one of int16 in two channels 2.3 s, and takes 0.7 s.
_PIECE_SAMPLES: Final = 16_384


def pcm_from_array(array: npt.NDArray[Any]) -> bytes:
    """Return the samples of an array; see `audio_connector.audio.pcm.to_pcm16`."""
    kind, item_bytes = array.dtype.kind, array.dtype.itemsize
    if (kind, item_bytes) not in (("i", 2), ("f", 4), ("f", 8)):
        raise AudioDataError(
            f"got a numpy array of dtype {array.dtype}; expected int16, or float32 in [-1, 1]; scale it and "
            "use astype(numpy.int16) or astype(numpy.float32)"
        )
    channels = array.shape[1] if array.ndim > 1 else 1
    if array.ndim not in (1, 2) or not 1 <= channels <= MAX_CHANNELS:
        raise AudioDataError(
            f"got a numpy array of shape {array.shape}; expected {_SHAPES}; "
            "transpose it with .T if channels come first, or flatten it with .reshape(-1) if it is mono"
        )
    samples = _quantised(array) if kind == "f" else _mean_of_channels(array)
    return samples.astype("<i2", copy=False).tobytes()


def _mean_of_channels(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim == 1:
        return array
    channels = array.shape[1]
    if channels == 1:
        return array[:, 0]
    means = np.empty(len(array), np.int16)
    for at, piece in _pieces(array):
        # floor(sum / n + 1/2) in integers; 2 * 32 * 32768 is far inside int32.
        total = piece.sum(axis=1, dtype=np.int32)
        means[at : at + len(piece)] = (2 * total + channels) // (2 * channels)
    return means


def _quantised(array: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    peak = 0.0
    for at, piece in _pieces(array):
        _check_finite(piece, at)
        peak = max(peak, float(np.abs(piece).max(initial=0)))
    _check_range(array, peak)
    samples = np.empty(len(array), np.int16)
    for at, piece in _pieces(array):
        # float64, divided before it is summed and clipped before it is scaled: so nothing finite overflows.
        mono = piece.astype(np.float64)
        if mono.ndim > 1:
            mono = (mono / mono.shape[1]).sum(axis=1)
        scaled = np.rint(np.clip(mono, -1, 1) * _FULL_SCALE)
        samples[at : at + len(piece)] = np.minimum(scaled, _FULL_SCALE - 1)
    return samples


def _pieces(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    for at in range(0, len(array), _PIECE_SAMPLES):
        yield at, array[at : at + _PIECE_SAMPLES]


def _check_finite(piece: npt.NDArray[Any], at: int) -> None:
    finite = np.isfinite(piece)
    if finite.all():
        return
    index = tuple(int(i) for i in np.argwhere(~finite)[0])
    place = at + index[0] if len(index) == 1 else (at + index[0], *index[1:])
    raise AudioDataError(
        f"got {piece[index]} at index {place}; expected finite floats in [-1, 1]; "
        "replace it with numpy.nan_to_num(), or look for a division by zero where it is made"
    )


def _check_range(array: npt.NDArray[Any], peak: float) -> None:
    """Refuse floats in the range of integers, which clipping would make noise at full scale."""
    if peak <= _MAX_OVERSHOOT:
        return
    # Not the peak alone: one sample that went astray is clipped. On average louder than the loudest square wave
    # is no audio between -1 and 1. Divided first, so that the square of nothing finite overflows.
    mean_square = float(np.square(array / peak, dtype=np.float64).mean())
    if peak * math.sqrt(mean_square) > 1:
        raise AudioDataError(
            f"got floats as large as {peak:g}; expected floats in [-1, 1]; divide them by 32768 if they are in the "
            "range of int16, or pass them with astype(numpy.int16)"
        )
