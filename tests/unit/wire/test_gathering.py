# SPDX-License-Identifier: Apache-2.0
"""Readers of many busy sockets share a look; with few each is called as soon as it can be."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

if sys.platform != "linux":
    pytest.skip("there is epoll on Linux only", allow_module_level=True)

from audio_connector.wire import gathering
from audio_connector.wire.gathering import GATHER_S, LOOK_S, PROVEN, WORTH_IT, GatheringLoop
from audio_connector.wire.loop import log_loop_error


class Stage:
    """A loop, and sockets that it reads."""

    def __init__(self) -> None:
        self.loop = GatheringLoop()
        self.looks: list[set[int]] = []
        """Which sockets were read in which round of the loop."""
        self._round_is_over = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def open(self) -> int:
        """Returns its number."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        number = len(self._pairs)
        self._pairs.append((ours, theirs))
        self.loop.add_reader(ours.fileno(), self._read, number)
        return number

    def fd(self, number: int) -> int:
        return self._pairs[number][0].fileno()

    def send(self, number: int) -> None:
        self._pairs[number][1].send(b"x")

    def _read(self, number: int) -> None:
        assert self._pairs[number][0].recv(100)
        if self._round_is_over:
            self._round_is_over = False
            self.looks.append(set())
            self.loop.call_soon(self._end_round)
        self.looks[-1].add(number)

    def _end_round(self) -> None:
        self._round_is_over = True

    def run_for(self, seconds: float) -> None:
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()

    def run_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until
            self.run_for(0.001)

    def close(self) -> None:
        for ours, theirs in self._pairs:
            self.loop.remove_reader(ours.fileno())
            ours.close()
            theirs.close()
        self.loop.close()
        self.loop.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def test_a_lonely_message_does_not_wait(stage: Stage) -> None:
    number = stage.open()
    took: list[float] = []
    for _ in range(5):
        stage.send(number)
        began, before = time.monotonic(), len(stage.looks)
        stage.loop.call_later(1.0, stage.loop.stop)
        while len(stage.looks) == before:
            stage.loop.call_soon(stage.loop.stop)
            stage.loop.run_forever()
        took.append(time.monotonic() - began)
    assert min(took) < GATHER_S / 2


def test_many_share_a_look_and_are_looked_at_in_time(stage: Stage) -> None:
    numbers = [stage.open() for _ in range(20)]
    sent = 0

    def send_next() -> None:
        nonlocal sent
        for _ in range(10):
            stage.send(numbers[sent % len(numbers)])
            sent += 1
        stage.loop.call_later(0.001, send_next)

    stage.loop.call_soon(send_next)
    stage.run_for(0.4)
    read = sum(len(look) for look in stage.looks)
    assert read > 500, "a machine that is this busy shows nothing"
    assert read / len(stage.looks) >= 2 * WORTH_IT
    stage.run_until(lambda: not stage.loop._epoll.poll(0))


def test_once_little_comes_again_nothing_waits_and_no_timer_runs(stage: Stage) -> None:
    first, second = stage.open(), stage.open()
    for _ in range(50):
        stage.send(first)
        stage.send(second)
        stage.run_for(0.0005)
    stage.run_until(lambda: not stage.loop._gathers)
    stage.looks.clear()
    stage.send(first)
    stage.run_for(0.0)
    stage.run_until(lambda: bool(stage.looks))
    assert not stage.loop._gathers


def test_whoever_is_removed_is_called_no_more_even_by_one_before_it_in_a_look(stage: Stage) -> None:
    removed: list[int] = []

    def take_away(number: int) -> None:
        other = 1 - number
        removed.append(number)
        for which in (number, other):
            stage.loop.remove_reader(stage.fd(which))

    for number in (stage.open(), stage.open()):
        stage.loop.add_reader(stage.fd(number), take_away, number)
        stage.send(number)
    stage.run_for(0.02)
    assert len(removed) == 1
    assert stage.looks == []
    assert not stage.loop.remove_reader(stage.fd(0))


def test_what_one_raises_is_logged_and_the_others_are_called(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> None:
        stage.loop.remove_reader(stage.fd(number))
        raise ValueError("broken")

    stage.loop.set_exception_handler(log_loop_error)
    numbers = [stage.open() for _ in range(3)]
    stage.loop.add_reader(stage.fd(1), fail, 1)
    for number in numbers:
        stage.send(number)
    with caplog.at_level(logging.ERROR):
        stage.run_until(lambda: set().union(*stage.looks) == {0, 2})
    assert [record.getMessage() for record in caplog.records] == ["a reader failed"]


def test_it_may_be_closed_before_its_readers_are_removed(stage: Stage) -> None:
    stage.open()
    stage.loop.close()
    assert stage.loop.is_closed()
    assert not stage.loop.remove_reader(stage.fd(0))


def test_a_number_that_is_used_again_is_read_though_nobody_was_told_of_the_end(stage: Stage) -> None:
    before = stage.open()
    fd = stage.fd(before)
    for end in stage._pairs.pop():
        end.close()
    after = stage.open()
    assert stage.fd(after) == fd
    stage.send(after)
    stage.run_until(lambda: stage.looks == [{after}])


class Slow:
    """Readers that take a time of a clock of their own, so that a look ends when it should, on whatever machine."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.takes_s: float | None = None
        """Of all that are read from now on."""
        self.order: list[int] = []
        """Who was read, one after the other."""
        self._stage = stage
        monkeypatch.setattr(gathering, "time", SimpleNamespace(monotonic=lambda: self.now))

    def open(self, takes_s: float) -> int:
        number = self._stage.open()
        self._stage.loop.add_reader(self._stage.fd(number), self._read, number, takes_s)
        return number

    def look(self) -> list[int]:
        """Have it look once; returns who was read."""
        self.order.clear()
        self._stage.loop._look()
        return list(self.order)

    def _read(self, number: int, takes_s: float) -> None:
        self._stage._pairs[number][0].recv(100)
        self.order.append(number)
        self.now += takes_s if self.takes_s is None else self.takes_s

    def run_until_read(self, numbers: list[int]) -> float:
        """Run the loop until all of them are read, round by round; returns the time that it took."""
        began = time.perf_counter()
        while len(self.order) < len(numbers):
            self._stage.loop.call_soon(self._stage.loop.stop)
            self._stage.loop.run_forever()
            assert time.perf_counter() < began + 5
        return time.perf_counter() - began

    def prove(self, number: int) -> None:
        for _ in range(PROVEN):
            self._stage.send(number)
            assert self.look() == [number]


def test_whoever_is_proven_comes_before_any_number_of_new_ones(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    new = [slow.open(LOOK_S / 3) for _ in range(40)]
    proven = [slow.open(0.0) for _ in range(5)]
    for number in proven:
        slow.prove(number)
    for number in (*new, *proven):
        stage.send(number)
    first = slow.look()
    assert set(first[: len(proven)]) == set(proven)
    assert 3 <= len(first) - len(proven) <= 5  # and then the look is over
    stage.send(proven[0])
    assert proven[0] in slow.look()[:2]


def test_whoever_is_kept_new_is_never_proven(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(stage, monkeypatch)
    new, proven = [slow.open(0.0) for _ in range(5)], slow.open(0.0)
    for number in new:
        for _ in range(3 * PROVEN):
            stage.send(number)
            slow.look()
            stage.loop.keep_new(stage.fd(number))
    slow.prove(proven)
    for number in (*new, proven):
        stage.send(number)
    assert slow.look()[0] == proven
    stage.loop.remove_reader(stage.fd(proven))
    stage.loop.keep_new(stage.fd(proven))


def test_a_look_that_leaves_some_is_followed_by_one_that_begins_with_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    numbers = [slow.open(LOOK_S / 3) for _ in range(40)]
    for number in numbers:
        stage.send(number)
    seen: list[int] = []
    while len(set(seen)) < len(numbers):
        seen += (read := slow.look())
        assert read
    assert sorted(seen) == numbers


def test_those_that_are_new_get_on_beside_others_that_always_have_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    proven = [slow.open(LOOK_S / 3) for _ in range(10)]
    for number in proven:
        slow.prove(number)
    new = [slow.open(LOOK_S / 3) for _ in range(10)]
    for number in new:
        stage.send(number)
    seen: set[int] = set()
    for _ in range(len(new) + 1):
        for number in proven:
            stage.send(number)
        seen.update(slow.look())
    assert seen == {*proven, *new}


def test_what_a_look_has_left_is_read_in_the_next_round_and_not_by_the_timer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    numbers = [slow.open(LOOK_S / 10) for _ in range(60)]
    for number in numbers:
        slow.prove(number)
    slow.takes_s = LOOK_S
    for number in numbers:
        stage.send(number)
    slow.order.clear()
    assert slow.run_until_read(numbers) < len(numbers) / 2 * GATHER_S


def test_those_that_are_left_do_not_wait_for_the_timer_where_the_first_of_them_was_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    numbers = [slow.open(0.0) for _ in range(3)]
    for number in numbers:
        slow.prove(number)

    def take_away(number: int) -> None:
        stage._pairs[number][0].recv(100)
        slow.order.append(number)
        slow.now += 2 * LOOK_S
        others = [other for other in numbers if other != number]
        stage.loop.remove_reader(stage.fd(others[0]))

    for number in numbers:
        reader = stage.loop._readers[stage.fd(number)]
        reader.callback, reader.args = take_away, (number,)
        stage.send(number)
    first = slow.look()
    stage.loop.call_soon(stage.loop.stop)
    stage.loop.run_forever()
    assert len(first) == 1
    assert len(slow.order) == 2


def test_those_that_are_new_are_read_by_the_timer_and_leave_the_loop_to_others_in_between(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(stage, monkeypatch)
    numbers = [slow.open(LOOK_S) for _ in range(20)]
    for number in numbers:
        stage.send(number)
    pauses = len(numbers) / 2 - 1  # two fit into a look
    assert slow.run_until_read(numbers) > 0.8 * pauses * GATHER_S  # uvloop's clock has milliseconds
