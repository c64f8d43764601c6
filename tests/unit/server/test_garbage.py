# SPDX-License-Identifier: Apache-2.0
"""A garbage collection that takes long is noted, and a short one costs nothing that one could find."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from audio_connector.server.garbage import LONG_S, MAX_KEPT, MIDDLE_ONES, GarbageWatch, loaded_is_kept


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Iterator[GarbageWatch]:
    watch = GarbageWatch(clock)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def collect(watch: GarbageWatch, clock: Clock, seconds: float, generation: int = 2) -> None:
    """One that takes so long: whoever is called behind the watch at its start lets the time pass."""

    def pass_time(phase: str, info: object) -> None:
        clock.now += seconds if phase == "start" else 0.0

    gc.callbacks.append(pass_time)
    try:
        gc.collect(generation)
    finally:
        gc.callbacks.remove(pass_time)


def test_only_what_takes_long_is_noted(watch: GarbageWatch, clock: Clock) -> None:
    collect(watch, clock, LONG_S - 0.01)
    assert watch.take() == []
    collect(watch, clock, 1.5)
    collect(watch, clock, LONG_S + 0.01, generation=1)
    first, second = watch.take()
    assert first == pytest.approx((50.0 + LONG_S - 0.01, 1.5, 2))
    assert second[1:] == pytest.approx((LONG_S + 0.01, 1))
    assert watch.take() == []


def test_nobody_who_takes_them_is_no_leak(watch: GarbageWatch, clock: Clock) -> None:
    for _ in range(MAX_KEPT + 10):
        collect(watch, clock, 1.0, generation=0)
    assert len(watch.take()) == MAX_KEPT


def test_stopped_it_is_called_no_more(clock: Clock) -> None:
    before = list(gc.callbacks)
    watch = GarbageWatch(clock)
    watch.stop()
    watch.start()
    watch.stop()
    watch.stop()
    assert gc.callbacks == before


@pytest.mark.parametrize(("whole", "kept"), [(10, MIDDLE_ONES), (500, 500)])
def test_who_has_made_whole_collections_rare_keeps_that(
    whole: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds: list[tuple[int, ...]] = []
    monkeypatch.setattr(gc, "get_threshold", lambda: (700, 10, whole))  # of 3.14 the last one says nothing
    monkeypatch.setattr(gc, "set_threshold", lambda *each: thresholds.append(each))
    with loaded_is_kept():
        assert thresholds == [(700, 10, kept)]
    assert thresholds[1:] == [(700, 10, whole)]
