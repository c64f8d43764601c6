# SPDX-License-Identifier: Apache-2.0
"""What opening a call costs, and how many can be opened in a second, one after another."""

from __future__ import annotations

from benchmarks.common.options import Options
from benchmarks.common.rounds import Results, Step
from benchmarks.common.table import Table, Verdict, aligned, number
from benchmarks.load.opening import OpeningReport
from benchmarks.tables.calls import steps_of

_HEAD = ("server", "CPU ms/open", "opens/s")
_LEGEND = """\
{opens} calls one after another: connect, get the 101, send the first text, close. CPU of the server, the end of the
call included. Best of {rounds}, each figure by itself."""


def _steps(options: Options) -> list[Step[OpeningReport]]:
    return steps_of(
        options,
        label="opening",
        load=["benchmarks.load.opening", f"--opens={options.opens}"],
        expected_s=2.5 + options.opens * 0.002,
        report=OpeningReport,
    )


def _text(options: Options, results: Results[OpeningReport]) -> str:
    rows = [
        (
            variant.title,
            number(min(one.cpu_ms for one in results[variant.key,])),
            number(max(one.opens_per_s for one in results[variant.key,]), 0),
        )
        for variant in options.variants
    ]
    return f"{aligned([_HEAD, *rows])}\n\n{_LEGEND.format(opens=options.opens, rounds=options.rounds)}"


def _verdicts(options: Options, results: Results[OpeningReport]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for variant in options.variants:
        if variant.targets is not None:
            reports, targets = results[variant.key,], variant.targets
            cpu_ms = min(one.cpu_ms for one in reports)
            opens_per_s = max(one.opens_per_s for one in reports)
            verdicts += [
                Verdict(f"{variant.title}, CPU to open a call", targets.open_cpu_ms, cpu_ms, "ms"),
                Verdict(
                    f"{variant.title}, opening", targets.opens_per_s, opens_per_s, "calls/s", at_least=True
                ),
            ]
    return verdicts


TABLE = Table("opening", "Opening a call", _steps, _text, _verdicts)
