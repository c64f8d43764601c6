# SPDX-License-Identifier: Apache-2.0
"""Calls that mean well: echoes of 50 frames of 640 bytes a second each, and what they notice while told to look.

Says "settled" when all calls are there, is told "begin" and "end" by its stdin, and reports.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from benchmarks.common.statistics import percentile
from benchmarks.load.caller import Caller, dial_all, hang_up_all, load_arguments, now_s, report
from benchmarks.load.echo import JITTER_BUFFER_S
from benchmarks.load.playout import play_out
from benchmarks.load.sender import Sender

OPENING_S = 0.6
"""Until the calls have left their beginning behind them: the priming is 100 ms, and the dials disturb one another."""

_LONGEST_S = 120.0
_TAIL_S = 0.3
"""Of sending after the end, so that an underrun shows which the last moment of an attack has made."""


@dataclass(frozen=True, slots=True)
class CallsReport:
    """What the calls noticed.

    Attributes:
        underruns: Of the playout model of `load.echo`, from the beginning of the attack on.
        trip_p50_ms: Round trip of the frames that were sent during the attack, median.
        trip_p99_ms: The same at 99 %.
        missing: Frames that did not come back, or twice, or out of order.
        cut: Calls that the server ended.
        generator_late_ms: How late a frame was sent at worst, which no server is to blame for.
    """

    underruns: int
    trip_p50_ms: float
    trip_p99_ms: float
    missing: int
    cut: int
    generator_late_ms: float


async def load(address: str, pid: int, *, calls: int) -> CallsReport:
    """Call, say so, and report when told to."""
    del pid  # what is used is measured by who has started this
    callers = await dial_all(address, calls)
    sender = Sender(callers, seconds=_LONGEST_S)
    await sender.until(OPENING_S)
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    print("settled", flush=True)
    await told.readline()
    begun_at_s = now_s()
    await told.readline()
    ended_at_s = now_s()
    await asyncio.sleep(_TAIL_S)
    sender.cut_short()
    await sender.sent()
    await sender.drained()
    made = _report(callers, sender, begun_at_s, ended_at_s)
    await hang_up_all(callers)
    return made


def _report(callers: list[Caller], sender: Sender, begun_at_s: float, ended_at_s: float) -> CallsReport:
    trips_s: list[float] = []
    underruns, latest_s = 0, 0.0
    matched = [caller.matched() for caller in callers]
    for index, (caller, one) in enumerate(zip(callers, matched, strict=True)):
        late_s = sender.lateness_s(index)
        first = next((at for at, at_s in enumerate(caller.sent_at_s) if at_s >= begun_at_s), 0)
        trips_s += [
            trip_s
            for number, trip_s in one.trips_s.items()
            if begun_at_s <= caller.sent_at_s[number] <= ended_at_s
        ]
        # As if every frame had been sent at its time; those that came before the attack are the jitter buffer's past.
        on_time_s = [at_s - late for at_s, late in zip(caller.arrived_at_s, late_s, strict=False)]
        underruns += play_out(on_time_s[first:], jitter_buffer_s=JITTER_BUFFER_S).underruns
        latest_s = max(latest_s, max(late_s[first:], default=0.0))
    trips_s.sort()
    return CallsReport(
        underruns=underruns,
        trip_p50_ms=1000 * percentile(trips_s, 50),
        trip_p99_ms=1000 * percentile(trips_s, 99),
        missing=sum(one.missing + one.misplaced for one in matched),
        cut=sum(caller.is_cut for caller in callers),
        generator_late_ms=1000 * latest_s,
    )


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    parser.add_argument("--calls", type=int, required=True)
    report(load, parser.parse_args())
