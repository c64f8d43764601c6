# SPDX-License-Identifier: Apache-2.0
"""The tables of a page: figures, answers, barge-ins and events; whatever a picture shows stands here in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from audio_connector.simulator.metrics import METRICS, Metric
from audio_connector.simulator.page.text import at, attribute, shown
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.summary import counted, greatest_of, label_of
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Trace, TraceEvent, Turn

LINE_CHARS: Final = 2000
"""Most that is shown of a line: two minutes of speech."""

NAME_CHARS: Final = 80
"""Most that is shown of a caller's name."""

OPEN_LINES: Final = 60
"""Up to so many can be read without looking for them."""

_NOTHING: Final = '<i class="none">not understood</i>'
_SIDES: Final = {"participant": "spoken", "bot": "heard"}

ROWS: Final = 200
"""Most rows of a table; the JSON report has everything."""


def figures(report: CallReport) -> str:
    """Every figure of one call."""
    return _table("figures", ("figure", "value"), (_figure(metric, report) for metric in METRICS.values()))


def figures_in_sum(reports: Sequence[CallReport]) -> str:
    """Every figure of all calls: in sum, of the call in the middle, and of the call that has the most."""
    if len(reports) == 1:
        rows = (f"{_figure(metric, reports[0])}<td>{metric.text}</td>" for metric in METRICS.values())
        return _table("figures", ("figure", "value", "what it is"), rows)
    heads = ("figure", "all calls", "median call", "greatest", "of", "what it is")
    return _table("figures", heads, (_figure_in_sum(metric, reports) for metric in METRICS.values()))


def answers(turns: Sequence[Turn]) -> str:
    """Each answer and its latency."""
    rows = (
        f"<td>{at(turn.speech_end_s)}</td><td>{at(turn.reply_at_s)}</td><td>{_ms(turn.latency_ms)}</td>"
        for turn in turns[:ROWS]
    )
    return _titled("answer", len(turns), _table("", ("speech ended", "answer heard", "latency"), rows))


def barge_ins(found: Sequence[BargeIn], *, is_recorded: bool = False) -> str:
    """Each barge-in, its times and milliseconds; what the router dropped, and got too late, is in no recording."""
    heads = ["speech", "clear", "silence", "speech to silence", "clear to silence", "dropped", "stale"]
    columns = len(heads) - 2 * is_recorded
    rows = ("".join(f"<td>{cell}</td>" for cell in _barge_in(each)[:columns]) for each in found[:ROWS])
    return _titled("barge-in", len(found), _table("", heads[:columns], rows))


def transcript(lines: Sequence[TranscriptLine], caller: str = "") -> str:
    """Who said what, to be read; nothing where nobody has understood it. The caller by its name, if it has one."""
    if not lines:
        return ""
    names = {"participant": shown(caller or "participant", NAME_CHARS), "bot": "bot"}
    rows = "".join(
        f'<li class="{_SIDES[line.who]}"><time>{at(line.at_s)}</time><b>{names[line.who]}</b>'
        f"<span>{shown(line.text, LINE_CHARS) if line.text else _NOTHING}</span></li>"
        for line in lines[:ROWS]
    )
    missing = f'<p class="none">… and {len(lines) - ROWS:,} more; the JSON report has them.</p>'
    more = missing if len(lines) > ROWS else ""
    opened = " open" if len(lines) <= OPEN_LINES else ""
    summary = f"<summary>{counted(len(lines), 'line')} said</summary>"
    return f'<details class="talk"{opened}>{summary}<ol>{rows}</ol>{more}</details>'


def events(trace: Trace, *, more: str = "the JSON report has them") -> str:
    """Each event; ``more`` says where those are that have no room."""
    ordered = sorted(trace.events, key=lambda event: event.at_s)
    table = _table("events", ("time", "whose", "what", "detail", "lasted"), map(_event, ordered[:ROWS]))
    return _titled("event", len(ordered) + trace.events_lost, table, more)


def _figure(metric: Metric, report: CallReport) -> str:
    value = metric.of(report)
    return f"<th{_alarm(metric, value)}>{_named(metric)}</th><td>{metric.shown(value, [report])}</td>"


def _named(metric: Metric) -> str:
    """What a figure is called, and the name that a gate knows it by."""
    return f"{metric.label} <code>{metric.name}</code>"


def _figure_in_sum(metric: Metric, reports: Sequence[CallReport]) -> str:
    values = [value for report in reports if (value := metric.of(report)) is not None]
    in_sum = metric.of_all(reports)
    total = metric.shown(in_sum, reports) if metric.in_sum == "total" or in_sum is None else ""
    middle = metric.shown(median(values)) if values else ""
    greatest, places = greatest_of(metric, reports) or (None, [])
    most = whose = ""
    if greatest:
        most, whose = metric.shown(greatest), counted(len(places), "call")
    if greatest and len(places) == 1:
        name = attribute(label_of(places[0] + 1, reports[places[0]]))
        whose = f'<a href="#call-{places[0] + 1}" title="{name}">call {places[0] + 1}</a>'
    return (
        f"<th{_alarm(metric, in_sum)}>{_named(metric)}</th><td>{total}</td><td>{middle}</td><td>{most}</td>"
        f"<td>{whose}</td><td>{metric.text}</td>"
    )


def _alarm(metric: Metric, value: float | None) -> str:
    return ' class="alarm"' if metric.is_fault and value else ""


def _barge_in(barge_in: BargeIn) -> list[str]:
    times = (barge_in.speech_at_s, barge_in.clear_at_s, barge_in.silent_at_s)
    spans = (barge_in.speech_to_silence_ms, barge_in.latency_ms, barge_in.dropped_ms, barge_in.stale_ms)
    return ["none" if at_s is None else at(at_s) for at_s in times] + [_ms(value) for value in spans]


def _event(event: TraceEvent) -> str:
    lasted = _ms(1000 * event.for_s) if event.for_s else ""
    return (
        f"<td>{at(event.at_s)}</td><td>{event.source}</td><td>{shown(event.name, 60)}</td>"
        f"<td>{shown(event.detail)}</td><td>{lasted}</td>"
    )


def _ms(ms: float | None) -> str:
    return METRICS["turn_latency_ms"].shown(ms) if ms is not None else "none"


def _table(kind: str, heads: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    of_kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="wide"><table{of_kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _titled(noun: str, count: int, table: str, more: str = "the JSON report has them") -> str:
    """A table behind its number of rows; where there are too many, it says how many are missing."""
    if not count:
        return f'<p class="none">No {noun}.</p>'
    missing = f'<p class="none">… and {count - ROWS:,} more; {more}.</p>' if count > ROWS else ""
    return f"<details><summary>{counted(count, noun)}</summary>{table}{missing}</details>"
