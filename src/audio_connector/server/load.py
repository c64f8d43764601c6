# SPDX-License-Identifier: Apache-2.0
"""How busy a side is: how late its loop, and how much memory its process has."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from audio_connector.port.meters import Meters

BEAT_S = 0.1
BEATS = 5
"""By the median of so many: one time that the machine stood still is not what new calls are refused for."""

QUIET_S = 2.0
"""So long after the last call or upgrade it is measured: at rest nothing wakes up for it."""

MEMORY_S = 1.0
"""How old the figure of the memory may be."""

LOOK_S = 0.25
"""How often it is looked how late a timer of a loop is: an empty one costs a microsecond."""

MIB = 1 << 20

PROC = Path("/proc")


class LoopLag:
    """Measures how late the I/O side's loop is, while it has calls, by waking up in it; a `playback.pacer.Paced`.

    New calls are judged by it.

    Args:
        is_busy: Whether there are calls, so that it goes on.
        note: Given each measurement, in seconds.
    """

    def __init__(self, is_busy: Callable[[], bool], note: Callable[[float], None] = lambda _: None) -> None:
        self._note = note
        self.id = 0
        self.armed_at: float | None = None
        self._is_busy = is_busy
        self._due = math.inf
        self._late_s: deque[float] = deque([0.0] * BEATS, BEATS)
        self._until = -math.inf

    @property
    def ms(self) -> float:
        """As of the last beats; 0 before there were some."""
        return median(self._late_s) * 1000

    def next_beat(self, now: float) -> float:
        """Somebody has come: measure, for a while at least. Returns when to wake it."""
        self._until = now + QUIET_S
        if self._due == math.inf:
            self._due = now + BEAT_S
        return self._due

    def wake(self, now: float) -> float:
        """A beat; returns when the next one is, infinity for none."""
        late_s = max(0.0, now - self._due)
        self._late_s.append(late_s)
        self._note(late_s)
        self._due = now + BEAT_S
        if now >= self._until and not self._is_busy():
            self._due = math.inf
            self._late_s.extend([0.0] * BEATS)
        return self._due


class LagMeter:
    """Counts how late the application's loop is, always.

    ``call_later`` is that of the loop, and every method is for it.
    """

    def __init__(
        self,
        meters: Meters,
        side: str,
        call_later: Callable[[float, Callable[[], None]], Any],
        clock: Callable[[], float],
    ) -> None:
        self._meters, self._side = meters, side
        self._call_later, self._clock = call_later, clock
        self._timer: Any = None
        self._due_at = 0.0

    def start(self) -> None:
        """Begin."""
        self._due_at = self._clock() + LOOK_S
        self._timer = self._call_later(LOOK_S, self._look)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()

    def stop_from_anywhere(self, loop: asyncio.AbstractEventLoop) -> None:
        """End, in whatever thread this is; ``loop`` is the one of its timers."""
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(self.stop)

    def _look(self) -> None:
        self._meters.observe("loop_lag_seconds", max(0.0, self._clock() - self._due_at), self._side)
        self.start()


class Memory:
    """How much the process has, asked of the system now and then; 0 where that does not say it (other than Linux)."""

    def __init__(self) -> None:
        self._asked_at = -math.inf
        self._mb = 0.0

    def mb(self, now: float) -> float:
        """In MiB, of what is in main memory."""
        if now - self._asked_at >= MEMORY_S:
            self._asked_at, self._mb = now, resident_mb()
        return self._mb


def resident_mb(process: int | None = None) -> float:
    """Ask the system, in some 10 microseconds, about that process, None for this one; 0 where it does not say."""
    try:
        pages = int((PROC / str(process or "self") / "statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, ValueError, IndexError):
        return 0.0
