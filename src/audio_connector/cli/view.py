# SPDX-License-Identifier: Apache-2.0
"""What the commands show on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audio_connector.audio.format import FRAME_MS
from audio_connector.cli.stage import Stage
from audio_connector.simulator import METRICS, CallReport, LiveCall
from audio_connector.simulator.summary import (
    counted,
    greatest_of,
    how_closed,
    judge,
    label_of,
    worst_first,
)
from audio_connector.simulator.trace import BargeIn
from audio_connector.wire.quoting import printable

_PROBLEMS_SHOWN = 6
_EVENTS_SHOWN = 7
_FILES_SHOWN = 2
_NOTES_SHOWN = 6
_ENDS_SHOWN = 3
_WORST_SHOWN = 3
_LINES_SHOWN = 40
_LINE_CHARS = 500
_NAME_CHARS = 24
_COLUMNS = 48  # with names and frame that is 80, the width that a terminal has at least
_BLOCKS = " ▁▂▃▄▅▆▇█"
# The range of levels that speech has, in dB of full scale.
_LEAST_DB, _MOST_DB = -48.0, -6.0
_DEPTH_SHOWN_MS = 400.0
_ALWAYS_SHOWN: Final = frozenset(
    {
        "duration_s", "audio_sent_ms", "audio_received_ms", "first_audio_delay_ms", "underruns", "underrun_ms",
        "overflow_ms", "wrong_sizes", "deepest_ms", "jitter_ms", "clears",
    }
)  # fmt: skip
"""Figures that say something even where they are 0."""
_NOT_FIGURES: Final = frozenset({"problems", "own_lateness_ms"})
"""What lines of its own say."""


def progress_view(calls: Sequence[LiveCall], planned: int) -> RenderableType:
    """Return a picture of calls in progress."""
    reports = [call.report(with_trace=False) for call in calls]
    sent_ms = sum(report.frames_sent for report in reports) * FRAME_MS
    bar = Table.grid(padding=(0, 2))
    done_s = max((report.duration_s for report in reports), default=0.0)
    total_s = max(map(_planned_s, calls), default=1.0)
    bar.add_row(
        "calling", ProgressBar(total=total_s, completed=done_s, width=40), f"{done_s:.1f} of {total_s:.1f} s"
    )
    counts = Table.grid(padding=(0, 3))
    counts.add_row(
        f"calls {sum(call.is_open for call in calls)}/{planned}",
        f"sent {sent_ms / 1000:.0f} s",
        f"received {sum(report.frames_received for report in reports) * FRAME_MS / 1000:.0f} s",
        f"buffered {sum(report.playout.buffered_frames for report in reports) * FRAME_MS / 1000:.1f} s",
    )
    faults = Table.grid(padding=(0, 3))
    faults.add_row(
        _count("underruns", sum(report.playout.underruns for report in reports)),
        _count("wrong sizes", sum(report.playout.wrong_size_messages for report in reports)),
        _count("overflows", sum(report.playout.overflow_frames for report in reports)),
    )
    return Group(bar, counts, faults)


def _planned_s(live: LiveCall) -> float:
    """The longest that a call may last; a persona hangs up by itself, and at last when its time is over."""
    persona = live.call.persona
    return live.planned_s if persona is None else persona.max_s


def show_summary(
    console: Console,
    reports: Sequence[CallReport],
    recordings: Sequence[Path] = (),
    *,
    conditions: Sequence[str] = (),
    conditions_failed: Sequence[str] = (),
) -> None:
    """Print the figures, what happened, and the verdict of finished calls.

    Args:
        console: Where.
        reports: The calls, one at least.
        recordings: The files that were written.
        conditions: The conditions that were checked.
        conditions_failed: What `gate.failures` said of them.
    """
    verdict = judge(reports, conditions=conditions, conditions_failed=conditions_failed)
    console.print(_figures_table(reports))
    console.print(Padding(_facts(reports), (0, 0, 0, 2)))
    if len(reports) == 1:
        show_talk(console, reports[0])
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(width=3, justify="right")
    lines.add_column(overflow="fold")
    for mark, style, texts in (("✗", "red", verdict.reasons), ("!", "yellow", verdict.remarks)):
        for text in texts[:_PROBLEMS_SHOWN]:
            lines.add_row(mark, Text(printable(text)), style=style)
        if len(texts) > _PROBLEMS_SHOWN:
            lines.add_row(
                "…", f"and {len(texts) - _PROBLEMS_SHOWN} more; --json has all of them", style=style
            )
    if verdict.passed:
        lines.add_row("✓", Text(verdict.text), style="green")
    overloaded = max(report.latest_tick_ms for report in reports)
    if (verdict.reasons or verdict.remarks) and overloaded >= FRAME_MS:
        late = f"this machine was {overloaded:.0f} ms late itself; underruns may be its own"
        lines.add_row("!", late, style="yellow")
    console.print(lines)
    if recordings:
        shown = ", ".join(map(str, recordings[:_FILES_SHOWN]))
        rest = len(recordings) - _FILES_SHOWN
        console.print(Text(f"  recorded: {shown}{f' and {rest} more' if rest > 0 else ''}"), soft_wrap=True)


def _figures_table(reports: Sequence[CallReport]) -> Table:
    """The figures that are always of interest, and those that are not 0, by the names that a gate knows them by."""
    many = len(reports) > 1
    table = Table(box=None, padding=(0, 2), show_header=many)
    table.add_column("", no_wrap=True)
    table.add_column("all calls", justify="right", no_wrap=True)
    if not many:
        table.add_column("", style="dim")
    else:
        table.add_column("greatest", justify="right")
        table.add_column("of", no_wrap=True, max_width=24)
    for name, metric in METRICS.items():
        value = metric.of_all(reports)
        if name in _NOT_FIGURES or not (value or name in _ALWAYS_SHOWN):
            continue
        style = "red" if metric.is_fault and value else ""
        if not many:
            table.add_row(name, metric.shown(value, reports), metric.label, style=style)
            continue
        total = metric.shown(value) if metric.in_sum == "total" else ""
        most, places = greatest_of(metric, reports) or (None, [])
        of = label_of(places[0] + 1, reports[places[0]]) if len(places) == 1 else counted(len(places), "call")
        table.add_row(name, total, metric.shown(most, reports), Text(of if most else ""), style=style)
    return table


def _facts(reports: Sequence[CallReport]) -> Table:
    """What is no figure: connections, ends, answers, barge-ins, and the worst calls."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(min_width=9, no_wrap=True)
    facts.add_column()
    ends = Counter(how_closed(report) for report in reports if report.closed).most_common(_ENDS_SHOWN)
    if len(reports) == 1:
        facts.add_row("closed", Text(", ".join(text for text, _ in ends) or "its end was not seen"))
        for name, lines in (("answers", _answers(reports[0])), ("barge-ins", _barge_ins(reports[0]))):
            for number, line in enumerate(lines):
                facts.add_row("" if number else name, line)
        return facts
    connected = sum(report.error is None for report in reports)
    facts.add_row("connected", f"{connected} of {len(reports)}")
    for number, (text, count) in enumerate(ends):
        facts.add_row("" if number else "closed", Text(f"{counted(count, 'call')} with {text}"))
    worst = [place for place in worst_first(reports) if reports[place].problems][:_WORST_SHOWN]
    for number, place in enumerate(worst):
        text = f"{label_of(place + 1, reports[place])}: {printable('; '.join(reports[place].problems))}"
        facts.add_row("" if number else "worst", Text(text, no_wrap=True, overflow="ellipsis"))
    return facts


def show_talk(console: Console, report: CallReport) -> None:
    """Print who said what, and how a persona's call ended."""
    outcome = report.outcome
    if outcome is not None:
        mark = "reached" if outcome.reached else "not reached"
        told = f"goal {mark} after {counted(outcome.turns, 'turn')}, by {outcome.judged_by}: {outcome.goal}"
        console.print(Padding(Text(printable(told)), (0, 0, 0, 2)))
    if not report.transcript:
        return
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(justify="right", no_wrap=True)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for line in report.transcript[:_LINES_SHOWN]:
        is_caller = line.who == "participant"
        who = printable(report.name, _NAME_CHARS) if is_caller and report.name else line.who
        style = "blue" if is_caller else "dark_orange"
        text = Text(printable(line.text, _LINE_CHARS))
        lines.add_row(f"{line.at_s:.1f} s", Text(who, style=style), text)
    rest = len(report.transcript) - _LINES_SHOWN
    if rest > 0:
        lines.add_row("…", "", f"and {rest} more; --json has all of them")
    console.print(Padding(lines, (1, 0, 1, 2)))


def _answers(report: CallReport) -> list[str]:
    if not report.turns:
        return []
    shown = ", ".join(f"{turn.latency_ms:.0f}" for turn in report.turns[:_NOTES_SHOWN])
    rest = len(report.turns) - _NOTES_SHOWN
    return [f"after {shown}{f' and {rest} more' if rest > 0 else ''} ms of silence"]


def _barge_ins(report: CallReport) -> list[str]:
    lines = [_told(barge_in) for barge_in in report.barge_ins[:_NOTES_SHOWN]]
    rest = len(report.barge_ins) - len(lines)
    return [*lines, f"… and {rest} more"] if rest else lines


def _told(barge_in: BargeIn) -> str:
    speech_s, clear_s, silent_s = barge_in.speech_at_s, barge_in.clear_at_s, barge_in.silent_at_s
    parts = []
    if speech_s is not None:
        parts.append(f"speech at {speech_s:.2f} s")
    if clear_s is None:
        parts.append("never cleared")
    elif speech_s is None:
        parts.append(f"cleared at {clear_s:.2f} s")
    else:
        parts.append(f"cleared after {1000 * (clear_s - speech_s):,.0f} ms")
    since_s = speech_s if clear_s is None else clear_s
    if silent_s is None or since_s is None:
        parts.append("never silent")
    else:
        parts.append(f"silent {1000 * (silent_s - since_s):,.0f} ms later")
    if barge_in.stale_ms:
        parts.append(f"{barge_in.stale_ms:,.0f} ms stale")
    return ", ".join(parts)


def _count(name: str, value: int) -> Text:
    return Text(f"{name} {value}", style="red" if value else "")


def stage_view(stage: Stage) -> RenderableType:
    """Return a picture of the running demo: both sides over time, the router's buffer, the last events."""
    sides = Table.grid(padding=(0, 1))
    for name, tap, style in (
        ("caller says", stage.spoken, "blue"),
        ("session hears", stage.heard, "dark_orange"),
    ):
        levels = tap.levels_db(_COLUMNS, stage.planned_s)
        wave = "".join(_BLOCKS[_block(level)] for level in levels)
        now = f"{levels[-1]:4.0f} dB" if levels and levels[-1] > _LEAST_DB else "   · dB"
        sides.add_row(name, Text(wave.ljust(_COLUMNS, "·"), style=style), now)
    depth_ms = stage.depths[-1][1] if stage.depths else 0.0
    bar = ProgressBar(total=_DEPTH_SHOWN_MS, completed=min(depth_ms, _DEPTH_SHOWN_MS), width=_COLUMNS)
    sides.add_row("router's buffer", bar, f"{depth_ms:4.0f} ms")
    lines = [Text(f"{at_s:6.2f} s  {text}") for at_s, text in stage.events[-_EVENTS_SHOWN:]]
    lines += [Text()] * (_EVENTS_SHOWN - len(lines))
    return Panel(
        Group(sides, Text(), *lines),
        title=f"a parrot on {stage.address}",
        subtitle=f"{stage.spoken.seconds:.1f} s",
        width=_COLUMNS + 32,
    )


def _block(level_db: float) -> int:
    share = (level_db - _LEAST_DB) / (_MOST_DB - _LEAST_DB)
    return min(max(round(share * (len(_BLOCKS) - 1)), 0), len(_BLOCKS) - 1)
