# SPDX-License-Identifier: Apache-2.0
"""Which cores are used, and how busy they were with something else meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")


def two_cores() -> tuple[int | None, int | None]:
    """Return a core for the server and one for the load generator, the same where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


class CoreUsage:
    """How long a core was busy since this was made.

    Args:
        core: Its number; None where the process is not pinned, and nothing can be said.
    """

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._started_s = time.monotonic()
        self._busy_before_s = self._busy_s()

    def foreign_share(self, own_cpu_s: float) -> float | None:
        """Return the share of time that the core spent on others than us; None where that is not known.

        Args:
            own_cpu_s: CPU time of our process on that core meanwhile.
        """
        busy_s = self._busy_s()
        elapsed_s = time.monotonic() - self._started_s
        if busy_s is None or self._busy_before_s is None or elapsed_s <= 0:
            return None
        return max(0.0, busy_s - self._busy_before_s - own_cpu_s) / elapsed_s

    def _busy_s(self) -> float | None:
        if self._core is None or not _STAT.exists():
            return None
        for line in _STAT.read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self._core}":
                # Guest times follow, but user and nice hold them already.
                user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
                return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return None
