# SPDX-License-Identifier: Apache-2.0
"""Waveforms and depths as the paths of an SVG that is stretched to the picture's width."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from audio_connector.simulator.trace import Envelope, Series

HALF: Final = 300
"""Units from the middle of a waveform to its edge: several per pixel, so that it stays crisp when enlarged."""

HEIGHT: Final = 400
"""Units of the height of a depth."""

_FULL_SCALE: Final = 32768


@dataclass(frozen=True, slots=True)
class Drawn:
    """A path.

    Attributes:
        d: The path's ``d``; empty where there is nothing to see.
        units: Its width, in units of the path.
        seconds: Its width, in seconds.
    """

    d: str
    units: int
    seconds: float


def peak_of(envelope: Envelope) -> float:
    """The greatest sample, as a share of full scale."""
    return max((max(-low, high) for low, high in envelope.peaks), default=0) / _FULL_SCALE


def wave_path(envelope: Envelope, *, top: float, columns: int) -> Drawn:
    """Draw an outline.

    Silence is not drawn, so that the path begins and ends where the sound does.

    Args:
        envelope: The outline.
        top: The share of full scale that is at the edge.
        columns: Most columns of the path; more bins are put together.
    """
    peaks = np.array(envelope.peaks, np.int32).reshape(-1, 2)
    group = _group(len(peaks), columns)
    lows, highs = _grouped(peaks[:, 0], group).min(axis=1), _grouped(peaks[:, 1], group).max(axis=1)
    scale = HALF / (top * _FULL_SCALE)
    above = np.clip(np.rint(highs * scale), -HALF, HALF).astype(int)
    below = np.clip(np.rint(lows * scale), -HALF, HALF).astype(int)
    sounds = (lows < 0) | (highs > 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], sounds, [False])).astype(np.int8)))
    runs = zip(edges[::2], edges[1::2], strict=True)
    d = "".join(_run(int(begin), above[begin:end], below[begin:end]) for begin, end in runs)
    return Drawn(d, 2 * len(lows), len(lows) * group * envelope.bin_s)


def depth_path(series: Series, *, top: float, columns: int) -> Drawn:
    """Draw a value over time as steps above the bottom, which is at 0."""
    values = np.array(series.values, np.float64)
    group = _group(len(values), columns)
    heights = np.clip(np.rint(_grouped(values, group).max(axis=1) * HEIGHT / top), 0, HEIGHT).astype(int)
    steps = np.flatnonzero(np.diff(heights)) + 1
    begins = [0, *steps.tolist(), len(heights)]
    if not heights.any():
        d = ""
    else:
        parts = [f"V{HEIGHT - heights[begin]}H{end}" for begin, end in pairwise(begins)]
        d = f"M0 {HEIGHT}{''.join(parts)}V{HEIGHT}Z"
    return Drawn(d, len(heights), len(heights) * group * series.bin_s)


def _group(count: int, columns: int) -> int:
    return max(1, -(-count // columns))


def _grouped(values: npt.NDArray[np.generic], group: int) -> npt.NDArray[np.generic]:
    """Rows of ``group`` values; the last one is filled up with its own last value."""
    missing = -len(values) % group
    return (
        np.pad(values, (0, missing), mode="edge").reshape(-1, group) if len(values) else values.reshape(0, 1)
    )


def _run(begin: int, above: npt.NDArray[np.int_], below: npt.NDArray[np.int_]) -> str:
    """A closed piece from silence to silence: along the top, and back along the bottom."""
    there, back = [0, *above.tolist(), 0], [0, *below.tolist()[::-1], 0]
    forward = _steps(there, 1)
    backward = _steps(back, -1)
    return f"M{2 * begin} {HALF}l{' '.join(chain(forward, backward))}Z"


def _steps(heights: list[int], direction: int) -> list[str]:
    last = len(heights) - 2
    return [
        f"{direction if index in {0, last} else 2 * direction} {here - there}"
        for index, (here, there) in enumerate(pairwise(heights))
    ]
