# SPDX-License-Identifier: Apache-2.0
"""Opens calls that say their first text and nothing more, and looks at the server's memory before and after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.common.usage import Watch, resident_bytes
from benchmarks.load.caller import dial_all, hang_up_all, load_arguments, report

_WARM_UP = 20
_SETTLE_S = 1.5


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What an open call takes.

    Attributes:
        call_kb: Of resident memory, in units of 1000 bytes, all processes of the server.
        foreign_share: See `Window`.
        lost: Calls that the server ended.
    """

    call_kb: float
    foreign_share: float
    lost: int

    def brief(self) -> str:
        """Say the most in a line."""
        return f"{self.call_kb:.1f} kB/call"


async def load(address: str, pid: int, *, calls: int) -> MemoryReport:
    """Open so many calls and keep them."""
    # What the first calls load is no cost of a call. They stay, or the others would get what they leave.
    callers = await dial_all(address, _WARM_UP)
    await asyncio.sleep(_SETTLE_S)
    watch = Watch(pid)
    before_bytes = resident_bytes(watch.pids)
    callers += await dial_all(address, calls)
    await asyncio.sleep(_SETTLE_S)
    call_bytes = (resident_bytes(watch.pids) - before_bytes) / calls
    window = watch.window()
    cut = sum(caller.is_cut for caller in callers)
    await hang_up_all(callers)
    return MemoryReport(call_bytes / 1000, window.foreign_share, cut)


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    parser.add_argument("--calls", type=int, required=True)
    report(load, parser.parse_args())
