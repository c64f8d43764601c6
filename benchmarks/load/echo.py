# SPDX-License-Identifier: Apache-2.0
"""Puts duplex calls on an echo server: 50 frames of 640 bytes a second each, and measures once they are settled."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.common.statistics import percentile
from benchmarks.common.usage import Watch, Window
from benchmarks.frames import FRAME_S
from benchmarks.load.caller import Caller, dial_all, hang_up_all, load_arguments, report
from benchmarks.load.playout import play_out
from benchmarks.load.sender import Sender

JITTER_BUFFER_S = 0.02
"""Of the router in the playout model: no echo of live audio could pass one without any."""


@dataclass(frozen=True, slots=True)
class EchoReport:
    """One server under one load.

    Attributes:
        cpu_share: CPU seconds of the server per second, all its processes and threads, in steady state.
        root_share: What of that the process of the application takes.
        trip_p50_ms: Round trip in steady state, median.
        trip_p99_ms: The same at 99 %.
        sent: Frames sent, from the first one on.
        missing: Frames that did not come back; and the calls that the server ended.
        misplaced: Frames that came twice or out of order.
        underruns: Of the playout model, from the first frame on, as if every frame had been sent at its time.
        least_margin_ms: Of the playout model.
        generator_share: CPU seconds of the load generator per second: near 1, it is what is measured.
        generator_late_ms: How late it sent at worst.
        foreign_share: See `Window`.
    """

    cpu_share: float
    root_share: float
    trip_p50_ms: float
    trip_p99_ms: float
    sent: int
    missing: int
    misplaced: int
    underruns: int
    least_margin_ms: float
    generator_share: float
    generator_late_ms: float
    foreign_share: float

    @property
    def lost(self) -> int:
        """Frames that are missing or misplaced."""
        return self.missing + self.misplaced

    def brief(self) -> str:
        """Say the most in a line."""
        trips = f"p50 {self.trip_p50_ms:.2f} ms, p99 {self.trip_p99_ms:.2f} ms"
        return f"{self.cpu_share:.3f} s CPU/s, {trips}"


async def load(address: str, pid: int, *, calls: int, opening_s: float, steady_s: float) -> EchoReport:
    """Send for the time of the opening and then of the measurement."""
    callers = await dial_all(address, calls)
    sender = Sender(callers, seconds=opening_s + steady_s)
    await sender.until(opening_s)
    watch = Watch(pid)
    await sender.sent()
    window = watch.window()
    await sender.drained()
    made = _report(callers, sender, window, opening_s=opening_s)
    await hang_up_all(callers)
    return made


def _report(callers: list[Caller], sender: Sender, window: Window, *, opening_s: float) -> EchoReport:
    settled = round(opening_s / FRAME_S)
    late_s = [sender.lateness_s(index) for index in range(len(callers))]
    matched = [caller.matched() for caller in callers]
    trips_s = sorted(trip_s for one in matched for frame, trip_s in one.trips_s.items() if frame >= settled)
    playouts = [
        play_out(
            [at_s - late for at_s, late in zip(caller.arrived_at_s, lates_s, strict=False)],
            jitter_buffer_s=JITTER_BUFFER_S,
        )
        for caller, lates_s in zip(callers, late_s, strict=True)
    ]
    return EchoReport(
        cpu_share=window.server_cpu_s / window.elapsed_s,
        root_share=window.root_cpu_s / window.server_cpu_s,
        trip_p50_ms=1000 * percentile(trips_s, 50),
        trip_p99_ms=1000 * percentile(trips_s, 99),
        sent=sum(len(caller.sent_at_s) for caller in callers),
        missing=sum(one.missing for one in matched) + sum(caller.is_cut for caller in callers),
        misplaced=sum(one.misplaced for one in matched),
        underruns=sum(playout.underruns for playout in playouts),
        least_margin_ms=1000 * min(playout.least_margin_s for playout in playouts),
        generator_share=window.own_cpu_s / window.elapsed_s,
        generator_late_ms=1000 * max(max(lates_s) for lates_s in late_s),
        foreign_share=window.foreign_share,
    )


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--opening-s", type=float, required=True, help="not measured")
    parser.add_argument("--steady-s", type=float, required=True, help="measured")
    report(load, parser.parse_args())
