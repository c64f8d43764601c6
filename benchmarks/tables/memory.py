# SPDX-License-Identifier: Apache-2.0
"""What memory an open, silent call takes."""

from __future__ import annotations

from benchmarks.common.options import Options
from benchmarks.common.rounds import Results, Step
from benchmarks.common.table import Table, Verdict, aligned, number
from benchmarks.load.memory import MemoryReport
from benchmarks.tables.calls import steps_of

_HEAD = ("server", "kB/call")
_LEGEND = """\
Growth of the resident memory with {calls} calls that sent their first text and nothing more, all processes of the
server, by call; 1 kB is 1000 bytes. Best of {rounds}."""


def _steps(options: Options) -> list[Step[MemoryReport]]:
    return steps_of(
        options,
        label="memory",
        load=["benchmarks.load.memory", f"--calls={options.silent_calls}"],
        expected_s=6.0,
        report=MemoryReport,
    )


def _call_kb(results: Results[MemoryReport], key: str) -> float:
    return min(one.call_kb for one in results[key,])


def _text(options: Options, results: Results[MemoryReport]) -> str:
    rows = [(variant.title, number(_call_kb(results, variant.key), 1)) for variant in options.variants]
    legend = _LEGEND.format(calls=options.silent_calls, rounds=options.rounds)
    return f"{aligned([_HEAD, *rows])}\n\n{legend}"


def _verdicts(options: Options, results: Results[MemoryReport]) -> list[Verdict]:
    return [
        Verdict(f"{one.title}, memory of a call", one.targets.open_call_kb, _call_kb(results, one.key), "kB")
        for one in options.variants
        if one.targets is not None
    ]


TABLE = Table("memory", "Memory of an open, silent call", _steps, _text, _verdicts)
