# SPDX-License-Identifier: Apache-2.0
"""Streaming sample rate conversion.

Rules:

1. The result does not depend on how the input was cut into chunks, not even in the last bit.
2. After `Resampler.finish` the output is as long as the input: to the nearest whole sample, halves up. So is what
   came out up to each `Resampler.drain`.
3. A drain changes nothing but the few samples that it returns. All others are what they would be without it.
4. Digital silence stays digital silence.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from audio_connector.audio.format import SAMPLE_BYTES, SUPPORTED_RATES_HZ, check_rate_hz
from audio_connector.errors import AudioDataError

if TYPE_CHECKING:
    from audio_connector.audio.polyphase import Stream

# Measured by benchmarks/resampler.py in pieces of 20 ms, beside soxr 1.1.0, which was used before: the worst delay
# in ms (audio fed minus audio returned), and the CPU in ms for one second of audio.
#
#   rates, kHz       24 > 16   16 > 24   8 > 16   16 > 8   24 > 8   48 > 16   22.05 > 8   44.1 > 16   44.1 > 24
#   delay               3.8       3.8      7.6      7.6      7.6       3.8         7.6         3.8         2.5
#     soxr HQ            37        37      115      115       73        37          80          40          38
#     soxr VR            10        15       30       15       25        13          27          14           6
#   CPU                 1.2       1.2      1.1      1.2      1.3       1.5         2.7         3.7         2.6
#     soxr HQ           0.9       0.8      0.7      0.7      0.8       0.9         0.8         1.0         1.1
#     soxr VR           1.3       1.5      1.1      1.0      2.0       3.4         2.0         3.4         1.8
#
# In all of them a 1 kHz tone keeps a signal-to-noise ratio of 93 dB or better, and aliases and images are below
# -90 dB, from the edge of the band on (VR: -56 dB there). Nothing is shifted (VR: up to 1.9 samples). HQ answers
# in bursts: with 20 ms pieces from 8 to 16 kHz, five of six pushes return nothing.
#
# What is held when a stream stops for a moment decides whether a relay that comes just in time runs dry: with the
# 100 ms of priming, HQ's 115 ms do so by themselves. To drain soxr is to end its stream, and to go on is to open
# one and to feed it the last 100 ms again; so it is done here by a filter of our own, whose state is its input.
#
# Like soxr, numpy lets go of the GIL for the product, once in a push between the router's rates. An application that
# spins in Python may take it then, for the 5 ms of its switch interval: up to half of all pushes in bad rounds, with
# either of them. A push that is left alone takes 25 to 75 us.

# Bounds the memory: the filter works in float64.
_BLOCK_BYTES: Final = 65536 * SAMPLE_BYTES


class Resampler:
    """Converts one stream of mono 16-bit audio from one rate to another.

    It holds 61 samples of the lower rate back: 7.6 ms at 8 kHz, 3.8 ms at 16 kHz.

    Args:
        in_hz: Samples per second of what goes in, 4,000 to 192,000.
        out_hz: Samples per second of what comes out, 4,000 to 192,000; the same as ``in_hz`` passes
            everything through.

    Raises:
        AudioFormatError: A rate is out of range.
    """

    __slots__ = ("_in_hz", "_out_hz", "_stream")

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self._in_hz = check_rate_hz(in_hz)
        self._out_hz = check_rate_hz(out_hz)
        self._stream: Stream | None = None

    @property
    def in_hz(self) -> int:
        """Samples per second of what goes in."""
        return self._in_hz

    @property
    def out_hz(self) -> int:
        """Samples per second of what comes out."""
        return self._out_hz

    @property
    def held_bytes(self) -> int:
        """Bytes that `drain` or `finish` would return; always 0 where both rates are the same."""
        return 0 if self._stream is None else self._stream.held_samples * SAMPLE_BYTES

    def push(self, pcm: bytes) -> bytes:
        """Feed a piece and return what is ready; that may be nothing.

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
        stream = self._stream
        if stream is None:
            stream = self._stream = _open_stream(self._in_hz, self._out_hz)
        if len(pcm) <= _BLOCK_BYTES:
            return stream.push(pcm)
        return b"".join(
            [stream.push(pcm[start : start + _BLOCK_BYTES]) for start in range(0, len(pcm), _BLOCK_BYTES)]
        )

    def drain(self) -> bytes:
        """Return what is held, without an end: for when there is no time to wait for what follows.

        The samples end with what was fed, and are computed as if it went on as before. What is pushed later goes on
        at exactly the next sample, computed from what really came before it. It takes 0.1 to 0.3 ms.

        Returns:
            Whole 16-bit samples at ``out_hz``, 61 of the lower rate or a little more; nothing the second time.
        """
        return b"" if self._stream is None else self._stream.drain()

    def finish(self) -> bytes:
        """End the stream.

        Returns:
            What was still inside, as `drain` returns it. Afterwards the resampler is as new.
        """
        rest = self.drain()
        self._stream = None
        return rest


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


def warm_up() -> None:
    """Import numpy and make the filters between the router's rates, so that no call waits for that.

    It takes a tenth of a second, which else the first resampler of the process takes.
    """
    from audio_connector.audio.polyphase import filter_between  # noqa: PLC0415 - as below

    for in_hz, out_hz in itertools.permutations(SUPPORTED_RATES_HZ, 2):
        filter_between(in_hz, out_hz)


def _open_stream(in_hz: int, out_hz: int) -> Stream:
    from audio_connector.audio.polyphase import Stream  # noqa: PLC0415 - it imports numpy, which is slow

    return Stream(in_hz, out_hz)
