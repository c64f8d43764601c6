# SPDX-License-Identifier: Apache-2.0
"""A loop that is blocked is noticed, and what blocks it is named: a handler, a collection, C, the machine."""

from __future__ import annotations

import re
import threading
import time
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_connector.port.host import Block
from audio_connector.port.mailbox import Outbox
from audio_connector.port.meters import Meters
from audio_connector.server import watchdog
from audio_connector.server.garbage import Collection, GarbageWatch
from audio_connector.server.watchdog import ANOTHER_THREAD, BLOCKED_S, CHECK_S, Cpu, LoopWatchdog, cpu_clock

COUNTED = "loop_blocked_seconds"


class FakeLoop:
    """What an `Outbox` knows of its loop, set by the test."""

    def __init__(self) -> None:
        self.pending_since: float | None = None
        self.drained_at = 0.0
        self.heartbeats = 0
        self.is_lost = False
        self.given_up = 0

    def post_heartbeat(self) -> None:
        self.heartbeats += 1

    def is_closed(self) -> bool:
        return self.is_lost

    def give_up(self) -> None:
        self.given_up += 1


class Stage:
    def __init__(self, *, has_audio: bool = True) -> None:
        self.loop = FakeLoop()
        self.meters = Meters()
        self.blocks: list[Block] = []
        self.cpu = Cpu(0.0, 0.0)
        self.watchdog = LoopWatchdog(
            cast(Outbox, self.loop),
            threading.get_ident(),
            meters=self.meters,
            tell=self.blocks.append,
            has_audio=has_audio,
            cpu=lambda: self.cpu,
        )
        self.collections: list[Collection] = []
        self.watchdog._garbage = cast(GarbageWatch, self)
        self.now = 100.0

    def take(self) -> list[Collection]:
        """In place of a real `GarbageWatch`."""
        taken, self.collections = self.collections, []
        return taken

    def stop(self) -> None:
        """Likewise."""

    def stand_still(self, seconds: float, *, process_s: float = 0.0, thread_s: float = 0.0) -> None:
        """Nothing of the process runs that is ours; so much it computes meanwhile."""
        self.now += seconds
        self.cpu = Cpu(self.cpu.process_s + process_s, self.cpu.thread_s + thread_s)

    @property
    def blocked_s(self) -> dict[str, float]:
        """By cause, as counted."""
        rows = self.meters.snapshot()
        return {labels[0]: cast(float, sample) for name, labels, sample in rows if name == COUNTED}

    def look_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now + CHECK_S <= until + 1e-9:
            self.now += CHECK_S
            assert self.watchdog.wake(self.now) == self.now + CHECK_S

    def block_for(self, seconds: float) -> None:
        self.loop.pending_since = self.now
        self.look_for(seconds)
        self.loop.pending_since, self.loop.drained_at = None, self.now


def texts_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    return [record.getMessage() for record in caplog.records]


def test_a_loop_that_runs_is_asked_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.look_for(2.0)
    assert stage.loop.heartbeats == 10
    assert texts_of(caplog) == []


def test_a_loop_that_is_blocked_is_reported_while_it_is_and_once_it_runs_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.loop.pending_since = 100.0
    stage.look_for(0.8)
    [told] = texts_of(caplog)
    assert told.startswith("the application's event loop is blocked, for 0.6 s so far, in ")
    assert "_look (" in told, "where the thread is when it is looked at"
    assert "watchdog.py:" in told
    stage.look_for(2.2)
    assert len(caplog.records) == 1
    assert stage.loop.heartbeats == 0
    stage.loop.pending_since, stage.loop.drained_at = None, 102.9
    stage.look_for(3.0)
    assert len(caplog.records) == 2
    assert texts_of(caplog)[1].startswith("the application's event loop was blocked for 2.9 s, in ")
    assert texts_of(caplog)[1].endswith("; it runs again")


def test_one_that_never_comes_back_is_told_of_rarely(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.loop.pending_since = 100.0
    stage.look_for(400.0)
    seconds = [float(text.split("for ", 1)[1].split(" s ", 1)[0]) for text in texts_of(caplog)]
    assert seconds == pytest.approx([0.6, 5.0, 30.0, 180.0], abs=1.5 * CHECK_S)
    assert ["still blocked" in text for text in texts_of(caplog)] == [False] + [True] * 3


def test_a_short_delay_is_none(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.block_for(BLOCKED_S - CHECK_S / 2)
    stage.look_for(2.0)
    assert texts_of(caplog) == []


def test_one_that_is_blocked_again_and_again_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for _ in range(60):
        stage.block_for(0.8)
        stage.look_for(0.2)
    told = texts_of(caplog)
    assert ["is blocked" in text for text in told] == [True, False] * 4
    assert all("was blocked for 0.8 s" in text for text in told[1::2])
    counts = [re.search(r", (\d+) times in ([\d.]+) s\. ", text) for text in told[::2]]
    assert counts[0] is None
    assert [int(found[1]) for found in counts if found] == pytest.approx([5, 10, 20], abs=1)
    assert [float(found[2]) for found in counts if found] == pytest.approx([5, 10, 20], abs=1)


def test_a_long_time_is_told_although_short_ones_are_only_counted(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for _ in range(3):
        stage.block_for(0.8)
        stage.look_for(0.2)
    caplog.clear()
    stage.block_for(7.0)
    stage.look_for(0.2)
    told = texts_of(caplog)
    assert len(told) == 2
    assert "is blocked, for 5." in told[0]
    assert "was blocked for 7.0 s" in told[1]


def test_what_was_only_counted_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for _ in range(4):
        stage.block_for(0.8)
        stage.look_for(0.2)
    caplog.clear()
    stage.watchdog.stop()
    [told] = texts_of(caplog)
    assert re.match(r"the application was held up 3 more times in 3 s, in .*_look \(", told)


def test_blocked_again_right_afterwards_is_two_times(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for since in (100.0, 107.0):
        stage.loop.pending_since = since
        stage.look_for(7.0)
        stage.loop.drained_at = stage.now
    stage.loop.pending_since = None
    stage.look_for(10.0)
    told = texts_of(caplog)
    assert ["is blocked" in text for text in told] == [True, False, False] * 2
    assert all("was blocked for 7.0 s" in text for text in told[2::3])


@pytest.mark.parametrize(("stood_s", "words"), [(1.0, 0), (60.0, 1)])
def test_where_this_thread_did_not_run_either_the_loop_is_not_blamed(
    stood_s: float, words: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As after SIGSTOP and SIGCONT, or where a call into C keeps Python's lock."""
    stage = Stage()
    stage.look_for(1.0)
    stage.loop.pending_since = stage.now
    stage.now += stood_s
    stage.look_for(0.4)
    stage.loop.pending_since, stage.loop.drained_at = None, stage.now
    stage.look_for(10.0)
    assert len(texts_of(caplog)) == words
    for text in texts_of(caplog):
        assert text.startswith("nothing of this process ran for 60.0 s")


# By cause: what is counted, and told once it is over.


def test_a_time_of_being_blocked_is_counted_while_it_goes_on_and_told_afterwards() -> None:
    stage = Stage()
    stage.loop.pending_since = 100.0
    stage.look_for(0.4)
    assert stage.blocked_s == {}
    stage.look_for(2.6)
    assert stage.blocked_s == {"other_code": pytest.approx(3.0)}
    assert stage.blocks == []
    stage.loop.pending_since, stage.loop.drained_at = None, 103.1
    stage.look_for(1.0)
    assert stage.blocked_s == {"other_code": pytest.approx(3.1)}
    [block] = stage.blocks
    assert block.cause == "other_code"
    assert block[2:] == pytest.approx((100.0, 3.1))
    assert "_look (" in block.place


def test_one_that_is_over_before_it_was_looked_at_in_time_is_counted_too() -> None:
    stage = Stage()
    stage.loop.pending_since = 100.05
    stage.look_for(0.4)
    stage.loop.pending_since, stage.loop.drained_at = None, 100.58
    stage.look_for(1.0)
    assert stage.blocked_s == {"other_code": pytest.approx(0.53)}
    assert len(stage.blocks) == 1


def test_a_handler_is_the_cause_where_the_thread_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "where_is", lambda frame, files: "the handler slow (bot.py:7)")
    stage = Stage()
    stage.block_for(1.0)
    stage.look_for(1.0)
    assert stage.blocked_s == {"handler": pytest.approx(1.0)}
    [block] = stage.blocks
    assert block[:2] == ("handler", "the handler slow (bot.py:7)")
    assert block[2:] == pytest.approx((100.0, 1.0))


@pytest.mark.parametrize("has_audio", [True, False])
def test_a_garbage_collection_is_no_handlers_fault(has_audio: bool, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(has_audio=has_audio)
    stage.look_for(1.0)
    stage.loop.pending_since = stage.now
    stage.collections = [Collection(stage.now, 3.0, 2)]
    stage.stand_still(3.0, process_s=3.0, thread_s=3.0)
    stage.look_for(0.4)
    stage.loop.pending_since, stage.loop.drained_at = None, stage.now
    stage.look_for(1.0)
    assert stage.blocked_s == {"gc": pytest.approx(3.0)}
    [block] = stage.blocks
    assert block.cause == "gc"
    assert block[2:] == pytest.approx((101.0, 3.0))
    [text] = texts_of(caplog)
    assert text.startswith("a garbage collection of generation 2 took 3.0 s, and nothing of this process ran")
    assert ("audio included" if has_audio else "the audio, in a process of its own, went on") in text


@pytest.mark.parametrize("is_own", [True, False])
def test_a_call_into_c_that_keeps_the_lock_is_told_by_the_cpu_that_it_took(
    is_own: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    stage.look_for(1.0)
    stage.stand_still(1.5, process_s=1.45, thread_s=1.45 if is_own else 0.0)
    stage.look_for(1.0)
    assert stage.blocked_s == {"gil": pytest.approx(1.5)}
    [block] = stage.blocks
    assert block[2:] == pytest.approx((101.0 + CHECK_S, 1.5))
    [text] = texts_of(caplog)
    assert text.startswith(
        "a call into C kept Python's lock for 1.5 s, and nothing else of this process ran, audio"
    )
    assert (ANOTHER_THREAD in text) != is_own
    assert ("_look (" in text) == is_own


def test_a_process_that_was_stopped_did_not_compute(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.look_for(1.0)
    stage.stand_still(5.0, process_s=0.3, thread_s=0.3)
    stage.look_for(1.0)
    assert stage.blocked_s == {"machine": pytest.approx(5.0)}
    assert [block.cause for block in stage.blocks] == ["machine"]
    [text] = texts_of(caplog)
    assert "it had 0.3 s of CPU meanwhile" in text


def test_what_a_process_computed_before_it_was_stopped_is_no_call_into_c() -> None:
    """Between the last look and the stop it went on as usual."""
    stage = Stage()
    for _ in range(10):
        stage.look_for(CHECK_S)
        stage.cpu = Cpu(stage.cpu.process_s + 0.19, stage.cpu.thread_s + 0.19)
    stage.stand_still(1.5)
    stage.look_for(1.0)
    assert stage.blocked_s == {"machine": pytest.approx(1.5)}


def test_one_that_has_little_of_a_busy_machine_computes_all_the_same() -> None:
    stage = Stage()
    stage.look_for(1.0)
    stage.stand_still(1.0, process_s=0.15, thread_s=0.15)
    stage.look_for(1.0)
    assert stage.blocked_s == {"gil": pytest.approx(1.0)}


def test_what_stops_all_again_and_again_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.look_for(1.0)
    for _ in range(100):
        stage.collections = [Collection(stage.now, 1.0, 2)]
        stage.stand_still(1.0, process_s=1.0)
        stage.look_for(0.2)
        stage.stand_still(1.0, process_s=1.0)
        stage.look_for(0.2)
    assert stage.blocked_s == {"gc": pytest.approx(100.0), "gil": pytest.approx(100.0)}
    assert len(texts_of(caplog)) <= 2 * 7


def test_who_looks_again_after_another_matter_blames_nobody() -> None:
    stage = Stage()
    stage.look_for(1.0)
    stage.stand_still(4.0)
    stage.watchdog.pause()
    stage.look_for(1.0)
    assert stage.blocked_s == {}
    assert stage.blocks == []


def test_the_cpu_of_a_thread_is_read_from_beside_it() -> None:
    worked, done = threading.Event(), threading.Event()

    def work() -> None:
        ends_at = time.thread_time() + 0.05
        while time.thread_time() < ends_at:
            pass
        worked.set()
        done.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        read = cpu_clock(thread.ident or 0)
        assert worked.wait(20)
        cpu = read()
        assert cpu.process_s >= 0.05
        assert cpu.thread_s >= 0.05 or not hasattr(time, "pthread_getcpuclockid")
    finally:
        done.set()
        thread.join()
    assert read().thread_s >= 0.0, "also where it has ended"


def test_a_loop_that_was_closed_is_given_up_although_a_wake_up_is_pending_in_it() -> None:
    stage = Stage()
    stage.loop.pending_since = 100.0
    stage.look_for(CHECK_S)
    assert stage.loop.given_up == 0
    stage.loop.is_lost = True
    stage.look_for(CHECK_S)
    assert stage.loop.given_up == 1
    assert stage.loop.heartbeats == 0


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["blocked", "free"]), st.integers(1, 400).map(lambda n: n * CHECK_S)),
        max_size=40,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_log_stays_readable_whatever_the_loop_does(
    steps: list[tuple[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    """Never more than a few lines for a time of being blocked, however long."""
    caplog.clear()
    stage = Stage()
    longest_s, blocked = 0.0, 0
    for what, seconds in steps:
        if what == "blocked":
            stage.block_for(seconds)
            longest_s, blocked = max(longest_s, seconds), blocked + 1
        else:
            stage.look_for(seconds)
    minutes = (stage.now - 100.0) / 60
    assert len(caplog.records) <= 2 + 4 * blocked
    assert len(caplog.records) <= 10 * minutes + 10
    assert bool(caplog.records) == (longest_s > BLOCKED_S)
