# SPDX-License-Identifier: Apache-2.0
"""What a router makes of frames, computed from when they arrived.

`audio_connector.simulator.playout` is not used for this: it plays the first frame on arrival, which is right
for speech sent ahead of time. No echo of live audio could pass there, as any jitter at all is an underrun.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.frames import FRAME_S


@dataclass(frozen=True, slots=True)
class Playout:
    """How a router's buffer fared in one call.

    Attributes:
        underruns: Ticks, after the first frame, at which the buffer was empty.
        least_margin_s: How long the frame that came closest waited for its tick; negative means an underrun.
    """

    underruns: int
    least_margin_s: float


def play_out(arrived_at_s: Sequence[float], *, jitter_buffer_s: float = 0.0) -> Playout:
    """Play frame k at `start + k * 20 ms`, and later by as many ticks as found nothing.

    Args:
        arrived_at_s: When the frames arrived.
        jitter_buffer_s: From the first frame's arrival to the start.
    """
    underruns = 0
    least_s = math.inf
    for frame, at_s in enumerate(arrived_at_s):
        tick_s = arrived_at_s[0] + jitter_buffer_s + (frame + underruns) * FRAME_S
        if frame:  # the first one's margin is the jitter buffer, whatever happens
            least_s = min(least_s, tick_s - at_s)
        if at_s > tick_s:
            underruns += math.ceil((at_s - tick_s) / FRAME_S)
    return Playout(underruns, least_s)


def lateness_s(arrived_at_s: Sequence[float]) -> list[float]:
    """How late each frame was, against the frame of the same call that was least late.

    The lead and the priming come at once at the start of a call. They are left out: they can be late against
    nothing.
    """
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(arrived_at_s)]
    first = next((at for at, gap_s in enumerate(gaps_s, 1) if gap_s > FRAME_S / 2), len(arrived_at_s))
    offsets_s = [at_s - frame * FRAME_S for frame, at_s in enumerate(arrived_at_s)][first:]
    least_s = min(offsets_s, default=0.0)
    return [offset_s - least_s for offset_s in offsets_s]
