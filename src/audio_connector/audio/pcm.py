# SPDX-License-Identifier: Apache-2.0
"""What an application may hand over as audio, made into mono 16-bit little-endian PCM."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from audio_connector.errors import AudioDataError

AudioInput: TypeAlias = (
    bytes | bytearray | memoryview | npt.NDArray[np.int16] | npt.NDArray[np.float32] | npt.NDArray[np.float64]
)
"""What `to_pcm16` takes."""

MAX_CHANNELS: Final = 32
"""More channels than this are taken for a transposed array: (2, 960) is two channels of 960 samples."""

_FULL_SCALE: Final = 32768  # what soundfile and torchaudio divide by, so that a round trip is exact
_SHAPES: Final = f"shape (samples,) or (samples, channels) with 1 to {MAX_CHANNELS} channels"
_HINTS: Final[dict[str, str]] = {
    "str": "decode base64 text with base64.b64decode() first",
    "list": "use numpy.asarray(samples, dtype=numpy.int16)",
    "tuple": "use numpy.asarray(samples, dtype=numpy.int16)",
    "array": "wrap it in memoryview()",
    "Tensor": "use tensor.cpu().numpy()",
    "NoneType": "leave the call out where there is no audio",
}


def to_pcm16(audio: AudioInput) -> bytes:
    """Return audio as mono 16-bit little-endian PCM.

    ``bytes`` are returned as they are, without a copy; so an odd number of bytes is possible here, and judged
    where the whole utterance is known. ``bytearray`` and ``memoryview`` are copied, because their owner may
    reuse them; a memoryview counts as raw PCM bytes whatever its item format is. Numpy arrays are int16, or
    float32 or float64 with full scale at -1 and 1 (louder is clipped), of any byte order; channels are mixed
    down by their mean.

    Args:
        audio: PCM bytes, or an array of shape (samples,) or (samples, channels).

    Returns:
        The samples; two bytes each for arrays.

    Raises:
        AudioDataError: Another type, dtype or shape; a memoryview with gaps; a float that is not finite.
    """
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, bytearray):
        return bytes(audio)
    if isinstance(audio, memoryview):
        return _copy_view(audio)
    if isinstance(audio, np.ndarray):
        return _from_array(audio)
    name = type(audio).__name__
    hint = _HINTS.get(name, "convert it to one of these")
    raise AudioDataError(
        f"got audio of type {name}; expected bytes, bytearray, memoryview, or a numpy array of int16 or "
        f"float32; {hint}"
    )


def mix_down(pcm: bytes, channels: int) -> bytes:
    """Mix interleaved 16-bit little-endian PCM down to mono.

    Args:
        pcm: Whole sample groups of ``channels`` samples each.
        channels: 1 to `MAX_CHANNELS`; with 1 the bytes are returned as they are.

    Returns:
        One sample for each group: the mean, rounded.

    Raises:
        AudioDataError: ``channels`` is out of range, or ``pcm`` does not hold whole groups.
    """
    if channels == 1:
        return pcm
    if not 1 <= channels <= MAX_CHANNELS or len(pcm) % (2 * channels):
        raise AudioDataError(
            f"got {len(pcm)} bytes for {channels} channels; expected 1 to {MAX_CHANNELS} channels and a "
            "multiple of 2 bytes for each; cut the audio at whole sample groups"
        )
    return _from_array(np.frombuffer(pcm, dtype="<i2").reshape(-1, channels))


def _copy_view(view: memoryview) -> bytes:
    try:
        if view.c_contiguous:
            return view.tobytes()
    except ValueError as error:
        raise AudioDataError(
            "got a released memoryview; expected a live one; keep a copy made with bytes() instead"
        ) from error
    raise AudioDataError(
        f"got a memoryview with gaps (shape {view.shape}, strides {view.strides}); expected contiguous "
        "bytes; copy it with bytes() if its items are the PCM bytes, or pass the numpy array itself"
    )


def _from_array(array: npt.NDArray[Any]) -> bytes:
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
    # floor(sum / n + 1/2) in integers; 2 * 32 * 32768 is far inside int32.
    total = array.sum(axis=1, dtype=np.int32)
    rounded: npt.NDArray[Any] = (2 * total + channels) // (2 * channels)
    return rounded


def _quantised(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        place = index[0] if len(index) == 1 else index
        raise AudioDataError(
            f"got {array[index]} at index {place}; expected finite floats in [-1, 1]; "
            "replace it with numpy.nan_to_num(), or look for a division by zero where it is made"
        )
    # float64, divided before it is summed and clipped before it is scaled: so nothing finite overflows.
    mono = array.astype(np.float64)
    if mono.ndim > 1:
        mono = (mono / mono.shape[1]).sum(axis=1)
    scaled: npt.NDArray[np.float64] = np.rint(np.clip(mono, -1, 1) * _FULL_SCALE)
    return np.minimum(scaled, _FULL_SCALE - 1)
