# SPDX-License-Identifier: Apache-2.0
"""Puts the same echoing calls on two servers that run at once on one core, and compares their CPU second by second.

Whatever else the machine does, and however fast its clock is then, disturbs both alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.common.usage import Watch, cpu_s, tree_of
from benchmarks.load.caller import dial_all, hang_up_all, load_arguments, report
from benchmarks.load.sender import Sender

_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class SideBySideReport:
    """The second server against the first one.

    Attributes:
        ratio: Of their CPU, the median of all seconds.
        least: That of the best second.
        most: That of the worst one.
        frame_us: CPU per frame of the first one.
        lost: Frames of either that are missing or misplaced, and calls that were cut.
        foreign_share: See `benchmarks.common.usage.Window`.
    """

    ratio: float
    least: float
    most: float
    frame_us: float
    lost: int
    foreign_share: float

    def brief(self) -> str:
        """Say the most in a line."""
        return f"{self.ratio:.3f} of its CPU ({self.least:.3f} to {self.most:.3f})"


async def load(address: str, pid: int, *, calls: int, opening_s: float, steady_s: float) -> SideBySideReport:
    """Send to both, in turns, for the time of the opening and then of the measurement."""
    urls, pids = zip(*(each.split("#") for each in address.split(",")), strict=True)
    trees = [tree_of(int(each)) for each in pids]
    each_callers = [await dial_all(url, calls) for url in urls]
    callers = list(itertools.chain.from_iterable(zip(*each_callers, strict=True)))
    sender = Sender(callers, seconds=opening_s + steady_s)
    await sender.until(opening_s)
    watch = Watch(pid)
    spent_s = [[cpu_s(tree) for tree in trees]]
    windows = round(steady_s / _WINDOW_S)
    for number in range(1, windows + 1):
        await sender.until(opening_s + number * _WINDOW_S)
        spent_s.append([cpu_s(tree) for tree in trees])
    foreign_share = watch.window().foreign_share
    await sender.sent()
    await sender.drained()
    matched = [caller.matched() for caller in callers]
    lost = sum(one.missing + one.misplaced for one in matched) + sum(caller.is_cut for caller in callers)
    await hang_up_all(callers)
    ratios = ratios_of(spent_s)
    frames = (
        sum(len(caller.sent_at_s) for caller in callers) / 2 * windows * _WINDOW_S / (opening_s + steady_s)
    )
    frame_us = 1e6 * (spent_s[-1][0] - spent_s[0][0]) / frames
    return SideBySideReport(median(ratios), min(ratios), max(ratios), frame_us, lost, foreign_share)


def ratios_of(spent_s: Sequence[Sequence[float]]) -> list[float]:
    """Return what the second one spent in each window, by what the first one did; given what both had by its ends."""
    return [
        (later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in itertools.pairwise(spent_s)
    ]


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    parser.add_argument("--calls", type=int, required=True, help="of each server")
    parser.add_argument("--opening-s", type=float, required=True, help="not measured")
    parser.add_argument("--steady-s", type=float, required=True, help="measured")
    report(load, parser.parse_args())
