# SPDX-License-Identifier: Apache-2.0
"""What ``audio-connector check`` shows: progress, one line per check, a table, the list of checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audio_connector.testing.conformance import Check, Result, Status

_MARKS: dict[Status, tuple[str, str]] = {
    "pass": ("✓", "green"),
    "fail": ("✗", "red"),
    "skip": ("·", "yellow"),
}
_NAME_COLUMNS = 18
_RUNNING_SHOWN = 3


class Progress:
    """What runs, and what came of it so far.

    Args:
        url: The server.
        planned: How many checks there are.
    """

    def __init__(self, url: str, planned: int) -> None:
        self._url = url
        self._planned = planned
        self._running: dict[str, None] = {}  # in the order of their beginnings
        self._counts: dict[Status, int] = {"pass": 0, "fail": 0, "skip": 0}

    def start(self, check: Check) -> None:
        """A check begins."""
        self._running[check.full_name] = None

    def take(self, result: Result) -> None:
        """A check is done."""
        self._running.pop(result.check.full_name, None)
        self._counts[result.status] += 1

    def view(self) -> RenderableType:
        """Return a picture."""
        done = sum(self._counts.values())
        bar = Table.grid(padding=(0, 2))
        counts = Text.assemble(*_counted(self._counts))
        bar.add_row("checking", ProgressBar(total=self._planned, completed=done, width=30), counts)
        names = list(self._running)
        more = f" and {len(names) - _RUNNING_SHOWN} more" if len(names) > _RUNNING_SHOWN else ""
        now = ", ".join(names[:_RUNNING_SHOWN]) + more or f"getting to know the bot at {self._url}"
        return Group(bar, Text(now, style="dim", no_wrap=True, overflow="ellipsis"))


def result_line(result: Result) -> Text:
    """Return a result as one line, for a log."""
    _, style = _MARKS[result.status]
    name = result.check.full_name
    return Text.assemble((result.status, style), f"  {name:<30}  {result.reason}")


def show_results(console: Console, results: Sequence[Result]) -> None:
    """Print a table of all results, group by group."""
    for group, members in groupby(results, key=lambda result: result.check.group):
        console.print(Text(group, style="bold"))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=3, justify="right")
        table.add_column(width=_NAME_COLUMNS)
        table.add_column()
        before = ""
        for result in members:
            mark, style = _MARKS[result.status]
            table.add_row(Text(mark, style=style), result.check.name, _reason(result, before))
            before = result.reason
        console.print(table)


def _reason(result: Result, before: str) -> RenderableType:
    if result.status != "fail":
        is_repeated = result.status == "skip" and result.reason == before
        return Text("the same" if is_repeated else result.reason, style="dim")
    return Group(Text(result.reason, style="red"), Text(_why(result.check), style="dim"))


def _why(check: Check) -> str:
    return check.why + (f" PROTOCOL {', '.join(check.rows)}" if check.rows else "")


def show_verdict(console: Console, results: Sequence[Result], duration_s: float) -> None:
    """Print how many passed, failed and were skipped, and the names of those that failed."""
    counts: dict[Status, int] = {
        status: sum(result.status == status for result in results) for status in _MARKS
    }
    console.print(Text.assemble(*_counted(counts), f" in {duration_s:.0f} s"))
    failed = [result.check.full_name for result in results if result.status == "fail"]
    if failed:
        console.print(Text(f"failed: {', '.join(failed)}", style="red"), soft_wrap=not console.is_terminal)


def _counted(counts: dict[Status, int]) -> Iterable[str | tuple[str, str]]:
    words: tuple[tuple[Status, str], ...] = (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))
    for number, (status, word) in enumerate(words):
        yield ", " if number else ""
        text = f"{counts[status]} {word}"
        yield (text, _MARKS[status][1]) if counts[status] else text


def show_list(console: Console, checks: Sequence[Check]) -> None:
    """Print what is checked, and why."""
    for group, members in groupby(checks, key=lambda check: check.group):
        console.print(Text(group, style="bold"))
        for check in members:
            console.print(Padding(Text(check.full_name, style="cyan"), (0, 2)))
            console.print(Padding(Text.assemble(check.does, " ", (_why(check), "dim")), (0, 4)))
