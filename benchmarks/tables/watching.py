# SPDX-License-Identifier: Apache-2.0
"""What it costs to look at calls: figures, traces, recordings, each beside the same server without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median

from benchmarks.common.options import Options
from benchmarks.common.rounds import Results, Step, Tick
from benchmarks.common.table import Table, Verdict, aligned, number
from benchmarks.common.variants import PLAIN, WATCHING, Variant
from benchmarks.load.side_by_side import SideBySideReport

_CALLS = 50
_TIMES = 2
"""So much longer than an echo."""

_OVERHEAD_S = 3.5
"""Starting two servers, dialling, waiting for the last echoes, stopping."""

_MOST = {"watched": 1.03, "traced": 1.03, "observed": 1.03}
"""Of what records there is no bound: it keeps audio, as was asked."""

_HEAD = ("server", "x plain", "best second", "worst second", "plain us/frame", "lost")
_LEGEND = """\
Two servers at once on one core, {calls} echoing calls each, 50 frames of 640 bytes a second and call: the one of the
row, and the same one without. Their CPU is compared second by second, so that what disturbs one disturbs the other;
the median of {seconds:g} s, and of {rounds} rounds. The first row compares the server with itself: so exact is it."""


def _steps(options: Options) -> list[Step[SideBySideReport]]:
    return [
        Step(
            key=(variant.key,),
            label=f"round {number_}/{options.rounds}, {variant.title}",
            expected_s=options.opening_s + _TIMES * options.steady_s + _OVERHEAD_S,
            measure=partial(_measure, options, variant),
        )
        for number_ in range(1, options.rounds + 1)
        for variant in (PLAIN, *WATCHING)
    ]


def _measure(options: Options, variant: Variant, tick: Tick) -> SideBySideReport:
    steady_s = _TIMES * options.steady_s
    arguments = {"calls": _CALLS, "opening-s": options.opening_s, "steady-s": steady_s}
    load = ["benchmarks.load.side_by_side", *(f"--{name}={value}" for name, value in arguments.items())]
    return SideBySideReport(
        **variant.measure(
            load,
            limit_s=3 * (options.opening_s + steady_s) + 60,
            tick=tick,
            module="benchmarks.servers.side_by_side",
            arguments=(variant.module,),
        )
    )


def _text(options: Options, results: Results[SideBySideReport]) -> str:
    rows = [_row(variant, results[variant.key,]) for variant in (PLAIN, *WATCHING)]
    seconds = _TIMES * options.steady_s
    legend = _LEGEND.format(calls=_CALLS, rounds=options.rounds, seconds=seconds)
    return f"{aligned([_HEAD, *rows])}\n\n{legend}"


def _row(variant: Variant, reports: Sequence[SideBySideReport]) -> tuple[str, ...]:
    return (
        variant.title,
        number(median(one.ratio for one in reports), 3),
        number(min(one.least for one in reports), 3),
        number(max(one.most for one in reports), 3),
        number(median(one.frame_us for one in reports), 1),
        str(sum(one.lost for one in reports)),
    )


def _verdicts(options: Options, results: Results[SideBySideReport]) -> list[Verdict]:
    del options
    return [
        Verdict(
            f"{variant.title}, CPU against {PLAIN.title}",
            _MOST[variant.key],
            median(one.ratio for one in results[variant.key,]),
        )
        for variant in WATCHING
        if variant.key in _MOST
    ]


TABLE = Table(
    "watching", "Watching: what it costs to look at calls", _steps, _text, _verdicts, takes_variants=False
)
