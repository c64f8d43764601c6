# SPDX-License-Identifier: Apache-2.0
"""The mailboxes between the two sides."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from audio_connector.server import mail
from audio_connector.server.mailbox import BUSY_ROUND_S, REST_S, Mailbox
from audio_connector.testing.virtual_time import run_in_virtual_time


class FakeLoop:
    """Notes what is to be called, and calls it when it is told to."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.threadsafe: list[Callable[[], None]] = []
        self.is_closed = False

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        if self.is_closed:
            raise RuntimeError("Event loop is closed")
        self.threadsafe.append(callback)

    def run(self) -> int:
        """A round: what is there now, and nothing that comes by it."""
        now, self.soon, self.threadsafe = self.soon + self.threadsafe, [], []
        for callback in now:
            callback()
        return len(now)


class Stage:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, gathers: bool) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.rests.append)
        monkeypatch.setattr("audio_connector.server.mailbox.time", clock)
        self.receiver, self.sender = FakeLoop(), FakeLoop()
        self.got: list[int] = []
        self.lost: list[list[int]] = []
        self.deliver: Callable[[int], None] = self.got.append
        loops: Any = (self.receiver, self.sender)
        self.mailbox: Mailbox[int] = Mailbox(
            loops[0],
            self.hand_over,
            gather_on=loops[1] if gathers else None,
            on_lost=self.lost.append,
        )

    def hand_over(self, message: int) -> None:
        self.deliver(message)


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, gathers=True)


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, gathers=False)


def test_what_is_posted_in_one_round_shares_one_wake_up(gathering: Stage) -> None:
    for number in range(100):
        gathering.mailbox.post(number)
    assert gathering.receiver.threadsafe == []
    assert gathering.sender.run() == 1
    assert gathering.receiver.run() == 1
    assert gathering.got == list(range(100))
    assert gathering.mailbox.peak_messages == 100


@pytest.mark.parametrize(("after_s", "rests"), [(BUSY_ROUND_S / 2, [REST_S]), (BUSY_ROUND_S * 1.1, [])])
def test_rounds_that_follow_each_other_closely_are_spread(
    gathering: Stage, after_s: float, rests: list[float]
) -> None:
    gathering.mailbox.post(1)
    gathering.sender.run()
    assert gathering.rests == [], "a thread that was idle does not rest"
    gathering.receiver.run()
    gathering.now += after_s
    gathering.mailbox.post(2)
    gathering.sender.run()
    assert len(gathering.receiver.threadsafe) == 1, "the wake-up does not wait for the rest"
    assert gathering.rests == rests
    gathering.receiver.run()
    assert gathering.got == [1, 2]


def test_a_sender_that_may_block_wakes_the_receiver_at_once(prompt: Stage) -> None:
    prompt.mailbox.post(1)
    assert len(prompt.receiver.threadsafe) == 1
    prompt.mailbox.post(2)
    assert len(prompt.receiver.threadsafe) == 1
    prompt.receiver.run()
    prompt.mailbox.post(3)
    prompt.receiver.run()
    assert prompt.got == [1, 2, 3]


def test_what_is_posted_while_it_delivers_is_the_next_batch(prompt: Stage) -> None:
    def answer(message: int) -> None:
        prompt.got.append(message)
        if message < 3:
            prompt.mailbox.post(message + 1)

    prompt.deliver = answer
    prompt.mailbox.post(1)
    assert [prompt.receiver.run() for _ in range(4)] == [1, 1, 1, 0]
    assert prompt.got == [1, 2, 3]


def test_a_message_that_cannot_be_taken_takes_no_other_with_it(
    prompt: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def deliver(message: int) -> None:
        if message == 2:
            raise ValueError("bad")
        prompt.got.append(message)

    prompt.deliver = deliver
    for number in (1, 2, 3):
        prompt.mailbox.post(number)
    prompt.receiver.run()
    assert prompt.got == [1, 3]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_receiver_that_is_gone_loses_nothing_without_saying_so(prompt: Stage) -> None:
    prompt.mailbox.post(1)
    prompt.mailbox.post(2)
    prompt.receiver.is_closed = True
    prompt.mailbox.give_up()
    assert prompt.lost == [[1, 2]]
    prompt.mailbox.post(3)
    prompt.mailbox.post(4)
    assert prompt.lost == [[1, 2], [3], [4]]
    assert prompt.got == []


def test_it_says_since_when_the_receiver_has_not_looked(prompt: Stage) -> None:
    assert prompt.mailbox.armed_since is None
    prompt.mailbox.post(1)
    prompt.now += 0.7
    prompt.mailbox.post(2)
    assert prompt.mailbox.armed_since == 100.0
    prompt.receiver.run()
    assert prompt.mailbox.armed_since is None
    assert prompt.mailbox.drained_at == 100.7


async def test_many_threads_at_once_lose_nothing_and_each_keeps_its_order() -> None:
    got: list[tuple[int, int]] = []
    done = asyncio.Event()

    def deliver(message: tuple[int, int]) -> None:
        got.append(message)
        if len(got) == 4000:
            done.set()

    mailbox: Mailbox[tuple[int, int]] = Mailbox(
        asyncio.get_running_loop(), deliver, gather_on=None, on_lost=lambda lost: None
    )

    def post_all(thread: int) -> None:
        for number in range(1000):
            mailbox.post((thread, number))

    threads = [threading.Thread(target=post_all, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    await done.wait()
    for thread in threads:
        thread.join()
    for thread_number in range(4):
        assert [number for k, number in got if k == thread_number] == list(range(1000))


def test_a_reply_that_is_followed_answers_all_and_survives_each() -> None:
    async def scene() -> None:
        reply: mail.Reply[int] = mail.Reply()
        first, second = mail.follow(reply), mail.follow(reply)
        waiting = asyncio.ensure_future(asyncio.wrap_future(first))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        reply.set_result(5)
        assert await asyncio.wrap_future(second) == 5
        assert await asyncio.wrap_future(mail.follow(reply)) == 5

    run_in_virtual_time(scene())
