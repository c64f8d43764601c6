# SPDX-License-Identifier: Apache-2.0
"""What an echoing call costs, and how long its frames take there and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.common.options import Options
from benchmarks.common.rounds import Key, Results, Step, Tick
from benchmarks.common.table import Table, Verdict, aligned, number, span
from benchmarks.common.variants import BARE, VENDOR, Targets, Variant
from benchmarks.load.echo import EchoReport

_OVERHEAD_S = 2.5
"""Starting a server, dialling, waiting for the last echoes, stopping."""

_HEAD = (
    *("calls", "server", "CPU s/s", "x bare", "x vendor", "p50 ms", "p99 ms"),
    *("lost", "underruns", "margin ms", "load CPU", "load late ms"),
)
_LEGEND = """\
One core for each server, 50 frames of 640 bytes a second and call. CPU: seconds per second, all processes and
threads of the server. Best of {rounds}, each figure by itself; a ratio is formed within a round, and of two the
second is the worst round's. CPU and round trips are measured from {opening:g} s after the first frame on. Lost
frames, underruns and the least margin count from the first one on, over all rounds, at a router that begins to
play 20 ms after it. Load: the load generator's CPU, and how late it sent; where that is near 1, or late, it
measures itself."""


def _steps(options: Options) -> list[Step[EchoReport]]:
    return [
        Step(
            key=_key(variant, calls),
            label=f"echo of {calls} calls, round {number_}/{options.rounds}, {variant.title}",
            expected_s=options.opening_s + options.steady_s + _OVERHEAD_S,
            measure=partial(_measure, options, variant, calls),
            may_lose=variant.is_vendor,
        )
        for number_ in range(1, options.rounds + 1)
        for calls in options.calls
        for variant in options.variants
    ]


def _key(variant: Variant, calls: int) -> Key:
    return variant.key, str(calls)


def _measure(options: Options, variant: Variant, calls: int, tick: Tick) -> EchoReport:
    arguments = {"calls": calls, "opening-s": options.opening_s, "steady-s": options.steady_s}
    load = ["benchmarks.load.echo", *(f"--{name}={value}" for name, value in arguments.items())]
    limit_s = 3 * (options.opening_s + options.steady_s) + 60
    return EchoReport(**variant.measure(load, limit_s=limit_s, tick=tick))


def _text(options: Options, results: Results[EchoReport]) -> str:
    rows = [_row(variant, calls, results) for calls in options.calls for variant in options.variants]
    legend = _LEGEND.format(rounds=options.rounds, opening=options.opening_s)
    return f"{aligned([_HEAD, *rows], texts=2)}\n\n{legend}"


def _row(variant: Variant, calls: int, results: Results[EchoReport]) -> tuple[str, ...]:
    reports = results[_key(variant, calls)]
    return (
        str(calls),
        variant.title,
        number(_best(reports, "cpu_share"), 3),
        span(cpu_ratios(results, _key(variant, calls), _key(BARE, calls))),
        span(cpu_ratios(results, _key(variant, calls), _key(VENDOR, calls))),
        number(_best(reports, "trip_p50_ms")),
        number(_best(reports, "trip_p99_ms")),
        str(sum(one.lost for one in reports)),
        str(sum(one.underruns for one in reports)),
        number(min(one.least_margin_ms for one in reports), 1),
        number(max(one.generator_share for one in reports)),
        number(max(one.generator_late_ms for one in reports), 1),
    )


def cpu_ratios(results: Results[EchoReport], key: Key, other: Key) -> list[float]:
    """Return the CPU of a server against another's in the same round, the best round first; none without it."""
    if key not in results or other not in results:
        return []
    mine, others = ([one.cpu_share for one in results[which]] for which in (key, other))
    return sorted(cpu / other_cpu for cpu, other_cpu in zip(mine, others, strict=True))


def _best(reports: Sequence[EchoReport], name: str) -> float:
    best: float = min(getattr(one, name) for one in reports)
    return best


def _verdicts(options: Options, results: Results[EchoReport]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for variant in options.variants:
        targets = variant.targets
        if targets is None:
            continue
        verdicts += _most(options, results, variant, targets)
        if targets.at_calls not in options.calls:
            continue
        key = _key(variant, targets.at_calls)
        what = f"{variant.title}, {targets.at_calls} calls"
        reports = results[key]
        for other, wanted in ((BARE, targets.cpu_vs_bare), (VENDOR, targets.cpu_vs_vendor)):
            found = cpu_ratios(results, key, _key(other, targets.at_calls))
            if found:
                verdicts.append(Verdict(f"{what}, CPU against {other.title}", wanted, found[0]))
        for name, wanted in (("p50", targets.trip_p50_ms), ("p99", targets.trip_p99_ms)):
            got = _best(reports, f"trip_{name}_ms")
            verdicts.append(Verdict(f"{what}, round trip {name}", wanted, got, "ms"))
        if targets.root_share is not None:
            got = _best(reports, "root_share")
            verdicts.append(Verdict(f"{what}, the application's part of the CPU", targets.root_share, got))
    return verdicts


def _most(
    options: Options, results: Results[EchoReport], variant: Variant, targets: Targets
) -> list[Verdict]:
    """What is wanted of many calls."""
    if targets.most_calls is None or targets.most_calls not in options.calls:
        return []
    reports = results[_key(variant, targets.most_calls)]
    best = min(reports, key=lambda one: (one.underruns, one.trip_p99_ms))
    what = f"{variant.title}, {targets.most_calls} calls"
    return [
        Verdict(f"{what}, round trip p99", targets.most_p99_ms, best.trip_p99_ms, "ms"),
        Verdict(f"{what}, underruns", 0, best.underruns),
    ]


TABLE = Table("echo", "Echo: what a call costs, and how long a frame takes", _steps, _text, _verdicts)
