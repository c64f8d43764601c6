# SPDX-License-Identifier: Apache-2.0
"""One timer for every simulated call of a loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

Tick = Callable[[float], "float | None"]
"""Does what is due at a time, and says when it wants to be called again; None for never."""

OnFailure = Callable[[Exception], None]
"""Told what a tick has raised; it is not called again."""

GRAIN_S = 0.002
"""Least time between two wake-ups, in seconds. 300 calls at random phases ask for 15,000 wake-ups a second;
with this grain it is 500, and a frame is at most 2 ms late, a tenth of its length."""


class TickDriver:
    """Calls ticks when they ask for it, with one timer for all of them.

    Args:
        loop: The loop whose timers are used.
        clock: Seconds of a monotonic clock. The loop's own is too coarse: uvloop's stands still within a
            round of the loop and has steps of 1 ms.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        # The counter breaks ties, since functions cannot be compared.
        self._heap: list[tuple[float, int, Tick, OnFailure]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def add(self, tick: Tick, at: float, on_failure: OnFailure | None = None) -> None:
        """Call ``tick`` at the time ``at``, and from then on when it asks.

        Args:
            tick: What to call.
            at: When.
            on_failure: Told where it raises; without one the loop is. Either way the others go on.
        """
        heapq.heappush(self._heap, (at, next(self._order), tick, on_failure or self._tell_loop))
        self._arm(at)

    def stop(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            if self._armed_for <= at:
                return
            self._timer.cancel()
        self._armed_for = at
        self._timer = self._loop.call_later(max(0.0, at - self._clock()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._clock()
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, order, tick, on_failure = heap[0]
            try:
                again_at = tick(now)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is one call's, and they share a clock
                heapq.heappop(heap)
                on_failure(error)
                continue
            if again_at is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (again_at, order, tick, on_failure))
        if heap:
            self._arm(max(heap[0][0], now + GRAIN_S))

    def _tell_loop(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a simulated call failed", "exception": error})
