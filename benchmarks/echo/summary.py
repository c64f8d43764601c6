# SPDX-License-Identifier: Apache-2.0
"""From the rounds of a comparison to the numbers that are quoted, the table, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.echo.processes import Measurement, ServerKind

BARE, OURS, VENDOR = "bare", "ours", "vendor"


@dataclass(frozen=True, slots=True)
class Summary:
    """All rounds of one server: medians, but the worst gap and every lost frame.

    Attributes:
        cpu_s: CPU seconds of the server.
        us_per_frame: CPU microseconds per frame sent to it.
        sent: Frames sent in all rounds.
        echoed: Frames that came back in all rounds.
        worst_gap_ms: Longest time between two echoes on any call in any round.
        round_trip_p50_ms: Median round trip; None where frames were lost.
        round_trip_p99_ms: The same at 99 %.
        ratio_to_bare: Median over the rounds of the cost per frame against bare picows in the same round.
        ratio_to_vendor: The same against the vendor's SDK.
    """

    cpu_s: float
    us_per_frame: float
    sent: int
    echoed: int
    worst_gap_ms: float
    round_trip_p50_ms: float | None
    round_trip_p99_ms: float | None
    ratio_to_bare: float | None
    ratio_to_vendor: float | None


# Per round, the measurement of each server by its key.
Rounds = Sequence[Mapping[str, Measurement]]


def summarize(rounds: Rounds, key: str) -> Summary:
    """Sum up all rounds of one server."""
    mine = [one[key] for one in rounds]

    def ratio_to(other: str) -> float | None:
        if other not in rounds[0]:
            return None
        return median(one[key].us_per_frame / one[other].us_per_frame for one in rounds)

    def median_ms(name: str) -> float | None:
        values = [one.load[name] for one in mine if one.load[name] is not None]
        return median(values) if values else None

    return Summary(
        cpu_s=median(one.server_cpu_s for one in mine),
        us_per_frame=median(one.us_per_frame for one in mine),
        sent=sum(one.load["sent"] for one in mine),
        echoed=sum(one.load["echoed"] for one in mine),
        worst_gap_ms=max(one.load["worst_gap_ms"] for one in mine),
        round_trip_p50_ms=median_ms("round_trip_p50_ms"),
        round_trip_p99_ms=median_ms("round_trip_p99_ms"),
        ratio_to_bare=ratio_to(BARE),
        ratio_to_vendor=ratio_to(VENDOR),
    )


def find_failures(summaries: Mapping[str, Summary], *, max_vs_bare: float, max_vs_vendor: float) -> list[str]:
    """Return a line for every limit that our server exceeds; empty where all is well or ours did not run."""
    ours = summaries.get(OURS)
    if ours is None:
        return []
    failures = []
    if ours.ratio_to_bare is not None and ours.ratio_to_bare > max_vs_bare:
        failures.append(f"ours costs {ours.ratio_to_bare:.2f} x bare picows, the limit is {max_vs_bare:g}")
    if ours.ratio_to_vendor is not None and ours.ratio_to_vendor > max_vs_vendor:
        failures.append(
            f"ours costs {ours.ratio_to_vendor:.2f} x the vendor's SDK, the limit is {max_vs_vendor:g}"
        )
    if ours.echoed != ours.sent:
        failures.append(f"ours echoed {ours.echoed} of {ours.sent} frames")
    return failures


def verdict(summaries: Mapping[str, Summary], *, max_vs_bare: float, max_vs_vendor: float) -> str:
    """Return the last line of a run without failures."""
    ours = summaries.get(OURS)
    if ours is None:
        return "nothing to judge: our server was not measured"
    parts = ["every frame came back"]
    if ours.ratio_to_bare is not None:
        parts.append(f"{ours.ratio_to_bare:.2f} x bare picows (limit {max_vs_bare:g})")
    if ours.ratio_to_vendor is not None:
        parts.append(f"{ours.ratio_to_vendor:.2f} x the vendor's SDK (limit {max_vs_vendor:g})")
    return "ok: " + ", ".join(parts)


def table(kinds: Sequence[ServerKind], summaries: Mapping[str, Summary]) -> str:
    """Return the table, one line per server."""
    head = (
        "server",
        "CPU s",
        "us/frame",
        "echoed/sent",
        "gap max ms",
        "trip p50 ms",
        "trip p99 ms",
        "x bare",
        "x vendor",
    )
    rows = [head]
    for kind in kinds:
        one = summaries[kind.key]
        rows.append(
            (
                kind.title,
                f"{one.cpu_s:.2f}",
                f"{one.us_per_frame:.1f}",
                f"{one.echoed}/{one.sent}",
                f"{one.worst_gap_ms:.1f}",
                _number(one.round_trip_p50_ms),
                _number(one.round_trip_p99_ms),
                _number(one.ratio_to_bare),
                _number(one.ratio_to_vendor),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
