# SPDX-License-Identifier: Apache-2.0
"""The arithmetic between what was measured and what is printed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from benchmarks.common.rounds import Progress, Results, Runner, Step, Tick
from benchmarks.common.statistics import percentile
from benchmarks.common.table import Verdict, aligned, number, span
from benchmarks.common.variants import BARE, VENDOR
from benchmarks.frames import FRAME_BYTES, HEAD_BYTES, match, numbered_frames, numbers_of
from benchmarks.load.echo import EchoReport
from benchmarks.load.opening import OpeningReport
from benchmarks.load.playout import lateness_s, play_out
from benchmarks.load.side_by_side import ratios_of
from benchmarks.tables.echo import cpu_ratios


def test_frames_carry_their_number() -> None:
    """Frames differ by their number alone, and give it back."""
    frames = numbered_frames(300)
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert numbers_of(b"".join(frame[:HEAD_BYTES] for frame in frames)) == tuple(range(300))
    assert {frame[HEAD_BYTES:] for frame in frames} == {frames[0][HEAD_BYTES:]}


def test_echoes_that_begin_late_are_matched_by_number() -> None:
    """The burst of a primed call: three at once, each with its own round trip."""
    matched = match([0.0, 0.02, 0.04], (0, 1, 2), [0.05, 0.05, 0.05])
    assert matched.trips_s == pytest.approx({0: 0.05, 1: 0.03, 2: 0.01})
    assert (matched.missing, matched.misplaced) == (0, 0)


@pytest.mark.parametrize(
    ("numbers", "missing", "misplaced"),
    [((0, 2), 1, 0), ((0, 1, 1, 2), 0, 1), ((0, 2, 1), 1, 1), ((0, 1, 2, 9), 0, 1), ((), 3, 0)],
)
def test_what_is_not_in_order_shows(numbers: tuple[int, ...], missing: int, misplaced: int) -> None:
    """A frame missing, twice, overtaken, never sent; none at all."""
    matched = match([0.0, 0.02, 0.04], numbers, [1.0] * len(numbers))
    assert (matched.missing, matched.misplaced) == (missing, misplaced)


def test_a_router_runs_dry_and_goes_on_later() -> None:
    """The third frame is 30 ms late: two ticks find nothing, and the fourth is in time again."""
    playout = play_out([0.0, 0.02, 0.07, 0.09])
    assert playout.underruns == 2
    assert playout.least_margin_s == pytest.approx(-0.03)
    assert play_out([0.0, 0.02, 0.07, 0.09], jitter_buffer_s=0.04).underruns == 0
    assert play_out([]).underruns == 0


def test_lateness_leaves_out_what_comes_at_once() -> None:
    """Three frames at once, then one per 20 ms, of which one is 5 ms late."""
    late_s = lateness_s([0.0, 0.0, 0.0, 0.02, 0.045, 0.06])
    assert late_s == pytest.approx([0.0, 0.005, 0.0])
    assert lateness_s([]) == []


def test_percentiles_are_values_that_occurred() -> None:
    """The nearest rank, up to the last."""
    values = [float(value) for value in range(1, 201)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [100, 198, 200]
    assert percentile([7.0], 1) == 7
    assert math.isnan(percentile([], 50))


def echoed(cpu_share: float) -> EchoReport:
    """A report of which only the CPU counts."""
    return EchoReport(cpu_share, 1.0, 1.0, 2.0, 100, 0, 0, 0, 10.0, 0.1, 1.0, 0.0)


def test_ratios_are_formed_within_a_round() -> None:
    """The second round cost twice as much for all, which changes no ratio."""
    results: Results[EchoReport] = {
        ("thread", "150"): [echoed(0.2), echoed(0.5)],
        ("bare", "150"): [echoed(0.1), echoed(0.2)],
    }
    assert cpu_ratios(results, ("thread", "150"), (BARE.key, "150")) == pytest.approx([2.0, 2.5])
    assert cpu_ratios(results, ("thread", "150"), (VENDOR.key, "150")) == []


def test_figures_as_text() -> None:
    """Columns, dashes, and both ends of what varied."""
    assert aligned([("server", "ms"), ("a", "10.0")]) == "server    ms\na       10.0"
    assert (number(1.005, 1), number(math.nan), number(math.inf)) == ("1.0", "-", "-")
    assert (span([]), span([1.0, 1.001]), span([1.0, 1.5])) == ("-", "1.00", "1.00..1.50")


def test_verdicts() -> None:
    """At most, and at least."""
    assert str(Verdict("trip", 3.0, 2.5, "ms")) == "trip: wanted at most 3 ms, got 2.500 ms, ok"
    assert (
        str(Verdict("opens", 1000, 900, at_least=True)) == "opens: wanted at least 1000, got 900.000, not ok"
    )
    assert not Verdict("nothing was measured", 3.0, math.nan).is_ok


def opening_step(*reports: OpeningReport) -> Step[OpeningReport]:
    """A step that yields these, one after another."""
    left = list(reports)
    measure: Callable[[Tick], OpeningReport] = lambda _: left.pop(0)  # noqa: E731 - with its type
    return Step(("thread",), "opening", 1.0, measure)


def runner() -> Runner:
    """Three attempts, 15 %."""
    return Runner(Progress(1.0), max_foreign=0.15, attempts=3)


def test_what_was_disturbed_is_repeated_until_it_is_not() -> None:
    """The second attempt is quiet enough, so that there is no third."""
    quiet = OpeningReport(1.0, 1000.0, 0.1)
    running = runner()
    assert running.run([opening_step(OpeningReport(0.5, 900.0, 0.4), quiet)]) == {("thread",): [quiet]}
    assert running.disturbed == []


def test_the_least_disturbed_counts_where_all_were() -> None:
    """And it is told."""
    best = OpeningReport(1.0, 1000.0, 0.3)
    running = runner()
    reports = [OpeningReport(0.5, 900.0, 0.4), best, OpeningReport(0.6, 900.0, 0.5)]
    assert running.run([opening_step(*reports)]) == {("thread",): [best]}
    assert running.disturbed == [0.3]


def test_a_loss_is_never_outdone() -> None:
    """Neither by a further attempt, nor by an earlier one that was less disturbed."""
    lossy = OpeningReport(1.0, 1000.0, 0.9, lost=3)
    running = runner()
    assert running.run([opening_step(OpeningReport(1.0, 1000.0, 0.4), lossy)]) == {("thread",): [lossy]}
    assert running.lost == ["opening: 3 lost"]


def test_two_servers_are_compared_second_by_second() -> None:
    """In the second window everything took twice as long, for both."""
    assert ratios_of([(1.0, 5.0), (1.5, 5.6), (2.5, 6.8)]) == pytest.approx([1.2, 1.2])
