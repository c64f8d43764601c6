# SPDX-License-Identifier: Apache-2.0
"""CPU time and memory of a server from outside, its children included, and what others took meanwhile.

From outside, so that a server is only a server, and because one that spreads over two processes is charged for
both. Linux only: `/proc`, affinities, and the CPU clocks of other processes.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


def tree_of(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold anything; the state and the parent follow it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the CPU time of processes: all threads, user and system, to the nanosecond.

    `/proc/PID/stat` has the same in ticks of 10 ms, which are a tenth of what a small load costs.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)  # as clock_getcpuclockid() of glibc does


def resident_bytes(pids: list[int]) -> int:
    """Return the memory of processes that is in use."""
    pages = sum(int((_PROC / str(pid) / "statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


class Meter:
    """How long a core has been busy from now on.

    Args:
        core: Its number.
    """

    def __init__(self, core: int) -> None:
        self._core = core
        self._began_s, self._busy_before_s = time.monotonic(), self._busy_s()

    def foreign_share(self, own_cpu_s: float) -> float:
        """Return the share of the time that the core spent on others.

        Args:
            own_cpu_s: CPU time meanwhile of all that is measured and stays on that core.
        """
        foreign_s = self._busy_s() - self._busy_before_s - own_cpu_s
        return max(0.0, foreign_s) / (time.monotonic() - self._began_s)

    def _busy_s(self) -> float:
        for line in (_PROC / "stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{self._core}":
                # Guest times follow, but user and nice hold them already.
                user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
                return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        raise ValueError(f"/proc/stat knows no core {self._core}")


@dataclass(frozen=True, slots=True)
class Window:
    """What was used between two moments.

    Attributes:
        elapsed_s: How long it was.
        server_cpu_s: CPU time of the server.
        root_cpu_s: That of its first process, where the application is.
        own_cpu_s: CPU time of the load generator, which is the calling process.
        foreign_share: The share of that time which a core, the worse of the two, spent on others.
    """

    elapsed_s: float
    server_cpu_s: float
    root_cpu_s: float
    own_cpu_s: float
    foreign_share: float


class Watch:
    """Watches a server and this process, each pinned to its core, from now on."""

    def __init__(self, server_pid: int) -> None:
        self.pids = tree_of(server_pid)
        self._server_core, self._own_core = (min(os.sched_getaffinity(pid)) for pid in (server_pid, 0))
        self._meters = {core: Meter(core) for core in (self._server_core, self._own_core)}
        self._began_s = time.monotonic()
        self._root_before_s = cpu_s(self.pids[:1])
        self._server_before_s, self._own_before_s = cpu_s(self.pids), time.process_time()

    def window(self) -> Window:
        """Return what was used since."""
        server_s = cpu_s(self.pids) - self._server_before_s
        root_s = cpu_s(self.pids[:1]) - self._root_before_s
        own_s = time.process_time() - self._own_before_s
        spent_s = dict.fromkeys(self._meters, 0.0)
        spent_s[self._server_core] += server_s
        spent_s[self._own_core] += own_s
        foreign = max(meter.foreign_share(spent_s[core]) for core, meter in self._meters.items())
        return Window(time.monotonic() - self._began_s, server_s, root_s, own_s, foreign)
