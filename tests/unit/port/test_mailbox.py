# SPDX-License-Identifier: Apache-2.0
"""The carrier within one process: in order, in batches, from any thread, and without a lock."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.clock import VirtualClock

from audio_connector.port.mailbox import APART_S, BUSY_S, LOOK_AGAIN_S, LOOP_TURN_S, Inbox, Mailbox, Outbox
from audio_connector.testing.virtual_time import in_virtual_time, rest


class Loop:
    """One that only notes what it would call, and calls it when it is told to."""

    def __init__(self) -> None:
        self.as_loop: Any = self
        self.call_soon_threadsafe = lambda callback: self._note(self.woken, callback)
        self.call_soon = lambda callback: self._note(self.soon, callback)
        self.woken: list[Callable[[], None]] = []
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.is_over = False

    def _note(self, calls: list[Callable[[], None]], callback: Callable[[], None]) -> None:
        if self.is_over:
            raise RuntimeError("Event loop is closed")
        calls.append(callback)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self.later.append((delay, callback))

    def is_closed(self) -> bool:
        return self.is_over

    def run(self) -> None:
        for calls in (self.soon, self.woken):
            due = list(calls)
            calls.clear()
            for call in due:
                call()


def new_mailbox(loop: Loop, got: list[int], lost: list[bool] | None = None) -> Mailbox[int]:
    clock = VirtualClock()
    return Mailbox(
        loop.as_loop,
        got.append,
        on_lost=lambda: lost.append(True) if lost is not None else None,
        clock=clock.time,
    )


def test_a_batch_costs_one_wake_up_and_keeps_its_order() -> None:
    loop, got = Loop(), list[int]()
    mailbox = new_mailbox(loop, got)
    for number in range(100):
        mailbox.post(number)
    assert len(loop.woken) == 1
    loop.run()
    assert got == list(range(100))
    mailbox.post(100)
    assert len(loop.woken) == 1


def test_what_is_posted_while_it_is_drained_comes_in_the_next_round() -> None:
    loop, got = Loop(), list[int]()

    def deliver(number: int) -> None:
        got.append(number)
        if number < 5:
            mailbox.post(number + 1)

    mailbox: Mailbox[int] = Mailbox(loop.as_loop, deliver, on_lost=lambda: None)
    mailbox.post(0)
    for number in range(6):
        loop.run()
        assert got == list(range(number + 1))
    assert loop.woken == []


def test_one_message_that_fails_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    loop, got = Loop(), list[int]()

    def deliver(number: int) -> None:
        got.append(number // (number - 1))

    mailbox: Mailbox[int] = Mailbox(loop.as_loop, deliver, on_lost=lambda: None)
    for number in (0, 1, 2):
        mailbox.post(number)
    loop.run()
    assert got == [0, 2]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_loop_that_is_closed_is_told_of_and_nothing_piles_up() -> None:
    loop, got, lost = Loop(), list[int](), list[bool]()
    mailbox = new_mailbox(loop, got, lost)
    mailbox.post(1)
    loop.is_over = True
    assert mailbox.is_closed()
    for number in range(100):  # the wake-up that was on its way never comes
        mailbox.post(number)
    mailbox.give_up()
    assert lost == [True]
    for number in range(100):
        mailbox.post(number)
    assert len(mailbox._messages) == 0
    assert len(lost) == 101
    assert got == []


def test_posts_from_many_threads_all_arrive_each_in_its_order() -> None:
    loop, got = Loop(), list[int]()
    mailbox = new_mailbox(loop, got)

    def post(start: int) -> None:
        for number in range(start, start + 2000):
            mailbox.post(number)

    threads = [threading.Thread(target=post, args=(start,)) for start in range(0, 8000, 2000)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        loop.run()
    for thread in threads:
        thread.join()
    loop.run()
    assert sorted(got) == list(range(8000))
    for start in range(0, 8000, 2000):
        mine = [number for number in got if start <= number < start + 2000]
        assert mine == sorted(mine)


def test_a_finalizer_in_the_middle_of_a_post_may_post() -> None:
    # A lock would be held by the post that the collector interrupts.
    loop, got = Loop(), list[int]()
    mailbox = new_mailbox(loop, got)

    class Litter:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            mailbox.post(-1)

    for number in range(200):
        Litter()
        mailbox.post(number)
        if number % 20 == 0:
            gc.collect()
    gc.collect()
    loop.run()
    assert [number for number in got if number >= 0] == list(range(200))
    assert got.count(-1) == 200


# From the application to the I/O side.


def new_inbox(got: list[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Inbox[int], Loop, Loop, VirtualClock]:
    io_loop, loop, clock = Loop(), Loop(), VirtualClock()
    inbox: Inbox[int] = Inbox(
        io_loop.as_loop, got.append, application_loop=loop.as_loop, on_lost=lambda: None
    )
    monkeypatch.setattr(inbox, "_clock", clock.time)
    return inbox, io_loop, loop, clock


def test_the_first_of_a_round_wakes_at_once_and_the_others_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[int] = []
    inbox, io_loop, loop, clock = new_inbox(got, monkeypatch)
    inbox.post(0)
    assert len(io_loop.woken) == 1
    io_loop.run()
    clock.run_for(BUSY_S / 2)
    for number in range(1, 10):
        inbox.post(number)
    assert (len(io_loop.woken), len(loop.soon)) == (0, 1)
    loop.run()
    assert len(io_loop.woken) == 1
    io_loop.run()
    assert got == list(range(10))
    clock.run_for(2 * BUSY_S)
    inbox.post(10)
    assert (len(io_loop.woken), len(loop.soon)) == (1, 0)


def test_what_an_application_keeps_back_by_blocking_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[int] = []
    inbox, io_loop, _, _ = new_inbox(got, monkeypatch)
    inbox.post(0)
    io_loop.run()
    inbox.post(1)
    assert io_loop.woken == []
    [(delay_s, look_again)] = io_loop.later
    assert BUSY_S < delay_s <= LOOK_AGAIN_S
    io_loop.later.clear()
    look_again()
    assert got == [0, 1]
    [(_, look_again)] = io_loop.later
    io_loop.later.clear()
    look_again()
    assert io_loop.later == [], "it looks on, although nothing comes"


def test_from_another_thread_nothing_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[int] = []
    inbox, io_loop, loop, _ = new_inbox(got, monkeypatch)
    inbox.post(0)
    io_loop.run()
    thread = threading.Thread(target=inbox.post, args=(1,))
    thread.start()
    thread.join()
    assert (len(io_loop.woken), len(loop.soon)) == (1, 0)


def test_where_the_application_s_loop_is_closed_the_post_wakes_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    got: list[int] = []
    inbox, io_loop, loop, _ = new_inbox(got, monkeypatch)
    inbox.post(0)
    io_loop.run()
    loop.is_over = True
    inbox.post(1)
    io_loop.run()
    assert got == [0, 1]


# From the I/O side to the application.


class Gathering:
    """An outbox, its loop, its clock and its timer."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.loop = Loop()
        self.delivered: list[tuple[int, object]] = []
        self.lost = 0
        self.outbox = Outbox(
            self.loop.as_loop,
            self.delivered.append,
            lambda link_id, tell: None,
            call_later=self.clock.call_later,
            on_lost=self._lose,
            clock=self.clock.time,
        )

    def _lose(self) -> None:
        self.lost += 1


def test_what_comes_after_a_quiet_time_wakes_at_the_end_of_the_round() -> None:
    stage = Gathering()
    stage.outbox.post((1, b"a"))
    stage.outbox.post((2, b"b"))
    assert stage.loop.woken == []
    stage.clock.run_for(0.0)
    assert len(stage.loop.woken) == 1
    stage.loop.run()
    assert stage.delivered == [(1, b"a"), (2, b"b")]
    assert stage.clock.next_timer_at() is None


def test_what_follows_closely_waits_for_company_but_not_long() -> None:
    stage = Gathering()
    stage.outbox.post((1, b"a"))
    stage.clock.run_for(0.0)
    stage.loop.run()
    stage.clock.run_for(APART_S / 4)
    stage.outbox.post((2, b"b"))
    stage.clock.run_for(APART_S / 2)
    stage.outbox.post((3, b"c"))
    assert stage.loop.woken == []
    stage.clock.run_for(APART_S / 4 + 1e-6)
    assert len(stage.loop.woken) == 1
    stage.loop.run()
    assert stage.delivered == [(1, b"a"), (2, b"b"), (3, b"c")]
    stage.clock.run_for(APART_S)
    stage.outbox.post((4, b"d"))
    stage.clock.run_for(0.0)
    assert len(stage.loop.woken) == 1


def test_a_heartbeat_has_the_loop_look_and_delivers_nothing() -> None:
    stage = Gathering()
    stage.outbox.post_heartbeat()
    stage.outbox.post_heartbeat()
    assert stage.outbox.pending_since == stage.clock.now
    stage.clock.run_for(0.01)
    assert len(stage.loop.woken) == 1
    stage.loop.run()
    assert [stage.outbox.pending_since, stage.outbox.drained_at] == [None, stage.clock.now]
    assert stage.delivered == []


def test_the_loop_owes_work_while_something_waits_and_after_it_was_kept() -> None:
    stage = Gathering()
    outbox = stage.outbox
    assert outbox.owes_work(), "nobody knows whether it ever ran"
    outbox.drain()
    assert not outbox.owes_work()
    outbox.post((1, b"a"))
    assert outbox.owes_work()
    stage.clock.run_for(0.005)
    stage.loop.run()
    assert not outbox.owes_work()
    stage.clock.run_for(2 * LOOP_TURN_S)
    assert outbox.owes_work()


def test_a_loop_that_ends_while_tells_are_gathered_is_noticed_at_their_wake_up() -> None:
    stage = Gathering()
    stage.outbox.post((1, b"a"))
    stage.loop.is_over = True
    assert stage.outbox.is_closed()
    stage.clock.run_for(0.01)
    assert stage.lost == 1
    assert len(stage.outbox._messages) == 0


@in_virtual_time
async def test_on_a_real_loop() -> None:
    got: list[int] = []
    mailbox: Mailbox[int] = Mailbox(asyncio.get_running_loop(), got.append, on_lost=lambda: None)
    mailbox.post(1)
    assert got == []
    await rest()
    assert got == [1]
