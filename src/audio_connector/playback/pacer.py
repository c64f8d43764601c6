# SPDX-License-Identifier: Apache-2.0
"""Drives everything on a loop that has deadlines, with one timer.

Items keep their own deadlines; the pacer only wakes them. A deadline that moves later costs nothing: the
item is woken at the old one, does nothing, and is armed again. Only a deadline that moves earlier costs a
heap entry. At one frame per 20 ms and connection, that leaves a few heap operations per connection and second.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable
from typing import Any, Protocol

logger = logging.getLogger("audio_connector.playback")

TICK_S = 0.005
"""Wake-ups happen on a grid this wide, so that the deadlines of many calls share one.

A frame is never early by it, at most 5 ms late, and the lead covers that.
"""

STOOD_STILL_S = 2.0
"""A wake-up that is so late was hardly held up by others, as it may be for half a second on a busy machine: the
process was stopped, or its machine, as it is for a migration. What peers have sent meanwhile waits in the sockets,
and none of them may be called silent before."""

READ_FIRST_S = 0.05
"""For the loop to read that. What is to be sent is late by far more."""


class Paced(Protocol):
    """Something with deadlines."""

    armed_at: float | None
    """The pacer's own note on the item: when it will be woken. Starts as None."""

    def wake(self, now: float) -> float | None:
        """Do what is due and return the next deadline, in seconds of the clock, or None for never."""


class Pacer:
    """One timer for many items.

    ``on_error`` is given the item whose ``wake`` raised, and the exception; the others go on.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        on_error: Callable[[Any, Exception], None],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._on_error = on_error
        self._heap: list[tuple[float, int, Paced]] = []
        self._count = 0
        self._timer: Any = None
        self._timer_at = math.inf
        self._wakes_at = math.inf
        """When it was to wake up: that, or at once, where whoever was armed asked for a time that had passed."""
        self._reads_first = False
        """It stood still, and nobody was woken since: that comes next."""
        self.latest_ms = 0.0
        """How late the latest wake-up was: the jitter of the machine."""

    def arm(self, item: Paced, deadline: float | None) -> None:
        """Wake the item at its deadline; an earlier wake-up that it has already stays."""
        if deadline is None or deadline == math.inf:
            return
        if item.armed_at is not None and item.armed_at <= deadline:
            return
        item.armed_at = deadline
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, item))
        if deadline < self._timer_at:
            self._set_timer(deadline)

    def disarm(self, item: Paced) -> None:
        """Wake the item no more, and forget it: its next deadline may be far away."""
        item.armed_at = None
        self._heap[:] = [entry for entry in self._heap if entry[2] is not item]
        heapq.heapify(self._heap)

    def stop(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, -math.inf  # nothing is earlier, so nothing sets a timer again

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Not before the deadline by a rounding error either: the timer would fire again and again for nothing.
        now, at = self._clock(), max(deadline, math.ceil(deadline / TICK_S) * TICK_S)
        self._timer, self._timer_at = self._call_later(max(0.0, at - now), self._tick), at
        self._wakes_at = max(at, now)

    def _tick(self) -> None:
        now = self._clock()
        late_s = 0.0 if self._reads_first else now - self._wakes_at
        self.latest_ms = max(self.latest_ms, late_s * 1000)
        self._timer, self._timer_at = None, -math.inf  # whoever is armed meanwhile shares the timer below
        self._reads_first = late_s >= STOOD_STILL_S
        if self._reads_first:
            self._timer = self._call_later(READ_FIRST_S, self._tick)
            return
        heap = self._heap
        due: list[Paced] = []
        while heap and heap[0][0] <= now:
            deadline, _, item = heapq.heappop(heap)
            if item.armed_at == deadline:
                item.armed_at = None
                due.append(item)
        for item in due:
            try:
                self.arm(item, item.wake(now))
            except Exception as error:
                self._report(item, error)
        self._timer_at = math.inf
        if heap:
            self._set_timer(heap[0][0])

    def _report(self, item: Paced, error: Exception) -> None:
        try:
            self._on_error(item, error)
        except Exception:
            # Whatever it is, all the other calls still have to be woken.
            logger.exception("reporting an error failed: %r", error)
