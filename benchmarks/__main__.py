# SPDX-License-Identifier: Apache-2.0
"""`make bench`: what this library costs beside the vendor's SDK and a bare picows echo, and what it stands.

Each server has one core and the load generator another. The servers take turns, round by round, so that a machine
that is busy with something else disturbs them alike. What is disturbed is measured again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.common.options import Options
from benchmarks.common.processes import BenchmarkError
from benchmarks.common.rounds import Progress, Results, Runner
from benchmarks.common.table import Table, Verdict
from benchmarks.common.variants import VARIANTS, VENDOR, VENDOR_PACKAGE
from benchmarks.tables import TABLES

_EXAMPLES = """\
examples:
  python -m benchmarks                            everything
  python -m benchmarks --quick                    a quick look
  python -m benchmarks echo --calls 150           one table, one row of it
  python -m benchmarks echo opening --only bare thread --json costs.json
  python -m benchmarks watching                   what it costs to read figures, to trace, and to record

exit status: 0 measured, whatever came out; 1 frames or calls were lost, but by the vendor's; 2 not measured
"""


N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a table.

    Attributes:
        name: Of the table.
        results: Everything that was measured.
        verdicts: On what is wanted.
    """

    name: str
    results: Results[Any]
    verdicts: Sequence[Verdict]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and return the exit status."""
    parsed = _parser().parse_args(arguments)
    if sys.platform != "linux":
        print("not measured: only Linux can pin processes to cores and tell their CPU time", file=sys.stderr)
        return 2
    options = _options(parsed)
    tables = [table for table in TABLES if not parsed.tables or table in parsed.tables]
    steps = [step for table in tables for step in table.steps(options)]
    progress = Progress(sum(step.expected_s for step in steps))
    runner = Runner(progress, max_foreign=parsed.max_foreign / 100, attempts=parsed.attempts)
    try:
        takes_variants = any(table.takes_variants for table in tables)
        for variant in options.variants if takes_variants else ():
            if variant.environment is not None:
                variant.environment.prepare()
        outcomes = [_run(table, options, runner) for table in tables]
    except BenchmarkError as error:
        print(f"\nnot measured: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(_as_json(options, outcomes), indent=2) + "\n")
    return _conclude(outcomes, runner, max_foreign=parsed.max_foreign)


def _run(table: Table[Any], options: Options, runner: Runner) -> Outcome:
    results = runner.run(table.steps(options))
    print(f"\n== {table.title}\n\n{table.text(options, results)}\n", flush=True)
    return Outcome(table.name, results, table.verdicts(options, results))


def _conclude(outcomes: Sequence[Outcome], runner: Runner, *, max_foreign: float) -> int:
    """Print what is wanted and what was got, and return the exit status."""
    print("== Wanted\n")
    for outcome in outcomes:
        for verdict in outcome.verdicts:
            print(verdict)
    if runner.disturbed:
        print(
            f"\nnote: during {len(runner.disturbed)} of {runner.measured} measurements others took more than "
            f"{max_foreign:g} % of a core, up to {max(runner.disturbed):.0%}; use an idle machine"
        )
    for line in runner.lost:
        print(f"\nERROR: {line}")
    return 1 if runner.lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names, keys = [table.name for table in TABLES], [one.key for one in VARIANTS]
    parser.add_argument(
        "tables", nargs="*", type=_table, metavar="table", help=f"some of {', '.join(names)} (all)"
    )
    parser.add_argument("--quick", action="store_true", help="short, and only to see that it works")
    parser.add_argument("--calls", type=_positive(int), nargs="+", help="echoing calls (20 50 150 300 600)")
    parser.add_argument("--rounds", type=_positive(int), help="turns of each server (3)")
    parser.add_argument("--seconds", type=_positive(float), help="of echo that are measured (5)")
    parser.add_argument(
        "--only",
        choices=keys,
        nargs="+",
        default=keys,
        help="some of the servers",
    )
    parser.add_argument(
        "--no-vendor", action="store_true", help="without the vendor's SDK, and its installation"
    )
    parser.add_argument(
        "--max-foreign",
        type=_positive(float),
        default=15.0,
        metavar="PERCENT",
        help="of a core; what others took more of is repeated (15)",
    )
    parser.add_argument("--attempts", type=_positive(int), default=3, help="at one measurement (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    return parser


def _options(parsed: argparse.Namespace) -> Options:
    base = Options().quick() if parsed.quick else Options()
    chosen: dict[str, Any] = {"calls": parsed.calls and tuple(parsed.calls), "rounds": parsed.rounds}
    chosen["steady_s"] = parsed.seconds
    keys = set(parsed.only) - ({VENDOR.key} if parsed.no_vendor else set())
    variants = tuple(one for one in VARIANTS if one.key in keys)
    return replace(base, variants=variants, **{name: value for name, value in chosen.items() if value})


def _table(name: str) -> Table[Any]:
    for table in TABLES:
        if table.name == name:
            return table
    raise argparse.ArgumentTypeError(f"got {name!r}, expected one of {', '.join(one.name for one in TABLES)}")


def _positive(kind: type[N]) -> Callable[[str], N]:
    def convert(text: str) -> N:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
        return value

    return convert


def _as_json(options: Options, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "options": {**asdict(options), "variants": [one.key for one in options.variants]},
        "environment": {"python": platform.python_version(), "platform": platform.platform()},
        "packages": {name: version(name) for name in ("picows", "uvloop")} | {"vendor": VENDOR_PACKAGE},
        "results": {
            outcome.name: {
                "/".join(key): [asdict(one) for one in reports] for key, reports in outcome.results.items()
            }
            for outcome in outcomes
        },
        "wanted": {str(one): one.is_ok for outcome in outcomes for one in outcome.verdicts},
    }


if __name__ == "__main__":
    sys.exit(main())
