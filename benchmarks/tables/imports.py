# SPDX-License-Identifier: Apache-2.0
"""What `import audio_connector` costs, and which heavy modules come with it."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

from benchmarks.common.cores import pinned_to, two_cores
from benchmarks.common.options import Options
from benchmarks.common.processes import ROOT, BenchmarkError, environment
from benchmarks.common.rounds import Results, Step, Tick
from benchmarks.common.table import Table, Verdict, aligned, number
from benchmarks.common.usage import Meter

HEAVY = ("numpy", "soxr", "uvloop", "picows", "pydantic")
IMPORT_CPU_S = 0.205
"""The most that it may cost: half of what it cost when it was first measured."""

_PROGRAM = "import audio_connector"
_BARE = "pass"
_HEAD = ("program", "CPU s", "more than bare", "heavy modules")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """One program in interpreters of its own.

    Attributes:
        cpu_s: User and system, the best of all runs.
        modules: Of `HEAVY`, those that it loads.
        foreign_share: The share of the core that others took meanwhile.
        lost: Nothing can be lost.
    """

    cpu_s: float
    modules: tuple[str, ...]
    foreign_share: float
    lost: int = 0

    def brief(self) -> str:
        """Say the most in a line."""
        return f"{self.cpu_s:.3f} s CPU"


def _steps(options: Options) -> list[Step[ImportReport]]:
    return [
        Step(
            (program,),
            f"{options.imports} x {program!r}",
            options.imports * 0.5,
            partial(_measure, options, program),
        )
        for program in (_BARE, _PROGRAM)
    ]


def _measure(options: Options, program: str, tick: Tick) -> ImportReport:
    asked = _run(f"{program}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))")
    core, _ = two_cores()
    meter = Meter(core)
    spent_s: list[float] = []
    for _ in range(options.imports):
        tick()
        before_s = _children_cpu_s()
        with pinned_to(core):
            _run(program)
        spent_s.append(_children_cpu_s() - before_s)
    return ImportReport(min(spent_s), tuple(asked.split()), meter.foreign_share(sum(spent_s)))


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=ROOT,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": ""},  # or each run might compile everything anew
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BenchmarkError(f"python -c {program!r} failed:\n{done.stderr.strip()}")
    return done.stdout


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _text(options: Options, results: Results[ImportReport]) -> str:
    rows = [
        (
            program,
            number(report.cpu_s, 3),
            number(report.cpu_s - results[_BARE,][0].cpu_s, 3),
            ", ".join(report.modules) or "none",
        )
        for program in (_BARE, _PROGRAM)
        for report in results[program,]
    ]
    return f"{aligned([_HEAD, *rows])}\n\nUser and system, the best of {options.imports} runs."


def _verdicts(options: Options, results: Results[ImportReport]) -> list[Verdict]:
    del options
    cpu_s = results[_PROGRAM,][0].cpu_s - results[_BARE,][0].cpu_s
    return [Verdict(_PROGRAM, IMPORT_CPU_S, cpu_s, "s CPU")]


TABLE = Table("import", "Importing the library", _steps, _text, _verdicts)
