# SPDX-License-Identifier: Apache-2.0
"""Conditions under which a run has failed: ``underrun_ms>0``, ``turn_latency_ms>=1500``, ``sum.stale_ms>0``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from audio_connector.errors import UsageError
from audio_connector.simulator.metrics import METRICS, Metric
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.summary import label_of

_FORM: Final = re.compile(r"\s*(sum\.)?([A-Za-z][A-Za-z0-9_]*)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        ">": operator.gt,
        ">=": operator.ge,
        "<": operator.lt,
        "<=": operator.le,
        "==": operator.eq,
        "!=": operator.ne,
    }
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A run fails where this is true.

    Attributes:
        metric: The figure.
        sign: One of `OPERATORS`.
        limit: What it is compared with.
        in_sum: Compare the figure of all calls together, instead of each call's.
    """

    metric: Metric
    sign: str
    limit: float
    in_sum: bool = False

    def __str__(self) -> str:
        return f"{'sum.' if self.in_sum else ''}{self.metric.name}{self.sign}{_exact(self.limit)}"

    def failures(self, reports: Sequence[CallReport]) -> list[str]:
        """Say for each call, or for all together, why it fails; a call without the figure fails as well.

        A bot that never answered has no latency: taking that for a pass would hide the worst case. Calls that were
        never made are left out: they fail by themselves.
        """
        made = [(number, report) for number, report in enumerate(reports, start=1) if report.error is None]
        if self.in_sum:
            value = self.metric.of_all(report for _, report in made)
            return self._judge("all calls", value) if made else []
        lines: list[str] = []
        for number, report in made:
            lines += self._judge(label_of(number, report), self.metric.of(report))
        return lines

    def _judge(self, who: str, value: float | None) -> list[str]:
        if value is None:
            return [f"{self}: {who}: there is no {self.metric.name}: {self.metric.text}"]
        if not OPERATORS[self.sign](value, self.limit):
            return []
        unit = f" {self.metric.unit}" if self.metric.unit not in {"", "share"} else ""
        return [f"{self}: {who}: {_exact(value)}{unit}"]


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Args:
        text: ``NAME SIGN NUMBER``, with ``sum.`` before the name for all calls together; blanks are allowed.

    Raises:
        UsageError: It has another form, or names no figure.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no condition: expected NAME SIGN NUMBER, for example 'underrun_ms>0'")
    in_sum, name, sign, number = match.groups()
    if name not in METRICS:
        close = get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(METRICS)}"
        raise UsageError(f"{text!r}: there is no figure {name!r}; {hint}")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise UsageError(f"{text!r}: {number!r} is not a number; expected one, without its unit")
    return Condition(METRICS[name], sign, limit, in_sum is not None)


def failures(conditions: Iterable[Condition], reports: Sequence[CallReport]) -> list[str]:
    """Say why a run has failed, one line each; empty where it passed.

    A call that was not the one that was planned fails by itself, whatever the conditions: where nothing was said,
    no figure can be too high. So does one whose words are not as `RouterCall.expect` has them.
    """
    lines = [
        f"{label_of(number, report)}: {line}"
        for number, report in enumerate(reports, start=1)
        for line in (*report.shortfalls, *report.unmet)
    ]
    for condition in conditions:
        lines += condition.failures(reports)
    return lines


def _exact(value: float) -> str:
    """Six digits after the point at most, and never an exponent: 20, 0.04, 12345678."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
