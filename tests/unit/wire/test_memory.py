# SPDX-License-Identifier: Apache-2.0
"""The socket in memory keeps the rules of the port, in trouble too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock
from support.receivers import Notes

from audio_connector.wire.memory import UPGRADE, MemoryTransport, connect
from audio_connector.wire.transport import Closed, Nobody, Transport, Upgrade, WireLimits


class Acting(Notes):
    """Does what it is told to do when a message comes."""

    def __init__(self) -> None:
        super().__init__()
        self.on_message: Callable[[object], None] = lambda message: None

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        super().on_open(transport, upgrade)
        self.told.append("open")

    def on_audio(self, payload: bytes) -> None:
        super().on_audio(payload)
        self.on_message(payload)

    def on_text(self, text: str) -> None:
        super().on_text(text)
        self.on_message(text)


class Pair:
    def __init__(self, *, kernel_bytes: int = 0, high_bytes: int = 1000, latency_s: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.ours, self.theirs = Acting(), Acting()
        self.us = MemoryTransport(
            self.ours,
            call_later=self.clock.call_later,
            kernel_bytes=kernel_bytes,
            high_bytes=high_bytes,
            close_timeout_s=2.0,
            latency_s=latency_s,
        )
        self.them = MemoryTransport(self.theirs, call_later=self.clock.call_later, latency_s=latency_s)
        connect(self.us, self.them)

    def run_for(self, seconds: float = 0.0) -> None:
        self.clock.run_for(seconds)


def test_what_is_sent_arrives_in_order_and_never_inside_the_call() -> None:
    pair = Pair()
    pair.us.send_audio(b"1")
    pair.us.send_text("2")
    pair.us.send_audio(b"3")
    assert pair.theirs.told == ["open"]
    pair.run_for()
    assert pair.theirs.told == ["open", b"1", "2", b"3"]
    assert pair.ours.told == ["open"]
    assert pair.us.write_buffer_bytes == 0


def test_both_directions_at_once() -> None:
    pair = Pair()
    pair.theirs.on_message = lambda message: pair.them.send_text(f"got {message!r}")
    for number in range(3):
        pair.us.send_text(str(number))
    pair.run_for()
    assert pair.ours.told == ["open", "got '0'", "got '1'", "got '2'"]


def test_what_is_sent_before_the_other_end_is_open_arrives_after() -> None:
    clock = VirtualClock()
    early, late = Acting(), Acting()
    us = MemoryTransport(early, call_later=clock.call_later)
    them = MemoryTransport(late, call_later=clock.call_later)
    us.send_text("early")
    clock.run_for(1.0)
    connect(us, them)
    clock.run_for(0.0)
    assert late.told == ["open", "early"]


def test_a_ping_is_answered_behind_what_was_not_read() -> None:
    pair = Pair()
    pair.them.pause_reading()
    pair.us.send_audio(b"1")
    pair.us.send_ping(b"x")
    pair.run_for(10.0)
    assert pair.ours.told == ["open"]
    pair.them.resume_reading()
    pair.run_for()
    assert pair.ours.told == ["open", ("pong", b"x")]
    assert pair.theirs.told == ["open", b"1"]


def test_pings_may_stay_unanswered() -> None:
    pair = Pair()
    pair.them.answers_pings = False
    pair.us.send_ping()
    pair.run_for(10.0)
    assert pair.ours.told == ["open"]


# Reading, and not.


def test_an_end_that_is_held_reads_nothing_and_fills_the_write_buffer() -> None:
    pair = Pair(high_bytes=1000)
    pair.them.pause_reading()
    assert pair.them.is_reading_paused
    for _ in range(10):
        pair.us.send_audio(bytes(100))
    assert pair.ours.told == ["open"]
    pair.us.send_audio(bytes(100))
    assert pair.ours.told == ["open", False]
    pair.us.send_audio(bytes(100))
    pair.run_for(10.0)
    assert pair.us.write_buffer_bytes == 1200
    assert pair.theirs.told == ["open"]
    pair.them.resume_reading()
    pair.run_for()
    assert pair.ours.told == ["open", False, True]
    assert len(pair.theirs.told) == 13
    assert not pair.them.is_reading_paused


def test_the_kernel_takes_some_before_the_write_buffer_fills() -> None:
    pair = Pair(kernel_bytes=5000, high_bytes=1000)
    pair.them.pause_reading()
    for _ in range(60):
        pair.us.send_audio(bytes(100))
    assert pair.us.write_buffer_bytes == 1000
    assert pair.ours.told == ["open"]
    pair.us.send_audio(bytes(1))
    assert pair.ours.told == ["open", False]


def test_a_slow_end_reads_one_message_at_a_time() -> None:
    pair = Pair(high_bytes=1000)
    pair.them.slow(0.01)
    for _ in range(20):
        pair.us.send_audio(bytes(100))
    pair.run_for(0.101)
    assert len(pair.theirs.told) == 1 + 10
    assert pair.ours.told == ["open", False]
    pair.run_for(0.08)
    assert pair.us.write_buffer_bytes == 200
    assert pair.ours.told == ["open", False, True], "true again at a quarter of the mark"
    pair.them.slow(0.0)
    pair.run_for(0.02)
    assert len(pair.theirs.told) == 1 + 20


def test_an_end_may_hold_itself_while_it_reads() -> None:
    pair = Pair()
    pair.theirs.on_message = lambda message: pair.them.pause_reading()
    pair.us.send_text("1")
    pair.us.send_text("2")
    pair.run_for(1.0)
    assert pair.theirs.told == ["open", "1"]
    pair.them.resume_reading()
    pair.run_for(1.0)
    assert pair.theirs.told == ["open", "1", "2"]


# What is under way.


def test_what_is_sent_arrives_after_the_latency_in_order() -> None:
    pair = Pair(latency_s=0.005)
    pair.us.send_text("1")
    pair.run_for(0.004)
    pair.us.send_text("2")
    pair.us.send_audio(b"3")
    assert pair.theirs.told == ["open"]
    pair.run_for(0.0011)
    assert pair.theirs.told == ["open", "1"]
    pair.run_for(0.004)
    assert pair.theirs.told == ["open", "1", "2", b"3"]
    assert pair.us.write_buffer_bytes == 0


def test_an_answer_comes_after_both_ways() -> None:
    pair = Pair(latency_s=0.005)
    pair.us.send_ping(b"x")
    pair.run_for(0.0099)
    assert pair.ours.told == ["open"]
    pair.run_for(0.0002)
    assert pair.ours.told == ["open", ("pong", b"x")]


def test_what_has_arrived_is_read_when_reading_goes_on_and_what_has_not_later() -> None:
    pair = Pair(latency_s=0.005)
    pair.them.pause_reading()
    pair.us.send_text("1")
    pair.run_for(0.006)
    pair.us.send_text("2")
    pair.them.resume_reading()
    pair.run_for(0.001)
    assert pair.theirs.told == ["open", "1"]
    pair.run_for(0.005)
    assert pair.theirs.told == ["open", "1", "2"]


def test_what_is_under_way_fills_the_write_buffer() -> None:
    pair = Pair(latency_s=0.005, high_bytes=100)
    pair.us.send_audio(bytes(101))
    assert pair.ours.told == ["open", False]
    pair.run_for(0.006)
    assert pair.ours.told == ["open", False, True]


def test_a_close_takes_its_time_and_a_break_is_noticed_later_at_the_other_end() -> None:
    pair = Pair(latency_s=0.005)
    pair.us.send_text("last")
    pair.us.close(3000, "bye")
    pair.run_for(0.006)
    assert pair.theirs.told == ["open", "last"]
    pair.run_for(0.005)
    assert pair.ours.told == ["open", Closed(3000, "bye", closed_by="us")]
    pair.run_for(0.005)
    assert pair.theirs.told == ["open", "last", Closed(3000, "bye", closed_by="peer")]
    assert pair.clock.next_timer_at() is None

    pair = Pair(latency_s=0.005)
    pair.us.send_text("lost")
    pair.us.abort()
    pair.run_for(0.001)
    assert (len(pair.ours.told), len(pair.theirs.told)) == (2, 1)
    pair.run_for(0.005)
    assert pair.theirs.told == ["open", Closed(1006, "", closed_by="network")]


# The end.


def test_a_close_is_answered_and_both_are_told_who_it_was() -> None:
    pair = Pair()
    pair.us.send_text("last")
    pair.us.close(3000, "bye")
    assert pair.us.is_closing
    assert not pair.them.is_closing
    pair.run_for()
    assert pair.ours.told == ["open", Closed(3000, "bye", closed_by="us")]
    assert pair.theirs.told == ["open", "last", Closed(3000, "bye", closed_by="peer")]
    assert pair.clock.next_timer_at() is None


def test_after_our_close_nothing_is_sent_nor_delivered() -> None:
    pair = Pair()
    pair.them.send_text("on its way")
    pair.us.close()
    pair.us.send_audio(b"late")
    pair.us.send_text("late")
    pair.us.send_ping()
    pair.us.close(3001, "the first call counts")
    pair.run_for(5.0)
    assert pair.ours.told == ["open", Closed(1000, "", closed_by="us")]
    assert pair.theirs.told == ["open", Closed(1000, "", closed_by="peer")]


def test_both_may_close_at_once() -> None:
    pair = Pair()
    pair.us.close(3001, "a")
    pair.them.close(3002, "b")
    pair.run_for(5.0)
    assert pair.ours.told == ["open", Closed(3001, "a", closed_by="us")]
    assert pair.theirs.told == ["open", Closed(3002, "b", closed_by="us")]


def test_an_answer_that_does_not_come_is_waited_for_a_bounded_time() -> None:
    pair = Pair()
    pair.them.pause_reading()
    pair.us.close(1001, "stop")
    pair.run_for(1.99)
    assert pair.ours.told == ["open"]
    pair.run_for(0.02)
    assert pair.ours.told == ["open", Closed(1001, "stop", closed_by="us")]
    assert pair.theirs.told == ["open", Closed(1006, "", closed_by="network")]


def test_bytes_outside_any_frame_are_a_fault_behind_what_was_sent_before() -> None:
    pair = Pair()
    pair.us.send_text("last")
    pair.us.write_raw(b"\xff\xff")
    pair.us.send_text("too late")
    pair.run_for()
    assert pair.theirs.told == ["open", "last", Closed(1002, "not a frame", closed_by="us")]
    assert pair.ours.told == ["open", Closed(1002, "not a frame", closed_by="peer")]


def test_pausing_and_resuming_twice_is_once() -> None:
    pair = Pair()
    pair.them.pause_reading()
    pair.them.pause_reading()
    pair.us.send_text("1")
    pair.run_for(1.0)
    pair.them.resume_reading()
    pair.them.resume_reading()
    pair.run_for(1.0)
    assert pair.theirs.told == ["open", "1"]


@pytest.mark.parametrize("how", ["reset", "abort"])
def test_a_break_is_no_close(how: str) -> None:
    pair = Pair()
    pair.us.send_text("lost")
    getattr(pair.us, how)()
    assert pair.us.is_closing
    assert pair.them.is_closing
    pair.us.send_text("late")
    pair.us.close()
    pair.us.abort()
    pair.run_for(5.0)
    broken = Closed(1006, "", closed_by="network")
    assert pair.ours.told == pair.theirs.told == ["open", broken]


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 2999, 5000])
def test_a_close_code_that_is_never_sent_is_a_fault(code: int) -> None:
    pair = Pair()
    pair.them.close(code)
    pair.run_for()
    assert pair.ours.told == ["open", Closed(1002, f"close code {code} is never sent", closed_by="us")]


@pytest.mark.parametrize(("size", "kind"), [(101, "audio"), (51, "text")])
def test_a_message_over_the_limit_is_closed(size: int, kind: str) -> None:
    clock = VirtualClock()
    ours, theirs = Acting(), Acting()
    limits = WireLimits(max_message_bytes=100, max_text_bytes=50)
    us = MemoryTransport(ours, call_later=clock.call_later, limits=limits)
    them = MemoryTransport(theirs, call_later=clock.call_later)
    connect(us, them)
    for length in (size - 1, size):
        if kind == "audio":
            them.send_audio(bytes(length))
        else:
            them.send_text("x" * length)
    clock.run_for(0.0)
    reason = "message too big" if kind == "audio" else "text too big"
    assert [type(told) for told in ours.told] == [str, bytes if kind == "audio" else str, Closed]
    assert ours.told[-1] == Closed(1009, reason, closed_by="us")


STEPS = (
    "send",
    "text",
    "ping",
    "raw",
    "close",
    "wait",
    "slow",
    "abort",
    "reset",
    "pause_reading",
    "resume_reading",
)


@given(
    steps=st.lists(
        st.sampled_from(STEPS),
        max_size=40,
    ),
    ends=st.lists(st.booleans(), min_size=40, max_size=40),
    latency_s=st.sampled_from([0.0, 0.005, 0.3]),
)
def test_the_first_is_open_and_the_last_is_closed_whatever_happens(
    steps: list[str], ends: list[bool], latency_s: float
) -> None:
    pair = Pair(high_bytes=50, latency_s=latency_s)
    for step, is_ours in zip(steps, ends, strict=False):
        end = pair.us if is_ours else pair.them
        if step == "send":
            end.send_audio(bytes(30))
        elif step == "text":
            end.send_text("text")
        elif step == "ping":
            end.send_ping()
        elif step == "raw":
            end.write_raw(b"raw")
        elif step == "slow":
            end.slow(0.1)
        elif step == "wait":
            pair.run_for(0.25)
        elif step == "close":
            end.close()
        else:
            getattr(end, step)()
    pair.run_for(1.0)
    pair.us.abort()
    pair.run_for(10.0)
    for notes in (pair.ours, pair.theirs):
        assert notes.told[0] == "open"
        assert [isinstance(told, Closed) for told in notes.told].count(True) == 1
        assert isinstance(notes.told[-1], Closed)
        writable = [told for told in notes.told if isinstance(told, bool)]
        assert writable == [turn % 2 == 1 for turn in range(len(writable))]
    assert pair.us.write_buffer_bytes == pair.them.write_buffer_bytes == 0


def test_an_end_that_was_disowned_tells_nothing_more() -> None:
    pair = Pair()
    pair.us.disown()
    pair.them.send_audio(b"1")
    pair.them.send_text("2")
    pair.them.send_ping()
    pair.them.pause_reading()
    pair.us.send_audio(bytes(2000))  # the write buffer fills up
    pair.us.send_ping()
    pair.run_for()
    pair.them.resume_reading()
    pair.run_for()
    pair.us.abort()
    pair.run_for()
    assert pair.ours.told == ["open"]
    assert pair.theirs.told[-1] == Closed(1006, "", "network")
    Nobody().on_open(pair.us, UPGRADE)


def test_who_has_sent_the_first_close_frame_is_known_at_once() -> None:
    pair = Pair()
    assert pair.us.closed_by == "network"
    pair.us.close()
    assert (pair.us.closed_by, pair.them.closed_by) == ("us", "network")
    pair.run_for()
    assert (pair.us.closed_by, pair.them.closed_by) == ("us", "peer")
