# SPDX-License-Identifier: Apache-2.0
"""The demo of an application: simulated callers with real audio in real time, and what came out of their calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from audio_connector.simulator import CallReport, failures, load_scenario, run_calls
from audio_connector.testing.talk import open_talk

MAX_WARNINGS: Final = 5
"""Of a demo, that are told; the log has them all."""


@dataclass(frozen=True)
class Outcome:
    """What came out of a demo.

    Attributes:
        lines: For a person, a few.
        files: What was written.
        problems: What was not as expected, a line each; none where all was good.
    """

    lines: Sequence[str] = ()
    files: Sequence[Path] = ()
    problems: Sequence[str] = ()

    def beside(self, other: Outcome) -> Outcome:
        """Both together."""
        return Outcome(
            (*self.lines, *other.lines), (*self.files, *other.files), (*self.problems, *other.problems)
        )

    def told(self) -> Iterator[str]:
        """All of it, line by line."""
        yield from self.lines
        for path in self.files:
            yield f"file: {path}"
        for problem in self.problems:
            yield f"✗ {problem}"
        if not self.problems:
            yield "✓ as expected"


class Warned(logging.Handler):
    """What an application has warned of while it is entered: a demo of which a file is missing is not as expected."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger(name)
        self._texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Note it, once."""
        self._texts[record.getMessage()] = None

    def outcome(self) -> Outcome:
        """It as problems, the first of them."""
        told, more = list(self._texts)[:MAX_WARNINGS], len(self._texts) - MAX_WARNINGS
        return Outcome(problems=[*told, *([f"{more} more warnings"] if more > 0 else [])])

    def __enter__(self) -> Warned:
        """Listen."""
        self._logger.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._logger.removeHandler(self)


async def run_demo(
    scenario: Path, url: str, *, output: Path, say: Callable[[str], None]
) -> tuple[list[CallReport], Outcome]:
    """Make the calls of a scenario, and say who said what.

    Args:
        scenario: Its file.
        url: The server.
        output: Folder for the recordings of both sides of each call; it is there.
        say: Given a line for a person.

    Returns:
        A report of each call; and what the callers saw: the recordings, and what was not as the scenario expects.

    Raises:
        UsageError: The file is no scenario.
        EngineMissing: What the callers speak or understand with is not there.
    """
    planned = load_scenario(scenario)
    calls, files = [], []
    for number, call in enumerate(planned.calls(url), start=1):
        sides = [output / f"{number}-{side}.wav" for side in ("heard", "spoken")]
        files += sides
        calls.append(replace(call, heard=sides[0], spoken=sides[1]))
    async with open_talk(calls, voice=None, recogniser=None, tell=say) as talk:
        callers = "a caller calls" if len(calls) == 1 else f"{len(calls)} callers call"
        say(f"{planned.name}: {callers}")
        reports = await run_calls(calls, talk=talk)
    for line in _lines(reports):
        say(line)
    problems = [f"{report.name}: {report.error}" for report in reports if report.error is not None]
    if planned.conditions or any(call.expect.texts for call in calls):
        problems += failures(planned.conditions, reports)
    else:
        problems += [f"{report.name}: {problem}" for report in reports for problem in report.problems]
    return reports, Outcome(files=files, problems=problems)


def _lines(reports: Sequence[CallReport]) -> Iterator[str]:
    for report in reports:
        for line in report.transcript:
            who = report.name if line.who == "participant" else "bot"
            yield f"{line.at_s:6.1f} s  {who}: {line.text}"
