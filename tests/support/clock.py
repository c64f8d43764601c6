# SPDX-License-Identifier: Apache-2.0
"""A clock that only moves when it is told to, and the timers of whoever lives by it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timer:
    """A timer of a `VirtualClock`; fires once, unless it is cancelled."""

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualClock:
    """Seconds of a monotonic clock, in which nothing takes time.

    Args:
        now: Where it starts. A monotonic clock has no zero that means anything, so neither has this one.
    """

    def __init__(self, now: float = 5000.0) -> None:
        self.now = now
        self.fired = 0
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay_s, callback)
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    def next_timer_at(self) -> float | None:
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run_until(self, now: float, *, max_timers_at_once: int = 10_000) -> None:
        """Move on, and fire what falls due on the way, each timer at its own time.

        Raises:
            AssertionError: Timers go on and on at one time: a busy loop.
        """
        at_once, before = 0, self.now
        while (at := self.next_timer_at()) is not None and at <= now:
            _, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.at)
            at_once = at_once + 1 if self.now == before else 0
            before = self.now
            assert at_once < max_timers_at_once, f"{at_once} timers fired at {self.now}: a busy loop"
            self.fired += 1
            timer.callback()
        self.now = max(self.now, now)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)
