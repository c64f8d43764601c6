# SPDX-License-Identifier: Apache-2.0
"""Streaming sample rate conversion, over soxr.

Rules:

1. The result does not depend on how the input was cut into chunks, not even in the last bit.
2. After `Resampler.finish` the output is as long as the input: to the nearest whole sample, halves up.
3. Digital silence stays digital silence.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt
import soxr

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.errors import AudioDataError, AudioFormatError

Quality: TypeAlias = Literal["LQ", "MQ", "HQ", "VHQ", "VR"]
"""A filter of soxr; ``VR`` is its variable-rate engine. ``QQ`` is missing: it does not filter aliases."""

# Measured by benchmarks/resampler.py with soxr 1.1.0 and pieces of 20 ms: the worst delay in ms (audio fed
# minus audio returned), and below it the CPU in ms for one second of audio.
#
#   rates, kHz    24 > 16    16 > 24    8 > 16    24 > 8    44.1 > 16    48 > 16
#   LQ               20         20        61        40          22          20
#   MQ               38         38       118        75          41          38
#   HQ               37         37       115        73          40          37
#   VHQ              76         76       111       153          84          76
#   VR               10         15        30        25          14          13
#   CPU of HQ        0.5        0.5       0.4       0.4         0.5         0.5
#   CPU of VR        0.9        1.4       1.1       1.6         2.7         2.9
#
# LQ is dull: -6 dB at 0.42 of the lower rate and -20 dB at 0.45, where the others are flat. In all of them
# the alias is below -90 dB, and a 1 kHz tone keeps a signal-to-noise ratio of 88 dB or better.

DEFAULT_QUALITY: Final[Quality] = "HQ"
"""For audio that is queued anyway, as on its way to the router: clean and cheap, but in bursts."""

LIVE_QUALITY: Final[Quality] = "VR"
"""For audio that comes in pieces of 20 ms and is wanted at once: a steady 10 to 30 ms of delay, no bursts.

It costs two to six times the CPU of `DEFAULT_QUALITY`, and shifts the audio by up to two output samples.
"""

# Ten minutes in one call cost 92 ms of CPU in such blocks, and 162 ms and more memory in one.
_BLOCK_SAMPLES: Final = 65536
_SAMPLE_MIN: Final = -32768
_SAMPLE_MAX: Final = 32767


class _Stream(Protocol):
    """What is used of ``soxr.ResampleStream``, which has no type information."""

    def resample_chunk(self, x: npt.NDArray[np.float32], last: bool = False) -> npt.NDArray[np.float32]: ...


class Resampler:
    """Converts one stream of mono 16-bit audio from one rate to another.

    Args:
        in_hz: Samples per second of what goes in, 4,000 to 192,000.
        out_hz: Samples per second of what comes out, 4,000 to 192,000; the same as ``in_hz`` passes
            everything through.
        quality: The filter; `LIVE_QUALITY` for the shortest delay.

    Raises:
        AudioFormatError: A rate is out of range, or the quality is unknown.
    """

    __slots__ = ("_fed_bytes", "_in_hz", "_out_hz", "_quality", "_returned_bytes", "_stream")

    def __init__(self, in_hz: int, out_hz: int, *, quality: Quality = DEFAULT_QUALITY) -> None:
        self._in_hz = check_rate_hz(in_hz)
        self._out_hz = check_rate_hz(out_hz)
        if quality not in get_args(Quality):
            raise AudioFormatError(
                f"got quality={quality!r}; expected one of {', '.join(get_args(Quality))}; "
                "leave it out where delay does not matter, and use LIVE_QUALITY where it does"
            )
        self._quality = quality
        self._stream: _Stream | None = None
        self._fed_bytes = 0
        self._returned_bytes = 0

    @property
    def in_hz(self) -> int:
        """Samples per second of what goes in."""
        return self._in_hz

    @property
    def out_hz(self) -> int:
        """Samples per second of what comes out."""
        return self._out_hz

    @property
    def held(self) -> bool:
        """Whether audio was fed that `finish` has not fetched yet; never so where both rates are the same."""
        return self._stream is not None

    def push(self, pcm: bytes) -> bytes:
        """Feed a piece and return what is ready; that may be nothing, or more than the piece.

        Args:
            pcm: Whole 16-bit samples at ``in_hz``, any number, hours included.

        Returns:
            Whole 16-bit samples at ``out_hz``.

        Raises:
            AudioDataError: An odd number of bytes; nothing was fed.
        """
        if len(pcm) % SAMPLE_BYTES:
            raise AudioDataError(
                f"got {len(pcm)} bytes; expected whole 16-bit samples; keep the odd byte for the next piece"
            )
        if self._in_hz == self._out_hz or not pcm:
            return pcm
        if self._stream is None:
            self._stream = _open_stream(self._in_hz, self._out_hz, self._quality)
            self._fed_bytes = self._returned_bytes = 0
        out = _convert(self._stream, np.frombuffer(pcm, "<i2"))
        self._fed_bytes += len(pcm)
        self._returned_bytes += len(out)
        return out

    def finish(self) -> bytes:
        """End the stream.

        Returns:
            What was still inside, at ``out_hz``; possibly nothing. Afterwards the resampler is as new.
        """
        stream = self._stream
        if stream is None:
            return b""
        self._stream = None
        tail = _to_bytes(stream.resample_chunk(np.empty(0, np.float32), last=True))
        # The variable-rate engine ends up to two samples early or late; for the others this changes nothing.
        fed_samples = self._fed_bytes // SAMPLE_BYTES
        out_samples = (2 * fed_samples * self._out_hz + self._in_hz) // (2 * self._in_hz)
        tail_bytes = out_samples * SAMPLE_BYTES - self._returned_bytes
        return tail[:tail_bytes].ljust(tail_bytes, b"\0")


def resample(pcm: bytes, in_hz: int, out_hz: int) -> bytes:
    """Convert a whole piece of audio.

    Args:
        pcm: Whole mono 16-bit samples at ``in_hz``.
        in_hz: Samples per second of ``pcm``, 4,000 to 192,000.
        out_hz: Samples per second of the result, 4,000 to 192,000.

    Returns:
        Samples at ``out_hz``, of the same duration to the nearest whole sample.

    Raises:
        AudioFormatError: A rate is out of range.
        AudioDataError: An odd number of bytes.
    """
    resampler = Resampler(in_hz, out_hz)
    return resampler.push(pcm) + resampler.finish()


def _open_stream(in_hz: int, out_hz: int, quality: Quality) -> _Stream:
    # float32, because soxr dithers int16: silence would become noise of one step, different at every run.
    is_variable = quality == "VR"
    name = "HQ" if is_variable else quality
    stream: Any = soxr.ResampleStream(in_hz, out_hz, 1, dtype="float32", quality=name, vr=is_variable)
    return cast(_Stream, stream)


def _convert(stream: _Stream, samples: npt.NDArray[np.int16]) -> bytes:
    if len(samples) <= _BLOCK_SAMPLES:
        return _to_bytes(stream.resample_chunk(samples.astype(np.float32)))
    return b"".join(
        _to_bytes(stream.resample_chunk(samples[start : start + _BLOCK_SAMPLES].astype(np.float32)))
        for start in range(0, len(samples), _BLOCK_SAMPLES)
    )


def _to_bytes(samples: npt.NDArray[np.float32]) -> bytes:
    np.rint(samples, out=samples)
    np.clip(samples, _SAMPLE_MIN, _SAMPLE_MAX, out=samples)
    return samples.astype("<i2").tobytes()
