# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock
from support.stage import UPGRADE, FakeTransport, Ticks

from audio_connector.simulator.network import (
    BYTES_UNDER_WAY,
    MESSAGES_UNDER_WAY,
    UNREAD_MESSAGES,
    UNSENT_BYTES,
    Lane,
    Network,
)
from audio_connector.wire.transport import Closed, Transport, Upgrade


class Passed:
    """A lane, and what came out of it, when."""

    def __init__(self, *, jitter_s: float = 0.0, seed: int = 0) -> None:
        self.clock = VirtualClock(100.0)
        self.out: list[tuple[float, Any]] = []
        self.arrived: list[float | None] = []
        self.room: list[tuple[float, bool]] = []
        self.lane = Lane(
            self.clock.time,
            Ticks(self.clock).add,
            jitter_s=jitter_s,
            seed=seed,
            on_room=lambda room: self.room.append((self.now_s, room)),
        )

    @property
    def now_s(self) -> float:
        return round(self.clock.now - 100.0, 6)

    def push(self, *items: Any) -> None:
        for item in items:
            self.lane.push((self._pass, (item,)))

    def _pass(self, item: Any) -> None:
        self.out.append((self.now_s, item))
        self.arrived.append(None if self.lane.arrived_at is None else round(self.lane.arrived_at - 100.0, 6))

    def run_until(self, now_s: float) -> None:
        self.clock.run_until(100.0 + now_s)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.out]

    @property
    def items(self) -> list[Any]:
        return [item for _, item in self.out]


def test_a_lane_where_nothing_is_wrong_passes_on_at_once() -> None:
    passed = Passed()
    passed.push(1, 2, 3)
    assert passed.items == [1, 2, 3]
    assert passed.clock.next_timer_at() is None
    assert passed.arrived == [None] * 3


def test_a_held_lane_passes_nothing_and_then_everything() -> None:
    passed = Passed()
    passed.lane.hold_until(101.0)
    passed.push(1)
    passed.run_until(0.5)
    passed.push(2)
    passed.lane.hold_until(100.7)  # the longer one counts
    passed.run_until(0.999)
    assert passed.out == []
    passed.run_until(1.0)
    assert passed.out == [(1.0, 1), (1.0, 2)]
    assert passed.arrived == [0.0, 0.5]
    assert passed.room == [(0.0, False), (1.0, True)]
    passed.push(3)
    assert passed.out[-1] == (1.0, 3)


def test_a_paced_lane_passes_one_per_interval_by_the_clock() -> None:
    passed = Passed()
    passed.lane.pace(0.01)
    passed.push(*range(100))
    passed.run_until(10.0)
    assert passed.times == pytest.approx([0.01 * at for at in range(100)])
    passed.push("late")
    assert passed.out[-1] != (10.0, "late")
    passed.run_until(10.0)
    assert passed.out[-1] == (10.0, "late")


def test_a_paced_lane_takes_few_at_a_time() -> None:
    passed = Passed()
    passed.lane.pace(0.01)
    passed.push(*range(UNREAD_MESSAGES - 1))
    assert passed.room == []
    passed.push(0)
    assert passed.room == [(0.0, False)]
    passed.run_until(0.0)
    assert passed.room == [(0.0, False), (0.0, True)]


def test_a_faster_pace_lets_nothing_wait_for_the_old_one() -> None:
    passed = Passed()
    passed.lane.pace(60.0)
    passed.push(1, 2, 3)
    passed.run_until(1.0)
    passed.lane.pace(0.5)
    passed.run_until(1.6)
    assert passed.out == [(0.0, 1), (1.0, 2), (1.5, 3)]
    passed.lane.pace(0.0)
    passed.push(4)
    assert passed.out[-1] == (1.6, 4)


def test_a_slower_pace_holds_up_what_waits() -> None:
    passed = Passed()
    passed.lane.pace(0.1)
    passed.push(1, 2, 3)
    passed.run_until(0.0)
    passed.lane.pace(1.0)
    passed.run_until(5.0)
    assert passed.times == [0.0, 0.1, 1.1]


def test_jitter_does_not_make_anybody_wait_for_room() -> None:
    passed = Passed(jitter_s=10.0)
    passed.push(*range(MESSAGES_UNDER_WAY - 1))
    assert passed.room == []
    passed.push(1)
    assert passed.room == [(0.0, False)]


@pytest.mark.parametrize(
    "big", [bytes(BYTES_UNDER_WAY // 4), "x" * (BYTES_UNDER_WAY // 4)], ids=["audio", "text"]
)
def test_of_large_messages_fewer_are_under_way(big: bytes | str) -> None:
    passed = Passed(jitter_s=10.0)
    passed.push(*[big] * 3)
    assert passed.room == []
    passed.push(big)
    assert passed.room == [(0.0, False)]
    passed.run_until(10.0)
    assert passed.room[-1][1]
    passed.push(*[big] * 3)
    passed.lane.drop()
    passed.push(*[big] * 3)
    assert [room for _, room in passed.room] == [False, True]


@given(
    gaps_ms=st.lists(st.integers(0, 60), min_size=1, max_size=100),
    jitter_ms=st.integers(1, 500),
    seed=st.integers(0, 1 << 64),
)
def test_jitter_keeps_the_order_and_its_bound_and_is_the_same_again(
    gaps_ms: list[int], jitter_ms: int, seed: int
) -> None:
    def run() -> tuple[list[float], Passed]:
        passed = Passed(jitter_s=jitter_ms / 1000, seed=seed)
        sent_at = []
        for number, gap_ms in enumerate(gaps_ms):
            passed.run_until(passed.now_s + gap_ms / 1000)
            sent_at.append(passed.now_s)
            passed.push(number)
        passed.run_until(passed.now_s + 1.0)
        return sent_at, passed

    sent_at, passed = run()
    assert passed.items == list(range(len(gaps_ms)))
    for sent, came, arrived in zip(sent_at, passed.times, passed.arrived, strict=True):
        assert sent - 1e-6 <= came <= sent + jitter_ms / 1000 + 1e-6
        assert arrived in (None, sent)
    assert run()[1].out == passed.out


ACTIONS = st.one_of(
    st.tuples(st.just("push"), st.just(0.0)),
    st.tuples(st.just("wait"), st.floats(0, 0.3)),
    st.tuples(st.just("hold"), st.floats(0, 0.5)),
    st.tuples(st.just("pace"), st.sampled_from([0.0, 0.01, 0.1, 1.0])),
)


@given(actions=st.lists(ACTIONS, max_size=60), jitter_ms=st.sampled_from([0, 30]))
def test_whatever_is_done_to_a_lane_nothing_is_lost_and_the_order_is_kept(
    actions: Sequence[tuple[str, float]], jitter_ms: int
) -> None:
    passed = Passed(jitter_s=jitter_ms / 1000)
    pushed, held_until = 0, 0.0
    clock = passed.clock
    for action, value in actions:
        if action == "push":
            passed.push(pushed)
            pushed += 1
        elif action == "wait":
            before = len(passed.out)
            clock.run_until(min(clock.now + value, held_until))
            assert len(passed.out) == before or clock.now >= held_until
            clock.run_for(value)
        elif action == "hold":
            held_until = max(held_until, clock.now + value)
            passed.lane.hold_until(held_until)
        else:
            passed.lane.pace(value)
    clock.run_for(200.0)
    assert passed.items == list(range(pushed))
    assert passed.times == sorted(passed.times)
    assert len(passed.lane) == 0
    assert not passed.room or passed.room[-1][1]
    assert passed.clock.next_timer_at() is None


# Both directions.


class Ear:
    """A call that notes what it is told."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.told: list[tuple[float, str, Any]] = []
        self.transport: Transport

    def _note(self, what: str, value: Any) -> None:
        self.told.append((round(self._clock.now - 100.0, 6), what, value))

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        self.transport = transport

    def on_audio(self, payload: bytes) -> None:
        self._note("audio", payload)

    def on_text(self, text: str) -> None:
        self._note("text", text)

    def on_pong(self, payload: bytes) -> None:
        self._note("pong", payload)

    def on_writable(self, writable: bool) -> None:
        self._note("writable", writable)

    def on_closed(self, closed: Closed) -> None:
        self._note("closed", closed.code)


class Line:
    """A network between an ear and a socket."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(100.0)
        self.ear = Ear(self.clock)
        self.socket = FakeTransport(lambda: round(self.clock.now - 100.0, 6))
        self.network = Network(self.ear, clock=self.clock.time, add=Ticks(self.clock).add, **options)
        self.network.on_open(self.socket, UPGRADE)

    def run_until(self, now_s: float) -> None:
        self.clock.run_until(100.0 + now_s)


def test_everything_passes_both_ways_in_order() -> None:
    line = Line()
    transport = line.ear.transport
    transport.send_audio(b"a")
    transport.send_text("b")
    transport.send_ping(b"c")
    transport.write_raw(b"d")
    assert line.socket.sent == [
        (0.0, "audio", b"a"),
        (0.0, "text", "b"),
        (0.0, "ping", b"c"),
        (0.0, "raw", b"d"),
    ]
    line.network.on_audio(b"e")
    line.network.on_text("f")
    line.network.on_pong(b"g")
    line.network.on_writable(False)
    line.network.on_closed(Closed(1000, "", "us"))
    assert [told[1:] for told in line.ear.told] == [
        ("audio", b"e"),
        ("text", "f"),
        ("pong", b"g"),
        ("writable", False),
        ("closed", 1000),
    ]


def test_a_stall_reads_nothing_and_sends_nothing_and_then_all_of_it() -> None:
    line = Line()
    line.network.stall(1.0)
    assert not line.socket.is_reading
    line.network.on_text("was read before")
    line.run_until(0.5)
    line.network.send_audio(b"a")
    line.network.send_text("b")
    line.network.stall(1.0)
    line.run_until(1.499)
    assert (line.socket.sent, line.ear.told, line.socket.is_reading) == ([], [], False)
    line.run_until(1.5)
    assert line.socket.sent == [(1.5, "audio", b"a"), (1.5, "text", "b")]
    assert line.ear.told == [(1.5, "text", "was read before")]
    assert line.socket.reading == [(0.0, False), (1.5, True)]


def test_a_slow_reader_stops_reading_when_a_few_messages_wait() -> None:
    line = Line(read_interval_ms=10.0)
    for number in range(10):
        line.network.on_audio(bytes([number]))
    assert not line.socket.is_reading
    line.run_until(1.0)
    assert [at for at, _, _ in line.ear.told] == pytest.approx([0.01 * at for at in range(10)])
    assert line.socket.reading == [(0.0, False), (pytest.approx(0.06), True)]


def test_of_two_slow_spells_the_later_counts() -> None:
    line = Line()
    line.network.read_slowly(0.1, 1.0)
    line.run_until(0.5)
    line.network.read_slowly(0.2, 2.0)
    line.run_until(1.1)  # the first would have ended
    for _ in range(3):
        line.network.on_audio(b"a")
    line.run_until(2.0)
    assert [at for at, _, _ in line.ear.told] == pytest.approx([1.1, 1.3, 1.5])
    line.run_until(2.6)
    for _ in range(3):
        line.network.on_audio(b"b")
    assert [at for at, _, what in line.ear.told if what == b"b"] == [2.6] * 3


def test_a_slow_spell_without_an_end_lasts() -> None:
    line = Line()
    line.network.read_slowly(0.1, None)
    line.run_until(1000.0)
    line.network.on_audio(b"a")
    line.network.on_audio(b"b")
    line.run_until(1001.0)
    assert [at for at, _, _ in line.ear.told] == pytest.approx([1000.0, 1000.1])


def test_a_message_that_waited_says_when_it_came() -> None:
    line = Line()
    assert line.network.arrived_at == 100.0
    line.network.stall(1.0)
    line.run_until(0.25)
    seen: list[float] = []
    line.ear.on_text = lambda text: seen.append(line.network.arrived_at)  # type: ignore[method-assign]
    line.network.on_text("a")
    line.run_until(2.0)
    assert seen == [100.25]
    assert line.network.arrived_at == 102.0


def test_a_half_open_line_is_dead_until_somebody_looks() -> None:
    line = Line(jitter_ms=50.0)
    line.network.send_audio(b"a")
    line.network.on_text("b")
    line.network.half_open()
    assert (line.network.is_half_open, line.socket.is_reading) == (True, False)
    line.network.send_audio(b"c")
    line.network.send_text("d")
    line.network.on_audio(b"e")
    line.run_until(1.0)
    assert (line.socket.sent, line.ear.told, line.network.write_buffer_bytes) == ([], [], 0)
    line.network.look()
    assert line.socket.is_reading
    line.network.on_audio(b"f")
    line.network.on_closed(Closed(1011, "", "peer"))
    assert line.ear.told == [(1.0, "closed", 1011)]


def test_a_stall_that_ends_does_not_wake_a_half_open_line() -> None:
    line = Line()
    line.network.stall(1.0)
    line.network.half_open()
    line.run_until(2.0)
    assert not line.socket.is_reading


def test_a_close_goes_behind_what_waits_and_then_the_answer_is_read() -> None:
    line = Line(read_interval_ms=1000.0)
    for _ in range(10):
        line.network.on_audio(b"a")
    line.network.stall(1.0)
    line.network.send_text("last")
    line.network.close(1000)
    line.network.close(1001)
    line.network.send_text("too late")
    assert line.network.is_closing
    assert not line.socket.is_reading
    line.run_until(1.0)
    assert line.socket.sent == [(1.0, "text", "last")]
    assert line.socket.ended == "close 1000"
    assert line.socket.is_reading


@pytest.mark.parametrize("end", ["abort", "reset"])
def test_an_abort_does_not_wait(end: str) -> None:
    line = Line()
    line.network.stall(1.0)
    line.network.send_audio(b"a")
    getattr(line.network, end)()
    assert line.socket.ended == end
    assert line.network.write_buffer_bytes == 0
    line.run_until(2.0)
    assert line.socket.sent == []


def test_the_end_hands_over_what_was_read_and_touches_the_socket_no_more() -> None:
    line = Line(read_interval_ms=100.0)
    for number in range(6):
        line.network.on_audio(bytes([number]))
    line.network.on_closed(Closed(1006, "", "network"))
    assert [what for _, what, _ in line.ear.told] == ["audio"] * 6 + ["closed"]
    line.run_until(5.0)
    line.network.stall(1.0)
    line.run_until(9.0)
    assert line.socket.reading == [(0.0, False)]


def test_what_waits_too_long_to_be_sent_makes_the_line_full() -> None:
    line = Line()
    line.network.stall(100.0)
    frame = bytes(65536)
    for _ in range(UNSENT_BYTES // len(frame)):
        line.network.send_audio(frame)
    assert line.network.write_buffer_bytes == UNSENT_BYTES
    assert line.ear.told == []
    line.network.send_audio(frame)
    assert line.ear.told == [(0.0, "writable", False)]
    line.network.on_writable(False)
    line.run_until(100.0)
    assert len(line.socket.sent) == UNSENT_BYTES // len(frame) + 1
    assert line.ear.told == [(0.0, "writable", False)]
    line.network.on_writable(True)
    assert line.ear.told[1:] == [(100.0, "writable", True)]


def test_nothing_is_sent_on_a_socket_that_closes_meanwhile() -> None:
    line = Line()
    line.network.stall(1.0)
    line.network.send_audio(b"a")
    line.socket.is_closing = True
    line.run_until(2.0)
    assert line.socket.sent == []
    assert line.network.is_closing


def test_an_answer_inside_a_callback_keeps_its_place() -> None:
    """As a clear, which is answered while it is being passed on."""
    line = Line()

    def answer(text: str) -> None:
        line.ear.told.append((0.0, "text", text))
        line.network.send_text(f"re {text}")
        if text == "1":
            line.network.on_text("3")  # from the socket, at the same moment

    line.ear.on_text = answer  # type: ignore[method-assign]
    line.network.stall(1.0)
    for number in range(3):
        line.network.on_text(str(number))
    line.run_until(2.0)
    assert [text for _, _, text in line.ear.told] == ["0", "1", "2", "3"]
    assert [text for _, _, text in line.socket.sent] == ["re 0", "re 1", "re 2", "re 3"]


def test_a_tick_that_is_no_longer_needed_is_not_asked_again() -> None:
    passed = Passed()
    passed.lane.pace(60.0)
    passed.push(1, 2)
    passed.run_until(1.0)
    passed.lane.pace(0.02)  # the tick at 60 s is late now
    passed.push(*range(4000))
    passed.run_until(61.0)
    before = passed.clock.fired
    passed.run_until(71.0)
    assert passed.clock.fired - before <= 501


def test_it_can_be_disowned_and_knows_who_has_closed_it() -> None:
    line = Line()
    line.network.disown()
    line.network.on_audio(b"a")
    line.socket.closed_by = "peer"
    assert line.network.closed_by == "peer"
    assert line.ear.told == []
