# SPDX-License-Identifier: Apache-2.0
"""The filter of a sample rate conversion, and one stream that goes through it.

Output ``n`` of a stream is a weighted sum of the input around position ``n * in_hz / out_hz``; nothing but that
stretch of input is its state. So what is held can be taken out at any time, and the stream goes on from its true
past. What is taken out ends where the input ends, and needs some input beyond: it is predicted from what was there.
If audio does go on, a join is hardly heard so. Of real speech, drained every 20 ms, what was taken out differs by
-33, -61, -49 and -35 dB from an undisturbed stream at 8 > 16, 24 > 16, 16 > 24 and 16 > 8 kHz; with silence in place
of the prediction by -24, -42, -27 and -32 dB.

The weights are multiples of 2^-30, and those of each output add up to exactly 1. A product with a 16-bit sample,
and every partial sum, then fits into the 53 bits of a float64: the result is the same in whatever order BLAS
adds, hence for whatever chunks, and a constant stays that constant.

Why not soxr, which was here before: it holds 10 to 115 ms where this holds 2.5 to 8, its engine for live audio
is up to 1.9 samples off, and none of its engines can give out what it holds and go on. The figures are in
`audio_connector.audio.resample`. This file imports numpy, which is slow: import it where it is needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from operator import mul
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[np.float64]

# A sinc under a Kaiser window, in units of the lower of both rates: flat to 0.45, and 95 dB down from 0.5 on, so
# that nothing folds back. By Kaiser's formulas beta is 0.1102 * (95 - 8.7), and the half width
# (95 - 7.95) / (2.285 * 2 pi * 0.05) / 2 samples of the lower rate. The half width is also the delay.
_CUTOFF: Final = 0.475
_BETA: Final = 9.51
_HALF_WIDTH: Final = 61
_STEPS: Final = 512  # points of the curve per sample; straight lines between them are good for -116 dB
_GRID: Final = 2.0**30

# More are fewer steps of Python for each sample, and more products with zero. 24 > 16 kHz costs 1.5, 1.3 and
# 1.4 ms of CPU for one second of audio with 8, 16 and 32.
_BLOCK_OUTPUTS: Final = 16
# Up to so many phases one matrix holds them all, and a push is one product. With more, the matrices take turns; 40
# outputs each are best there: 44.1 > 16 kHz costs 3.9, 3.6, 3.7 and 6.7 ms with 16, 40, 80 and all 160.
_MAX_PHASES_AT_ONCE: Final = 80
_MIN_TURN_OUTPUTS: Final = 40
# Beyond it weights are made anew for every push, at 20 times the CPU: so with 22,049 > 16,000 Hz, which would take
# 22 MB. The largest table between rates in use is that of 11,025 > 192,000 Hz with 2.6 MB.
_MAX_TABLE_BYTES: Final = 4 << 20
# OpenBLAS starts threads of its own for matrix products of more multiplications.
_MAX_PRODUCTS: Final = 1 << 18

# The prediction: of orders from 8 to 32 16 is best, and farther than 32 samples it is of no use.
_PREDICTED_FROM: Final = 16
_PREDICTED_SAMPLES: Final = 32
_FLATTENING: Final = (
    1e-4  # of the energy, added as white noise: a tone does not make it unstable; so much hurts nowhere
)

_FLOAT_BYTES: Final = 8
_SAMPLE_MIN: Final = -32768
_SAMPLE_MAX: Final = 32767


class Filter:
    """The weights for a ratio of rates, laid out for matrix products.

    Outputs come in blocks. The outputs of a block are the product of one window of the input and one matrix;
    after ``phases`` blocks the matrices repeat.

    Args:
        up: Numerator of the ratio out to in, in lowest terms.
        down: Its denominator.
    """

    __slots__ = (
        "block_outputs", "down", "half_width", "max_blocks", "past_samples", "phases", "step", "table", "up",
        "window_samples",
    )  # fmt: skip

    def __init__(self, up: int, down: int) -> None:
        self.up, self.down = up, down
        self.half_width = math.ceil(_HALF_WIDTH * max(1, down / up))
        self.table: _Floats | None = None
        for block_outputs, phases in (_blocks_for(up), (1, up)):
            self.block_outputs, self.phases = block_outputs, phases
            self.window_samples = 2 * self.half_width - (-(block_outputs - 1) * down // up)
            if phases * self.window_samples * block_outputs * _FLOAT_BYTES <= _MAX_TABLE_BYTES:
                self.table = self.weights(0, phases)
                break
        # Kept at all times, also where outputs are half a period ahead of the input: what is predicted must not
        # depend on earlier drains.
        self.past_samples = 2 * self.half_width - down // up - 2
        self.step = self.window_start(1) - self.window_start(0)
        self.max_blocks = max(1, _MAX_PRODUCTS // (self.window_samples * self.block_outputs))

    def window_start(self, block: int) -> int:
        """Return the position of the first input sample that a block is made of."""
        return block * self.block_outputs * self.down // self.up - self.half_width + 1

    def weights(self, first: int, end: int) -> _Floats:
        """Compute the matrices of blocks: shape (blocks, window_samples, block_outputs)."""
        blocks, size = end - first, self.block_outputs
        outputs = np.arange(first * size, end * size)
        taps = _taps(outputs * self.down % self.up / self.up, self.half_width, min(1, self.up / self.down))
        starts = outputs * self.down // self.up
        shifts = (starts - np.repeat(starts[::size], size)).reshape(blocks, size, 1)
        rows = shifts + np.arange(2 * self.half_width)
        matrices = np.zeros((blocks, self.window_samples, size))
        matrices[np.arange(blocks)[:, None, None], rows, np.arange(size)[:, None]] = taps.reshape(rows.shape)
        return matrices


@functools.lru_cache(maxsize=16)  # pairs of rates; 20 to 700 kB each for the usual ones
def filter_between(in_hz: int, out_hz: int) -> Filter:
    """Return the filter between two rates. A new one takes 0.2 to 4 ms, the very first 3 ms more."""
    divisor = math.gcd(in_hz, out_hz)
    return Filter(out_hz // divisor, in_hz // divisor)


class Stream:
    """One stream of mono 16-bit little-endian samples.

    Args:
        in_hz: Samples per second of what goes in.
        out_hz: Samples per second of what comes out.
    """

    __slots__ = ("_fed_samples", "_filter", "_kept", "_kept_at", "_returned_samples")

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self._filter = filter_between(in_hz, out_hz)
        self._fed_samples = 0
        self._returned_samples = 0
        # The input that is needed still, from this position on, and some more to predict from. Before the first
        # sample there was silence.
        self._kept_at = self._filter.window_start(0) - self._filter.half_width
        self._kept: _Floats = np.zeros(-self._kept_at)

    @property
    def held_samples(self) -> int:
        """Samples that `drain` would return: as many as the input lasts, to the nearest, less those returned."""
        up, down = self._filter.up, self._filter.down
        return (2 * self._fed_samples * up + down) // (2 * down) - self._returned_samples

    def push(self, pcm: bytes) -> bytes:
        """Feed whole samples and return the outputs all of whose surroundings are known."""
        samples = np.frombuffer(pcm, "<i2")
        self._fed_samples += len(samples)
        kernel = self._filter
        settled = -((kernel.half_width - self._fed_samples) * kernel.up // kernel.down)
        return self._produce(samples, settled)

    def drain(self) -> bytes:
        """Return the rest as if it went on as before; what really follows is continued from the true past."""
        if not self.held_samples:
            return b""
        end = self._returned_samples + self.held_samples
        return self._produce(
            np.empty(0, np.int16), end, predicted=_predicted(self._kept[-self._filter.past_samples :])
        )

    def _produce(self, samples: npt.NDArray[np.int16], end: int, *, predicted: Sequence[float] = ()) -> bytes:
        kernel = self._filter
        kept, known = len(self._kept), len(self._kept) + len(samples)
        # Something behind it: for a drain, and for the outputs of the last block that are not wanted yet.
        signal = np.zeros(known + kernel.window_samples)
        signal[known : known + len(predicted)] = predicted
        signal[:kept] = self._kept
        signal[kept:known] = samples
        size, parts = kernel.block_outputs, []
        while self._returned_samples < end:
            first, skipped = divmod(self._returned_samples, size)
            blocks = min(-(-end // size) - first, kernel.max_blocks)
            wanted = min(end - self._returned_samples, blocks * size - skipped)
            parts.append(_to_bytes(self._outputs(signal, first, blocks)[skipped : skipped + wanted]))
            self._returned_samples += wanted
        needed_from = kernel.window_start(self._returned_samples // size) - kernel.half_width
        passed = min(needed_from - self._kept_at, known)
        self._kept = signal[passed:known].copy()
        self._kept_at += passed
        return b"".join(parts)

    def _outputs(self, signal: _Floats, first: int, blocks: int) -> _Floats:
        kernel, table = self._filter, self._filter.table
        begin = kernel.window_start(first) - self._kept_at
        if table is not None and kernel.phases == 1:
            # Overlapping rows over the same memory. The copy is for BLAS, which does not take such rows.
            rows: _Floats = np.ndarray(
                (blocks, kernel.window_samples),
                np.float64,
                signal,
                begin * _FLOAT_BYTES,
                (kernel.step * _FLOAT_BYTES, _FLOAT_BYTES),
            )
            outputs: _Floats = rows.copy() @ table[0]
            return outputs.reshape(-1)
        starts = np.arange(first, first + blocks) * (kernel.block_outputs * kernel.down) // kernel.up
        windows = signal[(starts - starts[0] + begin)[:, None, None] + np.arange(kernel.window_samples)]
        if table is None:
            outputs = np.matmul(windows, kernel.weights(first, first + blocks))
            return outputs.reshape(-1)
        parts, at = [], 0
        # Up to the end of the table at a time: these are slices, where picking single matrices would copy them.
        while at < blocks:
            phase = (first + at) % kernel.phases
            count = min(blocks - at, kernel.phases - phase)
            parts.append(np.matmul(windows[at : at + count], table[phase : phase + count]).reshape(-1))
            at += count
        return np.concatenate(parts)


def _blocks_for(up: int) -> tuple[int, int]:
    """Choose how many outputs a block has, and after how many blocks the weights repeat."""
    if up <= _MAX_PHASES_AT_ONCE:
        return up * -(-_BLOCK_OUTPUTS // up), 1
    sizes = range(_MIN_TURN_OUTPUTS, 4 * _MIN_TURN_OUTPUTS)
    size = next((size for size in sizes if up % size == 0), 1)  # 1 for primes and their like
    return size, up // size


def _taps(fractions: _Floats, half_width: int, scale: float) -> _Floats:
    """Return the weights of outputs that lie these fractions of a sample behind an input sample."""
    away = fractions[:, None] - np.arange(1 - half_width, half_width + 1)
    places = np.minimum(np.abs(away) * (scale * _STEPS), _HALF_WIDTH * _STEPS)
    indices = places.astype(np.intp)
    curve, rises = _curve()
    taps: _Floats = curve[indices] + (places - indices) * rises[indices]
    taps = np.rint(taps * (_GRID / taps.sum(axis=1, keepdims=True)))
    taps[:, half_width - 1] += _GRID - taps.sum(axis=1)
    return taps / _GRID


@functools.cache
def _curve() -> tuple[_Floats, _Floats]:
    """Return the right half of the filter, and how far it is from each point to the next."""
    places = np.arange(_HALF_WIDTH * _STEPS + 1) / _STEPS
    curve: _Floats = np.sinc(2 * _CUTOFF * places) * np.i0(_BETA * np.sqrt(1 - (places / _HALF_WIDTH) ** 2))
    curve[-1] = 0
    return curve, np.diff(curve, append=0)


def _predicted(past: _Floats) -> list[float]:
    """Return how a signal will go on, by linear prediction, for a few samples; never louder than it was."""
    order = _PREDICTED_FROM
    if len(past) < 2 * order:
        return []
    rows = np.stack([past[lag : len(past) - order + lag] for lag in range(order)])
    energy = rows @ rows.T
    energy[np.diag_indices(order)] += _FLATTENING * float(past @ past) + 1
    weights: list[float] = np.linalg.solve(energy, rows @ past[order:]).tolist()
    signal: list[float] = past[-order:].tolist()
    peak = float(np.abs(past).max())
    for at in range(_PREDICTED_SAMPLES):
        signal.append(max(-peak, min(peak, sum(map(mul, weights, signal[at:])))))
    return signal[order:]


def _to_bytes(values: _Floats) -> bytes:
    np.rint(values, out=values)
    np.maximum(values, _SAMPLE_MIN, out=values)  # both together a third of the time of np.clip
    np.minimum(values, _SAMPLE_MAX, out=values)
    return values.astype("<i2").tobytes()
