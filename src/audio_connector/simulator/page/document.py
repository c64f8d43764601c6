# SPDX-License-Identifier: Apache-2.0
"""The page around the pictures: the verdict, the figures in sum, and the calls, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from audio_connector.simulator.metrics import METRICS
from audio_connector.simulator.page import tables
from audio_connector.simulator.page.lanes import OVERFLOW
from audio_connector.simulator.page.picture import draw_call
from audio_connector.simulator.page.shell import render_shell
from audio_connector.simulator.page.text import attribute, items, shown
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.summary import Verdict, counted, how_closed, judge, label_of, worst_first
from audio_connector.simulator.trace import Trace

PICTURES: Final = 20
"""Calls that are drawn; the worst. A picture has up to 100 kB, and nobody looks at three hundred."""

_FEW_CALLS: Final = 3
_FINE_COLUMNS: Final = 2400
_COLUMNS: Final = 1200
_LINES: Final = 12
_SCENARIO_LINES: Final = 400
_HEADLINES: Final = ("turn_latency_ms", "barge_in_ms", "underrun_ms", "overflow_ms", "stale_ms", "jitter_ms")


def render_page(
    reports: Sequence[CallReport],
    *,
    title: str,
    conditions: Sequence[str] = (),
    conditions_failed: Sequence[str] = (),
    scenario: str = "",
) -> str:
    """Render the report of finished calls as one HTML page that asks for nothing else.

    Args:
        reports: The calls, in the order in which they are numbered.
        title: The page's title.
        conditions: The conditions that were checked, as they are written.
        conditions_failed: What `gate.failures` said of them.
        scenario: The scenario's file as text, where there was one.

    Returns:
        The whole file; written as UTF-8.
    """
    verdict = judge(reports, conditions=conditions, conditions_failed=conditions_failed)
    return render_shell(
        title,
        f"{_top(reports, title, scenario, conditions, verdict)}\n{_headlines(reports)}\n"
        f"<main>{_calls(reports, conditions_failed)}</main>",
    )


def _top(
    reports: Sequence[CallReport], title: str, scenario: str, conditions: Sequence[str], verdict: Verdict
) -> str:
    connected = sum(report.error is None for report in reports)
    what = [
        counted(len(reports), "call")
        if connected == len(reports)
        else f"{connected} of {len(reports)} calls made"
    ]
    what += [f"{name} {_distinct(values)}" for name, values in _told_of(reports) if any(values)]
    if conditions:
        what.append(f"checked: {', '.join(f'<code>{attribute(text)}</code>' for text in conditions)}")
    state, mark = ("passed", "✓") if verdict.passed else ("failed", "✗")
    remarks = f"<p>Noticed all the same:</p>{_lines(verdict.remarks)}" if verdict.remarks else ""
    return (
        f'<header class="{state}"><h1>{shown(title)}</h1>'
        f'<p class="verdict"><span class="mark" aria-hidden="true">{mark}</span> {verdict.text}</p>'
        f'{_lines(verdict.reasons)}{remarks}<p class="what">{" · ".join(what)}</p>'
        f"{_scenario(scenario)}</header>"
    )


def _scenario(text: str) -> str:
    if not text:
        return ""
    lines = [attribute(line.expandtabs(), 200) for line in text.splitlines()]
    return f"<details><summary>the scenario</summary><pre>{chr(10).join(lines[:_SCENARIO_LINES])}</pre></details>"


def _told_of(reports: Sequence[CallReport]) -> list[tuple[str, list[str]]]:
    return [
        ("to", [report.url for report in reports]),
        ("router", [report.profile for report in reports]),
        ("at", [f"{report.rate_hz / 1000:g} kHz" for report in reports]),
    ]


def _distinct(values: Sequence[str]) -> str:
    found = list(dict.fromkeys(values))
    text = ", ".join(shown(value, 120) for value in found[:2])
    return text if len(found) <= 2 else f"{text} and {len(found) - 2} more"  # noqa: PLR2004 - two fit


def _lines(lines: Sequence[str]) -> str:
    """A list that is long only for who opens it."""
    if not lines:
        return ""
    rest = lines[_LINES : _LINES + tables.ROWS]
    more = ""
    if rest:
        missing = len(lines) - _LINES - len(rest)
        end = f"<li>… and {missing:,} more</li>" if missing else ""
        more = (
            f"<details><summary>{len(lines) - _LINES:,} more</summary><ul>{items(rest)}{end}</ul></details>"
        )
    return f'<ul class="lines">{items(lines[:_LINES])}</ul>{more}'


def _headlines(reports: Sequence[CallReport]) -> str:
    """The figures that one looks for, large; all of them in a table."""
    tiles = []
    for metric in (METRICS[name] for name in _HEADLINES):
        value = metric.of_all(reports)
        alarm = " alarm" if metric.is_fault and value else ""
        kind = "tile none" if value is None else f"tile{alarm}"
        tiles.append(
            f'<div class="{kind}" title="{metric.name}: {metric.text}"><dt>{metric.label}</dt>'
            f"<dd>{metric.shown(value, reports)}</dd></div>"
        )
    many = "all calls in sum" if len(reports) > 1 else "all figures"
    return (
        f'<section class="sum" aria-label="figures"><dl class="tiles">{"".join(tiles)}</dl>'
        f"<details><summary>{many}</summary>{tables.figures_in_sum(reports)}</details></section>"
    )


def _calls(reports: Sequence[CallReport], conditions_failed: Sequence[str]) -> str:
    if not reports:
        return '<p class="none">No call was made.</p>'
    if len(reports) == 1:
        return f'<article id="call-1">{_call(1, reports[0], columns=_FINE_COLUMNS, alone=True)}</article>'
    columns = _FINE_COLUMNS if len(reports) <= _FEW_CALLS else _COLUMNS
    parts = []
    for rank, place in enumerate(worst_first(reports, conditions_failed)):
        drawn = columns if rank < PICTURES else None
        inner = _call(place + 1, reports[place], columns=drawn)
        opened = " open" if rank == 0 else ""
        summary = _summary(place + 1, reports[place])
        parts.append(f'<details class="call" id="call-{place + 1}"{opened}>{summary}{inner}</details>')
    note = f" The {PICTURES} worst have a picture." if len(reports) > PICTURES else ""
    return f'<h2>Calls</h2><p class="none">The worst first.{note}</p>{"".join(parts)}'


def _summary(number: int, report: CallReport) -> str:
    """A call in a line."""
    state, mark = ("passed", "✓") if report.is_clean else ("failed", "✗")
    if report.error is not None:
        told = [shown(report.error, 120)]
    else:
        names = ("turn_latency_ms", "barge_in_ms", "underrun_ms", "overflow_ms")
        values = [(METRICS[name], METRICS[name].of(report)) for name in names]
        told = [f"{metric.label} {metric.shown(value)}" for metric, value in values if value]
        told.append(METRICS["duration_s"].shown(report.duration_s))
    return (
        f'<summary class="{state}"><span class="mark" aria-hidden="true">{mark}</span> '
        f"<b>{shown(label_of(number, report), 80)}</b> <span>{' · '.join(told)}</span></summary>"
    )


def _call(number: int, report: CallReport, *, columns: int | None, alone: bool = False) -> str:
    """Everything about a call; the picture only where columns are given."""
    if report.error is not None:
        return f'<p class="none">The call was not made: {shown(report.error)}</p>'
    parts = [f'<p class="what">{" · ".join(_facts(report))}</p>']
    if not alone:
        parts.append(_lines(report.problems))
    if columns is not None:
        parts.append(_picture(number, report, columns))
    parts.append(tables.transcript(report.transcript, report.name))
    parts += [tables.answers(report.turns), tables.barge_ins(report.barge_ins)]
    if report.trace is not None and columns is not None:
        parts.append(tables.events(report.trace))
    parts.append(_texts(report))
    if not alone:
        parts.append(f"<details><summary>figures</summary>{tables.figures(report)}</details>")
    return "".join(parts)


def _facts(report: CallReport) -> list[str]:
    named = (("session", report.session_id), ("connection", report.connection_id))
    facts = [f"{name} <code>{attribute(value, 80)}</code>" for name, value in named if value]
    if report.outcome is not None:
        outcome = report.outcome
        reached = "reached" if outcome.reached else "not reached"
        facts.append(
            f"goal {reached} after {counted(outcome.turns, 'turn')}, by {outcome.judged_by}: {shown(outcome.goal)}"
        )
    facts.append(f"closed with {shown(how_closed(report))}" if report.closed else "its end was not seen")
    counts = Counter(report.events_sent).most_common(_LINES)
    sent = [f"{f'{count} ' if count > 1 else ''}{attribute(name, 60)}" for name, count in counts]
    if sent:
        facts.append(f"events sent: {', '.join(sent)}")
    return facts


def _picture(number: int, report: CallReport, columns: int) -> str:
    trace = report.trace
    if trace is None:
        return '<p class="none">There is no picture: the call was made without a trace.</p>'
    picture = draw_call(report, trace, label=label_of(number, report), columns=columns)
    return f"<figure>{picture}<figcaption>{_legend(report, trace)}</figcaption></figure>"


def _legend(report: CallReport, trace: Trace) -> str:
    """What the colours of this picture are, and what it cannot show."""
    keys = []
    if report.turns:
        keys.append(("answer", "end of speech to the first sound of the answer"))
    if report.barge_ins:
        keys.append(("speech", "barge-in: speech to clear"))
        keys.append(("silence", "clear to silence"))
    if trace.holes or any(event.name == OVERFLOW for event in trace.events):
        keys.append(("fault", "underrun or overflow"))
    legend = "".join(f'<span class="key"><i class="{kind}"></i>{text}</span>' for kind, text in keys)
    notes = []
    if report.playout.underruns > len(trace.holes):
        notes.append(f"{counted(report.playout.underruns - len(trace.holes), 'underrun')} not drawn.")
    if trace.events_lost:
        notes.append(f"{counted(trace.events_lost, 'event')} beyond the bound of the trace.")
    note = f'<span class="none">{" ".join(notes)}</span>' if notes else ""
    return f'{legend}{note}<span class="readout" aria-live="polite"></span>'


def _texts(report: CallReport) -> str:
    if not report.other_texts:
        return ""
    return (
        f"<details><summary>{counted(len(report.other_texts), 'text')} that no router knows</summary>"
        f'<ul class="lines">{items(report.other_texts)}</ul></details>'
    )
