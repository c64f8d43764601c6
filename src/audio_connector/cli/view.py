# SPDX-License-Identifier: Apache-2.0
"""What the commands show on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audio_connector.audio.format import FRAME_MS
from audio_connector.cli.stage import Stage
from audio_connector.simulator import CallReport, LiveCall
from audio_connector.simulator.summary import judge

_PROBLEMS_SHOWN = 6
_EVENTS_SHOWN = 7
_FILES_SHOWN = 2
_COLUMNS = 48  # with names and frame that is 80, the width that a terminal has at least
_BLOCKS = " ▁▂▃▄▅▆▇█"
# The range of levels that speech has, in dB of full scale.
_LEAST_DB, _MOST_DB = -48.0, -6.0
_DEPTH_SHOWN_MS = 400.0


def progress_view(calls: Sequence[LiveCall], planned: int) -> RenderableType:
    """Return a picture of calls in progress."""
    reports = [call.report(with_trace=False) for call in calls]
    sent_ms = sum(report.frames_sent for report in reports) * FRAME_MS
    bar = Table.grid(padding=(0, 2))
    done_s = max((report.duration_s for report in reports), default=0.0)
    total_s = max((call.planned_s for call in calls), default=1.0)
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


def show_summary(
    console: Console,
    reports: Sequence[CallReport],
    recordings: Sequence[Path] = (),
    *,
    conditions: Sequence[str] = (),
    conditions_failed: Sequence[str] = (),
) -> None:
    """Print the table, the problems and the verdict of finished calls."""
    console.print(_summary_table(reports))
    verdict = judge(reports, conditions=conditions, conditions_failed=conditions_failed)
    problems = verdict.reasons
    for problem in problems[:_PROBLEMS_SHOWN]:
        console.print(Text(f"  ✗ {problem}", style="red"))
    if len(problems) > _PROBLEMS_SHOWN:
        console.print(
            Text(f"  … and {len(problems) - _PROBLEMS_SHOWN} more; --json has all of them", style="red")
        )
    for remark in verdict.remarks[:_PROBLEMS_SHOWN]:
        console.print(Text(f"  ! {remark}", style="yellow"))
    if verdict.passed:
        console.print(Text(f"  ✓ {verdict.text}", style="green"))
    overloaded = max(report.latest_tick_ms for report in reports)
    if problems and overloaded >= FRAME_MS:
        console.print(
            Text(
                f"  ! this machine was {overloaded:.0f} ms late itself; underruns may be its own",
                style="yellow",
            )
        )
    if recordings:
        shown = ", ".join(map(str, recordings[:_FILES_SHOWN]))
        rest = len(recordings) - _FILES_SHOWN
        console.print(Text(f"  recorded: {shown}{f' and {rest} more' if rest > 0 else ''}"), soft_wrap=True)


def _summary_table(reports: Sequence[CallReport]) -> Table:
    many = len(reports) > 1
    table = Table(title=None, box=None, padding=(0, 2), show_header=many)
    table.add_column("")
    table.add_column("all calls" if many else "", justify="right")
    if many:
        table.add_column("worst call", justify="right")

    def row(name: str, value: Callable[[CallReport], float], shown: str, *, in_sum: bool = True) -> None:
        values = [value(report) for report in reports]
        worst = shown.format(max(values))
        table.add_row(name, *([shown.format(sum(values)) if in_sum else "", worst] if many else [worst]))

    connected = sum(report.error is None for report in reports)
    if many:
        table.add_row("connected", f"{connected} of {len(reports)}", "")
    row("call", lambda report: report.duration_s, "{:.1f} s", in_sum=False)
    row("audio sent", lambda report: report.frames_sent * FRAME_MS / 1000, "{:.2f} s")
    row("audio received", lambda report: report.frames_received * FRAME_MS / 1000, "{:.2f} s")
    delays = [report.first_audio_delay_ms for report in reports if report.first_audio_delay_ms is not None]
    delay = f"{max(delays):.0f} ms" if delays else "none came"
    table.add_row("first audio after", *(["", delay] if many else [delay]))
    row("deepest buffer", lambda report: report.playout.deepest_ms, "{:.0f} ms", in_sum=False)
    row("wrong sizes", lambda report: report.playout.wrong_size_messages, "{:.0f}")
    row("underruns", lambda report: report.playout.underruns, "{:.0f}")
    row("underruns, in sum", lambda report: report.playout.underrun_ms, "{:.1f} ms")
    row("overflows", lambda report: report.playout.overflow_frames, "{:.0f}")
    row("clear commands", lambda report: report.clears, "{:.0f}")
    closes = Counter(_how_closed(report) for report in reports if report.closed)
    shown = ", ".join(f"{text}: {count}" if many else text for text, count in closes.most_common(3))
    table.add_row("closed", *([shown, ""] if many else [shown]))
    return table


def _how_closed(report: CallReport) -> str:
    who = {"us": "the router", "peer": "the server", "network": "the network"}[report.closed_by]
    return f"{report.close_code} by {who}" + (f" ({report.close_reason})" if report.close_reason else "")


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
