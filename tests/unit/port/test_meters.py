# SPDX-License-Identifier: Apache-2.0
"""What is counted: bounded, exact, and a sum that no process can spoil."""

from __future__ import annotations

import json
import math
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.port.meters import (
    MAX_SERIES,
    METRICS,
    OTHER,
    Found,
    Meters,
    Sample,
    Snapshot,
    read_found,
    total,
)

# Halves: their sums are exact, in whatever order they are made.
AMOUNTS = st.integers(0, 1000).map(lambda number: number / 2)
LABELS = st.sampled_from(["a", "b", "c"])
COUNTED = sorted(name for name, metric in METRICS.items() if metric.kind == "counter")
OBSERVED = sorted(name for name, metric in METRICS.items() if metric.kind == "histogram")
TOLD = sorted(name for name, metric in METRICS.items() if metric.kind in ("gauge", "max", "min"))


def labels_of(name: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*[LABELS] * len(METRICS[name].labels))


def events_of(name: str) -> st.SearchStrategy[tuple[str, float, tuple[str, ...]]]:
    return st.tuples(st.just(name), AMOUNTS, labels_of(name))


EVENTS = st.lists(st.sampled_from(COUNTED + OBSERVED).flatmap(events_of), max_size=30)


def counted(events: list[tuple[str, float, tuple[str, ...]]]) -> Meters:
    meters = Meters()
    for name, amount, labels in events:
        (meters.observe if METRICS[name].buckets else meters.add)(name, amount, *labels)
    return meters


def as_dict(snapshot: Snapshot) -> dict[tuple[str, tuple[str, ...]], Sample]:
    rows = {(name, labels): sample for name, labels, sample in snapshot}
    assert len(rows) == len(snapshot), "a row comes twice"
    return rows


@given(st.lists(EVENTS, max_size=4))
def test_the_sum_over_processes_is_what_one_would_have_counted(parts: list[Any]) -> None:
    whole = counted([event for part in parts for event in part])
    assert as_dict(total(counted(part).snapshot() for part in parts)) == as_dict(whole.snapshot())


@given(EVENTS, EVENTS)
def test_what_has_ended_and_what_goes_on_add_up(before: list[Any], after: list[Any]) -> None:
    ended = Meters()
    ended.fold(counted(before).snapshot())
    whole = {
        key: sample
        for key, sample in as_dict(counted(before + after).snapshot()).items()
        if "process" not in METRICS[key[0]].labels
    }
    lives_on = [
        row
        for row in total([ended.snapshot(), counted(after).snapshot()])
        if "process" not in METRICS[row[0]].labels
    ]
    assert as_dict(lives_on) == whole


@pytest.mark.parametrize("name", TOLD + [name for name in COUNTED if "process" in METRICS[name].labels])
def test_what_it_was_at_the_time_ends_with_a_process(name: str) -> None:
    ended = Meters()
    ended.fold([(name, ("x",) * len(METRICS[name].labels), 5.0)])
    assert ended.snapshot() == []


@given(st.sampled_from(TOLD), st.lists(AMOUNTS, min_size=1, max_size=5))
def test_gauges_are_added_and_peaks_are_not(name: str, values: list[float]) -> None:
    labels = ("x",) * len(METRICS[name].labels)
    [(_, _, sample)] = total([(name, labels, value)] for value in values)
    assert sample == {"max": max, "min": min}.get(METRICS[name].kind, sum)(values)


@given(st.sampled_from(OBSERVED), st.lists(st.floats(0, 1e6), min_size=1))
def test_each_value_is_in_the_bucket_that_holds_it(name: str, values: list[float]) -> None:
    meters = Meters()
    labels = ("x",) * len(METRICS[name].labels)
    for value in values:
        meters.observe(name, value, *labels)
    [(_, _, sample)] = meters.snapshot()
    assert isinstance(sample, list)
    below = -math.inf
    for bound, count in zip([*METRICS[name].buckets, math.inf], sample, strict=False):
        assert count == sum(below < value <= bound for value in values)
        below = bound
    assert sample[-1] == pytest.approx(sum(values))


def test_nobody_makes_more_series_than_there_is_room_for() -> None:
    meters, ended = Meters(), Meters()
    for at in range(3 * MAX_SERIES):
        meters.add("errors", 1.0, f"Error{at}")
    rows = meters.snapshot()
    assert len(rows) == MAX_SERIES + 1
    assert rows[-1] == ("errors", (OTHER,), 2.0 * MAX_SERIES)
    for at in range(3):
        ended.fold([("errors", (f"{at}-{number}",), 1.0) for number in range(MAX_SERIES)])
    assert len(ended.snapshot()) == MAX_SERIES + 1


def test_a_snapshot_does_not_change_any_more() -> None:
    meters = Meters()
    meters.observe("call_seconds", 2.0)
    before = meters.snapshot()
    meters.observe("call_seconds", 2.0)
    folded = Meters()
    folded.fold(before)
    folded.observe("call_seconds", 2.0)
    assert before == [("call_seconds", (), [0.0, 1.0, *[0.0] * 6, 2.0])]


@given(EVENTS)
def test_it_crosses_as_it_is(events: list[Any]) -> None:
    found = Found(counted(events).snapshot(), [{"number": 1}])
    assert read_found(found.as_json()) == found


GOOD_ROW = ["errors", ["ValueError"], 1.0]


@pytest.mark.parametrize(
    "row",
    [
        ["of another version", [], 1.0],
        ["errors", [], 1.0],
        ["errors", ["a", "b"], 1.0],
        ["errors", ["a"], [1.0]],
        ["errors", ["a"], "1"],
        ["errors", ["a"], None],
        ["call_seconds", [], 1.0],
        ["call_seconds", [], [1.0]],
        ["call_seconds", [], [None] * 9],
        ["calls", "x", 1.0],
        ["calls", []],
        [],
        None,
        {},
    ],
)
def test_what_is_not_known_is_left_out(row: Any) -> None:
    found = read_found(json.dumps([[row, GOOD_ROW], [7, {"number": 2}]]))
    assert found == Found([("errors", ("ValueError",), 1.0)], [{"number": 2}])
    ended = Meters()
    ended.fold(found.snapshot)
    assert ended.snapshot() == found.snapshot


@pytest.mark.parametrize(
    "text", ["", "{", "null", "7", '"x"', "[]", "[[]]", "[[], [], []]", "[7, []]", "{}", "[" * 100]
)
def test_what_is_none_says_so(text: str) -> None:
    assert read_found(text) is None


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.floats() | st.sampled_from(COUNTED), st.lists, max_leaves=20
    )
)
def test_nothing_that_another_process_says_breaks_the_sum(value: Any) -> None:
    found = read_found(json.dumps([value, []]))
    if found is not None:
        assert total([found.snapshot, found.snapshot]) is not None


def test_every_metric_is_told_apart_by_its_name_and_unit() -> None:
    for name, metric in METRICS.items():
        assert metric.about.endswith("."), name
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), "Prometheus appends that"
        assert not name.endswith("_ms"), "Prometheus' unit of time is the second"
        assert bool(metric.buckets) == (metric.kind == "histogram"), name
        assert list(metric.buckets) == sorted(set(metric.buckets)), name


def test_threads_that_count_the_same_lose_nothing() -> None:
    meters = Meters()
    interval_s = sys.getswitchinterval()

    def count() -> None:
        for _ in range(5000):
            meters.add("speeches", 1.0, "played")
            meters.observe("barge_in_seconds", 0.5)

    threads = [threading.Thread(target=count) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    rows = as_dict(meters.snapshot())
    assert rows["speeches", ("played",)] == 20_000
    assert rows["barge_in_seconds", ()] == [0.0] * 8 + [20_000.0] + [0.0] * 4 + [10_000.0]
