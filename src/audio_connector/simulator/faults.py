# SPDX-License-Identifier: Apache-2.0
"""Notices what goes wrong in a playout buffer, so that it can be told with its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.playout import PlayoutBuffer

QUIET_S: Final = 1.0
"""Faults of one kind that follow each other faster are told of once in this time, and summed."""


class FaultWatch:
    """What was counted when it was last looked at, by kind."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._told_at: dict[str, float] = {}

    def new(self, playout: PlayoutBuffer, now: float) -> Iterator[tuple[str, str]]:
        """What has come since: a name and a detail each.

        Args:
            playout: The buffer.
            now: Seconds of a monotonic clock.
        """
        if not (playout.underruns or playout.overflow_frames or playout.wrong_size_messages):
            return
        for name, count, detail in (
            ("underrun", playout.underrun_s * 1000, "{:.0f} ms of silence in the middle of speech"),
            ("overflow", playout.overflow_frames * FRAME_MS, "{:.0f} ms dropped, the buffer was full"),
            ("wrong size", playout.wrong_size_messages, "{:.0f} messages that are not one frame"),
        ):
            fresh = count - self._told.get(name, 0)
            if fresh > 0 and now - self._told_at.get(name, -QUIET_S) >= QUIET_S:
                self._told[name] = count
                self._told_at[name] = now
                yield name, detail.format(fresh)
