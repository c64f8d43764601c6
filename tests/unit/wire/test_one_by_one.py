# SPDX-License-Identifier: Apache-2.0
"""Work that comes at once is done in order, one at a time and apart; work that comes alone is done at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.one_by_one import APART_S, OneByOne


class Rounds:
    """A clock that goes on by `APART_S` in each round, and what is then called."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()
        self.number = 0

    def call_later(self, delay_s: float, run: Callable[[], None]) -> None:
        assert delay_s == APART_S
        self._soon.append(run)

    @property
    def is_idle(self) -> bool:
        return not self._soon

    def go_on(self) -> None:
        self.number += 1
        for _ in range(len(self._soon)):
            self._soon.popleft()()


@given(st.lists(st.integers(0, 5), max_size=12))
def test_in_order_and_one_at_a_time(coming: list[int]) -> None:
    rounds = Rounds()
    one_by_one = OneByOne(rounds.call_later)
    done: list[tuple[int, int]] = []
    asked = 0
    for count in coming:
        for _ in range(count):
            one_by_one.do(lambda number=asked: done.append((rounds.number, number)))  # type: ignore[misc]
            asked += 1
        rounds.go_on()
    while not rounds.is_idle:
        rounds.go_on()
    assert [number for _, number in done] == list(range(asked))
    assert len({at for at, _ in done}) == len(done)


def test_what_comes_alone_is_done_at_once() -> None:
    rounds = Rounds()
    one_by_one = OneByOne(rounds.call_later)
    done: list[int] = []
    for number in range(3):
        one_by_one.do(lambda number=number: done.append(number))  # type: ignore[misc]
        assert done[-1] == number
        while not rounds.is_idle:
            rounds.go_on()


def test_one_that_fails_keeps_no_other_from_its_turn() -> None:
    rounds = Rounds()
    one_by_one = OneByOne(rounds.call_later)
    done: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    one_by_one.do(lambda: done.append("first"))
    one_by_one.do(fail)
    one_by_one.do(lambda: done.append("last"))
    with pytest.raises(ZeroDivisionError):
        rounds.go_on()
    rounds.go_on()
    assert done == ["first", "last"]


def test_what_waits_is_done_at_the_end_of_the_loop_and_what_comes_then_at_once() -> None:
    rounds = Rounds()
    one_by_one = OneByOne(rounds.call_later)
    done: list[int] = []
    for number in range(3):
        one_by_one.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == [0]
    one_by_one.finish()
    assert done == [0, 1, 2]
    one_by_one.do(lambda: done.append(3))
    assert done == [0, 1, 2, 3]


async def test_who_waits_for_a_turn_leaves_the_loop_to_others_in_between() -> None:
    loop = asyncio.get_running_loop()
    one_by_one = OneByOne(loop.call_later)
    went: list[int] = []
    at_s: list[float] = []

    async def go(number: int) -> None:
        await one_by_one.turn()
        went.append(number)
        at_s.append(loop.time())

    tasks = [asyncio.create_task(go(number)) for number in range(20)]
    tasks[7].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert went == [number for number in range(20) if number != 7]
    # Those that are late, since the machine was busy, may be near the next one; none is before its time.
    assert at_s[-1] - at_s[0] >= 0.9 * APART_S * (len(went) - 1)
