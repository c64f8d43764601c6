# SPDX-License-Identifier: Apache-2.0
"""What a router would have played of the echoes, computed from their arrival times.

The model: a call's playout starts `jitter_buffer_s` after its first frame arrived and takes one frame per
20 ms from then on, by an absolute clock. A tick that finds nothing is an underrun, and the frame plays at a
later tick. A frame's *margin* is how long it waited for its tick; the least one says how near an underrun
was.

`audio_connector.simulator.playout` is not used for this: it plays the first frame on arrival, which is right
for speech sent ahead of time. No echo of live audio could pass there, as any jitter at all is an underrun.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlayoutReport:
    """The playout buffers of all calls.

    Attributes:
        underruns: Ticks, after a call's first frame, at which its buffer was empty.
        calls_with_underruns: Calls that had at least one.
        underruns_generator_on_time: Underruns that remain if every frame had been sent at its time: what the
            server is to blame for, not the load generator.
        least_margin_ms: The least margin of any frame of any call but its first; negative means an underrun.
        least_margin_generator_on_time_ms: The same if every frame had been sent at its time.
        margin_p1_ms: 1 % of all frames had less margin than this.
        margin_p50_ms: The median.
    """

    underruns: int
    calls_with_underruns: int
    underruns_generator_on_time: int
    least_margin_ms: float
    least_margin_generator_on_time_ms: float
    margin_p1_ms: float
    margin_p50_ms: float


def play_out(
    arrivals_s: Sequence[Sequence[float]],
    late_s: Sequence[Sequence[float]],
    *,
    frame_s: float,
    jitter_buffer_s: float,
) -> PlayoutReport:
    """Play every call.

    Args:
        arrivals_s: Per call, when its frames came back.
        late_s: Per call, how late its frames had been sent.
        frame_s: Time per frame.
        jitter_buffer_s: From the first arrival to the first tick.
    """
    underruns: list[int] = []
    margins_s: list[float] = []
    on_time_underruns = 0
    on_time_least_s = math.inf
    for arrived_s, lateness_s in zip(arrivals_s, late_s, strict=True):
        count, call_margins_s = _play_call(arrived_s, frame_s=frame_s, jitter_buffer_s=jitter_buffer_s)
        underruns.append(count)
        margins_s += call_margins_s
        ideal_s = [at_s - late for at_s, late in zip(arrived_s, lateness_s, strict=False)]
        count, call_margins_s = _play_call(ideal_s, frame_s=frame_s, jitter_buffer_s=jitter_buffer_s)
        on_time_underruns += count
        on_time_least_s = min(on_time_least_s, min(call_margins_s, default=math.inf))
    margins_s.sort()
    if not margins_s:
        return PlayoutReport(0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    return PlayoutReport(
        underruns=sum(underruns),
        calls_with_underruns=sum(count > 0 for count in underruns),
        underruns_generator_on_time=on_time_underruns,
        least_margin_ms=1000 * margins_s[0],
        least_margin_generator_on_time_ms=1000 * on_time_least_s,
        margin_p1_ms=1000 * margins_s[len(margins_s) // 100],
        margin_p50_ms=1000 * margins_s[len(margins_s) // 2],
    )


def _play_call(
    arrived_s: Sequence[float], *, frame_s: float, jitter_buffer_s: float
) -> tuple[int, list[float]]:
    """Return the underruns of one call, and for each frame after its first the margin to the tick."""
    underruns = 0
    margins_s: list[float] = []
    for frame, at_s in enumerate(arrived_s):
        tick_s = arrived_s[0] + jitter_buffer_s + (frame + underruns) * frame_s
        if frame:  # the first one's is the jitter buffer, whatever happens
            margins_s.append(tick_s - at_s)
        if at_s > tick_s:
            underruns += math.ceil((at_s - tick_s) / frame_s)
    return underruns, margins_s
