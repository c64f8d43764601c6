# SPDX-License-Identifier: Apache-2.0
"""One timer for everything that has deadlines."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock

from audio_connector.playback.pacer import READ_FIRST_S, STOOD_STILL_S, TICK_S, Pacer


class Item:
    """Notes when it is woken, and asks for its next deadlines one after the other."""

    def __init__(self, clock: VirtualClock, *deadlines: float | None) -> None:
        self.armed_at: float | None = None
        self.clock = clock
        self.deadlines = list(deadlines)
        self.woken: list[float] = []

    def wake(self, now: float) -> float | None:
        assert now == self.clock.now
        self.woken.append(now)
        return self.deadlines.pop(0) if self.deadlines else None


class Stage:
    def __init__(self, now: float = 0.0) -> None:
        self.clock = VirtualClock(now)
        self.errors: list[tuple[object, Exception]] = []
        self.pacer = Pacer(self.clock.time, self.clock.call_later, self.note)

    def note(self, item: object, error: Exception) -> None:
        self.errors.append((item, error))

    def item(self, *deadlines: float | None) -> Item:
        return Item(self.clock, *deadlines)


@given(
    start=st.one_of(st.just(0.0), st.floats(0.0, 1e6)),
    after_s=st.lists(st.one_of(st.floats(0.0, 2.0), st.integers(0, 100).map(lambda k: k * 0.02)), min_size=1),
)
def test_nobody_is_woken_early_nor_later_than_the_grid(start: float, after_s: list[float]) -> None:
    stage = Stage(start)
    items = [(start + seconds, stage.item()) for seconds in after_s]
    for deadline, item in items:
        stage.pacer.arm(item, deadline)
    stage.clock.run_for(3.0)
    for deadline, item in items:
        assert len(item.woken) == 1
        assert deadline <= item.woken[0] <= deadline + TICK_S + 1e-9


def test_many_deadlines_within_a_tick_share_one_timer() -> None:
    stage = Stage()
    items = [stage.item() for _ in range(100)]
    for number, item in enumerate(items):
        stage.pacer.arm(item, 1.0001 + number * 0.00004)
    stage.clock.run_until(2.0)
    assert stage.clock.fired == 1
    assert [item.woken for item in items] == [[pytest.approx(1.005)]] * 100


def test_an_item_goes_on_as_long_as_it_has_deadlines() -> None:
    stage = Stage()
    item = stage.item(0.2, 0.3, None)
    stage.pacer.arm(item, 0.1)
    stage.clock.run_until(10.0)
    assert item.woken == pytest.approx([0.1, 0.2, 0.3])
    assert item.armed_at is None


def test_a_deadline_that_moved_later_costs_a_wake_up_but_no_entry() -> None:
    stage = Stage()
    item = stage.item(0.5)
    stage.pacer.arm(item, 0.1)
    stage.pacer.arm(item, 0.5)
    stage.pacer.arm(item, 0.7)
    stage.clock.run_until(10.0)
    assert item.woken == pytest.approx([0.1, 0.5])


def test_a_deadline_that_moved_earlier_is_kept() -> None:
    stage = Stage()
    item, other = stage.item(), stage.item()
    stage.pacer.arm(item, 0.5)
    stage.pacer.arm(other, 0.3)
    stage.pacer.arm(item, 0.1)
    stage.clock.run_until(10.0)
    assert item.woken == pytest.approx([0.1])
    assert other.woken == pytest.approx([0.3])


def test_no_deadline_arms_nothing_and_none_takes_nothing_away() -> None:
    stage = Stage()
    item, idle = stage.item(), stage.item()
    stage.pacer.arm(idle, None)
    stage.pacer.arm(item, 0.1)
    stage.pacer.arm(item, None)
    stage.clock.run_until(10.0)
    assert (len(item.woken), len(idle.woken)) == (1, 0)


def test_an_item_that_was_disarmed_is_not_woken() -> None:
    stage = Stage()
    item, other = stage.item(), stage.item()
    stage.pacer.arm(item, 0.1)
    stage.pacer.arm(other, 0.1)
    stage.pacer.disarm(item)
    stage.clock.run_until(10.0)
    assert item.woken == []
    assert other.woken == pytest.approx([0.1])
    stage.pacer.arm(item, 20.0)
    stage.clock.run_until(30.0)
    assert item.woken == pytest.approx([20.0])


def test_an_item_may_arm_itself_and_others_while_it_is_woken() -> None:
    stage = Stage()
    other = stage.item()

    class Arming(Item):
        def wake(self, now: float) -> float | None:
            stage.pacer.arm(other, now)
            stage.pacer.arm(self, now + 0.1)
            return super().wake(now)

    item = Arming(stage.clock)
    stage.pacer.arm(item, 0.1)
    stage.clock.run_until(0.15)
    assert item.woken == pytest.approx([0.1])
    assert other.woken == pytest.approx([0.1])


def test_one_that_raises_is_reported_and_the_others_go_on() -> None:
    stage = Stage()

    class Broken(Item):
        def wake(self, now: float) -> float | None:
            raise RuntimeError("broken")

    broken, before, after = Broken(stage.clock), stage.item(0.2), stage.item(0.2)
    for item in (before, broken, after):
        stage.pacer.arm(item, 0.1)
    stage.clock.run_until(10.0)
    assert before.woken == after.woken == pytest.approx([0.1, 0.2])
    assert [(item, str(error)) for item, error in stage.errors] == [(broken, "broken")]


def test_reporting_may_fail_as_well(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()

    class Broken(Item):
        def wake(self, now: float) -> float | None:
            raise RuntimeError("broken")

    def report(item: object, error: Exception) -> None:
        raise ValueError("worse")

    stage.pacer = Pacer(stage.clock.time, stage.clock.call_later, report)
    broken, other = Broken(stage.clock), stage.item(0.2)
    for item in (broken, other):
        stage.pacer.arm(item, 0.1)
    stage.clock.run_until(10.0)
    assert other.woken == pytest.approx([0.1, 0.2])
    assert "broken" in caplog.text
    assert "worse" in caplog.text


def test_once_stopped_it_wakes_nobody_any_more() -> None:
    stage = Stage()
    item = stage.item()
    stage.pacer.arm(item, 0.1)
    stage.pacer.stop()
    stage.pacer.arm(item, 0.05)
    assert stage.clock.next_timer_at() is None
    stage.clock.run_until(10.0)
    assert item.woken == []
    stage.pacer.stop()


def test_it_knows_how_late_it_was() -> None:
    stage = Stage()
    stage.pacer.arm(stage.item(), 0.1)
    stage.clock.now = 0.6
    stage.clock.run_until(0.6)
    assert stage.pacer.latest_ms == pytest.approx(500.0)


def test_whoever_never_wants_to_be_woken_is_not_held_on_to() -> None:
    stage = Stage()
    item = stage.item(math.inf)
    stage.pacer.arm(item, math.inf)
    stage.pacer.arm(item, 0.1)
    stage.clock.run_until(10.0)
    assert item.woken == pytest.approx([0.1])
    left = weakref.ref(item)
    del item
    gc.collect()
    assert left() is None


@given(steps=st.integers(1, 10_000_000))
def test_a_deadline_just_off_the_grid_makes_no_busy_loop(steps: int) -> None:
    deadline = math.nextafter(steps * TICK_S, math.inf)
    stage = Stage(deadline - 1.0)
    item = stage.item()
    stage.pacer.arm(item, deadline)
    stage.clock.run_until(deadline + 2 * TICK_S)
    assert len(item.woken) == 1


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.one_of(st.none(), st.floats(0.0, 0.3)), st.floats(0.0, 0.05)),
        max_size=60,
    )
)
def test_whoever_is_armed_is_woken_by_the_earliest_of_its_deadlines(
    steps: list[tuple[int, float | None, float]],
) -> None:
    stage = Stage(100.0)
    items = [stage.item() for _ in range(5)]
    wanted: dict[int, float] = {}
    for which, in_s, then_s in steps:
        if in_s is None:
            stage.pacer.disarm(items[which])
            wanted.pop(which, None)
        else:
            deadline = stage.clock.now + in_s
            stage.pacer.arm(items[which], deadline)
            wanted[which] = min(deadline, wanted.get(which, math.inf))
        stage.clock.run_for(then_s)
        for number, item in enumerate(items):
            if item.woken:
                assert wanted.pop(number) <= item.woken.pop()
            assert item.woken == []
        assert all(deadline > stage.clock.now - TICK_S - 1e-9 for deadline in wanted.values())


def test_who_stood_still_reads_before_anybody_is_woken() -> None:
    stage = Stage()
    silent, armed_meanwhile, later = stage.item(20.0), stage.item(), stage.item()
    stage.pacer.arm(silent, 10.0)
    stage.pacer.arm(later, 15.0 + 2 * READ_FIRST_S)
    stage.clock.now = 15.0  # it was stopped
    stage.clock.run_until(15.0)
    assert not silent.woken
    stage.pacer.arm(armed_meanwhile, 15.001)  # something of it is read, and that is due at once
    stage.clock.run_until(15.0 + READ_FIRST_S)
    assert silent.woken == armed_meanwhile.woken == [15.0 + READ_FIRST_S]
    stage.clock.run_until(16.0)
    assert later.woken == pytest.approx([15.0 + 2 * READ_FIRST_S], abs=TICK_S)
    stage.clock.run_until(30.0)
    assert silent.woken[1:] == [20.0]
    assert stage.pacer.latest_ms == pytest.approx(5000)


def test_who_is_armed_for_a_time_that_has_passed_has_not_stood_still() -> None:
    stage = Stage()
    stage.clock.run_for(20.0)
    late = stage.item()
    stage.pacer.arm(late, stage.clock.time() - 5.0)
    stage.clock.run_for(TICK_S)
    assert len(late.woken) == 1
    assert stage.pacer.latest_ms == 0


def test_one_that_is_late_as_a_busy_machine_is_wakes_at_once() -> None:
    stage = Stage()
    item = stage.item()
    stage.pacer.arm(item, 10.0)
    stage.clock.now = 10.0 + STOOD_STILL_S - 0.01
    stage.clock.run_until(stage.clock.now)
    assert item.woken == [stage.clock.now]


def test_one_that_is_stopped_as_it_reads_wakes_nobody() -> None:
    stage = Stage()
    item = stage.item()
    stage.pacer.arm(item, 10.0)
    stage.clock.now = 15.0
    stage.clock.run_until(15.0)
    stage.pacer.stop()
    stage.clock.run_until(20.0)
    assert not item.woken
