# SPDX-License-Identifier: Apache-2.0
"""Tables as text, what is wanted of their figures, and what a table of this program consists of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from benchmarks.common.options import Options
from benchmarks.common.rounds import R, Results, Step


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure against what is wanted of it.

    Attributes:
        what: The figure, and of what.
        wanted: The limit.
        got: What was measured.
        unit: Of both.
        at_least: Whether more is better.
    """

    what: str
    wanted: float
    got: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether it holds."""
        return self.got >= self.wanted if self.at_least else self.got <= self.wanted

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        unit = f" {self.unit}" if self.unit else ""
        ok = "ok" if self.is_ok else "not ok"
        return f"{self.what}: wanted {bound} {self.wanted:g}{unit}, got {number(self.got, 3)}{unit}, {ok}"


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """One of the tables that `python -m benchmarks` prints.

    Attributes:
        name: On the command line.
        title: Above it.
        steps: Its measurements, in the order in which they are made.
        text: From what was measured to the table and its notes.
        verdicts: From what was measured to what is wanted.
        takes_variants: Whether the servers under comparison have to be there.
    """

    name: str
    title: str
    steps: Callable[[Options], list[Step[R]]]
    text: Callable[[Options, Results[R]], str]
    verdicts: Callable[[Options, Results[R]], list[Verdict]]
    takes_variants: bool = True


def aligned(rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Return rows in columns of equal width; the first ones, so many, hold texts and the others numbers."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float, digits: int = 2) -> str:
    """Return a figure; a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def span(ascending: Sequence[float], digits: int = 2) -> str:
    """Return the best of the rounds and, where they differ, the worst; a dash where there is none."""
    if not ascending:
        return "-"
    best, worst = number(ascending[0], digits), number(ascending[-1], digits)
    return best if best == worst else f"{best}..{worst}"
