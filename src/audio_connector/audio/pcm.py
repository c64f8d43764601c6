# SPDX-License-Identifier: Apache-2.0
"""What an application may hand over as audio, made into mono 16-bit little-endian PCM."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from audio_connector.audio.format import MAX_CHANNELS
from audio_connector.errors import AudioDataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_Array: TypeAlias = "npt.NDArray[np.int16] | npt.NDArray[np.float32] | npt.NDArray[np.float64]"
AudioInput: TypeAlias = "bytes | bytearray | memoryview | _Array"
"""What `to_pcm16` takes."""

_HINTS: Final[dict[str, str]] = {
    "str": "on_message also gets the router's texts, take on_audio instead, which gets audio alone; base64 text is "
    "decoded with base64.b64decode() first",
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
    float32 or float64 with full scale at -1 and 1, of any byte order; louder is clipped, and floats in the range
    of int16 are refused. Channels are mixed down by their mean.

    Args:
        audio: PCM bytes, or an array of shape (samples,) or (samples, channels).

    Returns:
        The samples; two bytes each for arrays.

    Raises:
        AudioDataError: Another type, dtype or shape; a memoryview with gaps; a float that is not finite,
            or floats far beyond full scale.
    """
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, bytearray):
        return bytes(audio)
    if isinstance(audio, memoryview):
        return _copy_view(audio)
    if is_array(audio):
        return _from_array(audio)
    name = type(audio).__name__
    hint = _HINTS.get(name, "convert it to one of these")
    raise AudioDataError(
        f"got audio of type {name}; expected bytes, bytearray, memoryview, or a numpy array of int16 or "
        f"float32; {hint}"
    )


def is_array(audio: object) -> TypeGuard[npt.NDArray[Any]]:
    """Tell whether this is a numpy array, without importing numpy: there is none where nobody imported it."""
    # Without a default, a thread that asks while another one imports numpy would fail.
    return isinstance(audio, getattr(sys.modules.get("numpy"), "ndarray", ()))


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
    import numpy as np  # noqa: PLC0415 - slow, and mono does without

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
    from audio_connector.audio.arrays import pcm_from_array  # noqa: PLC0415 - it imports numpy

    return pcm_from_array(array)
