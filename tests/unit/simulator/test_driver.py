# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from audio_connector.simulator.driver import TickDriver


class FakeTimer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """A clock that jumps from timer to timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[FakeTimer] = []
        self.complaints: list[dict[str, object]] = []

    def time(self) -> float:
        return self.now

    def call_exception_handler(self, context: dict[str, object]) -> None:
        self.complaints.append(context)

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        assert delay >= 0
        self.timers.append(FakeTimer(self.now + delay, callback))
        return self.timers[-1]

    @property
    def armed(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.cancelled]

    def run_until(self, end: float) -> int:
        wakes = 0
        while self.armed and min(timer.at for timer in self.armed) <= end:
            timer = min(self.armed, key=lambda timer: timer.at)
            timer.cancelled = True
            self.now = max(self.now, timer.at)
            timer.callback()
            wakes += 1
        self.timers = self.armed
        self.now = end
        return wakes


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def driver(loop: FakeLoop) -> TickDriver:
    return TickDriver(cast(asyncio.AbstractEventLoop, loop), clock=loop.time)


def every_20_ms(calls: list[float], start: float) -> Callable[[float], float]:
    def tick(now: float) -> float:
        due = start + len(calls) * 0.02
        if due <= now:
            calls.append(now - due)
        return start + len(calls) * 0.02

    return tick


def test_one_timer_serves_many_ticks_none_early_and_none_later_than_the_grain(
    loop: FakeLoop, driver: TickDriver
) -> None:
    lateness: list[list[float]] = [[] for _ in range(300)]
    for number, calls in enumerate(lateness):
        driver.add(every_20_ms(calls, number * 0.000173), number * 0.000173)
    assert len(loop.armed) == 1
    wakes = loop.run_until(1.0)
    assert wakes <= 520
    assert all(47 <= len(calls) <= 50 for calls in lateness)
    assert min(map(min, lateness)) >= 0
    assert max(map(max, lateness)) <= 0.002 + 1e-9


def test_a_tick_that_is_over_is_forgotten(loop: FakeLoop, driver: TickDriver) -> None:
    calls: list[float] = []

    def tick(now: float) -> None:
        calls.append(now)

    driver.add(tick, 0.5)
    loop.run_until(10.0)
    assert calls == [0.5]
    assert loop.armed == []


def test_an_earlier_tick_moves_the_timer(loop: FakeLoop, driver: TickDriver) -> None:
    calls: list[str] = []
    driver.add(lambda _: calls.append("late"), 5.0)
    driver.add(lambda _: calls.append("early"), 1.0)
    assert [timer.at for timer in loop.armed] == [1.0]
    loop.run_until(10.0)
    assert calls == ["early", "late"]


def test_nothing_is_called_after_stop(loop: FakeLoop, driver: TickDriver) -> None:
    driver.add(lambda _: pytest.fail("called"), 1.0)
    driver.stop()
    driver.stop()
    assert loop.run_until(10.0) == 0


def test_a_tick_that_raises_is_forgotten_and_the_others_go_on(loop: FakeLoop, driver: TickDriver) -> None:
    failures: list[Exception] = []
    calls: list[float] = []

    def fail(now: float) -> float:
        raise LookupError(now)

    driver.add(fail, 0.5, failures.append)
    driver.add(every_20_ms(calls, 0.0), 0.0)
    driver.add(fail, 0.7)
    loop.run_until(1.0)
    assert [error.args for error in failures] == [(0.5,)]
    assert [context["message"] for context in loop.complaints] == ["a simulated call failed"]
    assert isinstance(loop.complaints[0]["exception"], LookupError)
    assert len(calls) == 51


def test_a_tick_may_ask_for_others_while_it_is_called(loop: FakeLoop, driver: TickDriver) -> None:
    calls: list[str] = []

    def first(now: float) -> float | None:
        calls.append("first")
        driver.add(lambda _: calls.append("second"), now)
        driver.add(lambda _: calls.append("third"), now)
        return now + 1.0 if len(calls) == 1 else None

    driver.add(first, 1.0)
    loop.run_until(1.0)
    assert calls == ["first", "second", "third"]
    loop.run_until(3.0)
    assert calls == ["first", "second", "third"] * 2
    assert loop.armed == []
