# SPDX-License-Identifier: Apache-2.0
"""What there is to say about finished calls, whoever says it: verdict, problems, ends, the worst of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audio_connector.simulator.metrics import METRICS, Metric
from audio_connector.simulator.report import CallReport
from audio_connector.wire.quoting import printable

_WHO = {"us": "the router", "peer": "the server", "network": "the network"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run passed.

    Attributes:
        passed: Yes or no.
        text: The verdict in a line.
        reasons: Why it failed, one line each; empty where it passed.
        remarks: What a listener would have noticed although it passed, one line each.
    """

    passed: bool
    text: str
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def judge(
    reports: Sequence[CallReport], *, conditions: Sequence[str] = (), conditions_failed: Sequence[str] = ()
) -> Verdict:
    """Judge a run: by its conditions where there are some, and by its problems where there are none.

    Args:
        reports: The calls.
        conditions: The texts of what was checked.
        conditions_failed: What `gate.failures` said.
    """
    problems, remarks = tuple(problems_of(reports)), tuple(remarks_of(reports))
    if conditions_failed:  # among which each call's shortfalls are
        losses = tuple(problems_of(reports, with_shortfalls=False))
        return Verdict(False, "failed", tuple(conditions_failed), (*losses, *remarks))
    if conditions:
        held = "the condition held" if len(conditions) == 1 else f"{len(conditions)} conditions held"
        return Verdict(True, f"passed: {held}", remarks=(*problems, *remarks))
    if problems:
        return Verdict(False, "failed: not clean", problems, remarks)
    return Verdict(True, "clean: nothing was lost", remarks=remarks)


def problems_of(reports: Sequence[CallReport], *, with_shortfalls: bool = True) -> list[str]:
    """The problems of all calls; where there are several calls, those of one kind in one line."""
    if len(reports) == 1:
        one = reports[0]
        return [printable(problem) for problem in (one.problems if with_shortfalls else one.losses)]
    lines = []
    for metric in METRICS.values():
        affected = [report for report in reports if report.error is None and metric.of(report)]
        if metric.fault and affected:
            total = metric.shown(metric.of_all(affected))
            lines.append(f"{metric.fault}: {total}, in {len(affected)} of {len(reports)} calls")
    short = Counter(
        line for report in reports for line in (*report.shortfalls, *report.unmet) if with_shortfalls
    )
    return lines + [f"{counted(count, 'call')}: {printable(line)}" for line, count in short.most_common()]


def remarks_of(reports: Sequence[CallReport]) -> list[str]:
    """The remarks of all calls; those that are the same in one line."""
    if len(reports) == 1:
        return list(reports[0].remarks)
    told = Counter(remark for report in reports for remark in report.remarks)
    return [f"{counted(count, 'call')}: {remark}" for remark, count in told.most_common()]


def how_closed(report: CallReport) -> str:
    """The end of a call in a few words: ``1000 by the server (bye)``; empty where none was seen."""
    if not report.closed:
        return ""
    reason = f" ({printable(report.close_reason)})" if report.close_reason else ""
    # A router that hangs up without a closing handshake leaves its own socket to the network.
    who = _WHO["us" if report.hung_up and report.closed_by == "network" else report.closed_by]
    return f"{report.close_code} by {who}{reason}"


def label_of(number: int, report: CallReport) -> str:
    """What a call is called among others: ``call 3 (Ann)``.

    Args:
        number: Its place in the run, from 1 on.
        report: The call.
    """
    return f"call {number} ({printable(report.name, 40)})" if report.name else f"call {number}"


def worst_first(reports: Sequence[CallReport], conditions_failed: Sequence[str] = ()) -> list[int]:
    """The places of the calls, from 0 on: first those that a condition names, then by how much was lost or late."""

    def badness(place: int) -> tuple[float, ...]:
        report = reports[place]
        marker = f": {label_of(place + 1, report)}: "
        figures = ("underrun_ms", "overflow_ms", "wrong_sizes", "frames_dropped", "stale_ms")
        lost = sum(METRICS[name].of(report) or 0.0 for name in figures)
        late = max(METRICS[name].of(report) or 0.0 for name in ("turn_latency_ms", "barge_in_ms"))
        return (
            report.error is not None,
            any(marker in line for line in conditions_failed),
            bool(report.shortfalls),
            lost,
            late,
        )

    return sorted(range(len(reports)), key=lambda place: (*(-value for value in badness(place)), place))


def greatest_of(metric: Metric, reports: Sequence[CallReport]) -> tuple[float, list[int]] | None:
    """The greatest value that a call has, and the places of the calls that have it; None where no call has one."""
    values = [
        (place, value) for place, report in enumerate(reports) if (value := metric.of(report)) is not None
    ]
    if not values:
        return None
    greatest = max(value for _, value in values)
    return greatest, [place for place, value in values if value == greatest]


def counted(count: int, noun: str) -> str:
    """A number and its noun: ``1 call``, ``1,200 calls``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
