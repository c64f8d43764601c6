# SPDX-License-Identifier: Apache-2.0
"""The measurements of tables that have a line for each server, and one load for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.common.options import Options
from benchmarks.common.rounds import R, Step, Tick
from benchmarks.common.variants import Variant


def steps_of(
    options: Options,
    *,
    label: str,
    load: Sequence[str],
    expected_s: float,
    report: Callable[..., R],
) -> list[Step[R]]:
    """Return a step for each server and round, in turns.

    Args:
        options: Which servers, and how many rounds.
        label: Of the measurement.
        load: Module and arguments of the load generator.
        expected_s: For one.
        report: Made of what the load generator printed.
    """

    def measure(variant: Variant) -> Callable[[Tick], R]:
        def run(tick: Tick) -> R:
            values: Mapping[str, Any] = variant.measure(load, limit_s=10 * expected_s + 60, tick=tick)
            return report(**values)

        return run

    return [
        Step(
            key=(variant.key,),
            label=f"{label}, round {number}/{options.rounds}, {variant.title}",
            expected_s=expected_s,
            measure=measure(variant),
            may_lose=variant.is_vendor,
        )
        for number in range(1, options.rounds + 1)
        for variant in options.variants
    ]
