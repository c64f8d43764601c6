# SPDX-License-Identifier: Apache-2.0
"""Notices what goes wrong in a playout buffer, so that it can be told with its time."""

from __future__ import annotations

import math
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.playout import PlayoutBuffer

QUIET_S: Final = 1.0
"""Faults of one kind that follow each other faster are told of once in this time, and summed."""

LOOK_S: Final = 0.1
"""While something is held back, another kind is looked for so often: an echo has an underrun in every other frame."""


class FaultWatch:
    """What was counted when it was last looked at, by kind."""

    def __init__(self) -> None:
        self.seen = 0
        """The buffer's ``faults`` when there was nothing left to tell; until that changes, nobody need look."""
        self._told: dict[str, float] = {}
        self._told_at: dict[str, float] = {}
        self._look_at = -math.inf

    def new(self, playout: PlayoutBuffer, now: float) -> list[tuple[str, str]]:
        """What has come since: a name and a detail each.

        Args:
            playout: The buffer.
            now: Seconds of a monotonic clock.
        """
        if now < self._look_at:
            return []
        found, waiting = [], []
        for name, count, detail in (
            ("underrun", playout.underrun_s * 1000, "{:.0f} ms of silence in the middle of speech"),
            ("overflow", playout.overflow_frames * FRAME_MS, "{:.0f} ms dropped, the buffer was full"),
            ("wrong size", playout.wrong_size_messages, "not one frame long: {:.0f}"),
        ):
            fresh = count - self._told.get(name, 0)
            again_at = self._told_at.get(name, -math.inf) + QUIET_S
            if fresh > 0 and now < again_at:
                waiting.append(again_at)
            elif fresh > 0:
                self._told[name], self._told_at[name] = count, now
                found.append((name, detail.format(fresh)))
        self._look_at = min(*waiting, now + LOOK_S) if waiting else -math.inf
        self.seen = -1 if waiting else playout.faults
        return found
