# SPDX-License-Identifier: Apache-2.0
"""What is taped of a call: everything that was heard, both ways, with its time, and nothing without bound."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.call import VirtualCall, lasting_call
from support.recordings import TOKEN, stop, tape, taped

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks
from audio_connector.call.asks import TELL_S
from audio_connector.call.tape import EVENTS, MESSAGES_PER_S, PIECE_BYTES, Tape
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.wire.messages import MediaUpdate, Notified

FRAME = numbered(7, 640)
FORMAT = AudioFormat(16000)


def names(call: VirtualCall) -> list[str]:
    return [event.name for piece in taped(call) for event in piece.events]


def heard_of(call: VirtualCall) -> list[tuple[float, bytes]]:
    return [(start, frame) for piece in taped(call) for start, _, frame in piece.heard]


def test_a_call_without_a_recorder_tapes_nothing() -> None:
    call = VirtualCall()
    call.say(FRAME * 10)
    call.router_sends(FRAME)
    call.ask(asks.TakeTape(TOKEN, is_last=False))
    call.ask(asks.TapeMore(TOKEN))
    call.run_for(2.0)
    assert call.link._tapes is None
    assert taped(call) == []


def test_the_caller_is_taped_when_it_arrives_although_nobody_takes_it() -> None:
    call = VirtualCall()
    tape(call)
    call.run_for(0.1)
    call.router_sends(FRAME)
    call.run_for(0.05)
    call.router_sends(FRAME[:100])
    call.run_for(TELL_S)
    [piece] = taped(call)
    assert [(round(at - call.start, 6), len(pcm)) for at, pcm in piece.came] == [(0.1, 640), (0.15, 100)]
    assert piece.is_complete
    assert not piece.is_last


def test_ours_is_taped_once_it_was_heard() -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    call.run_for(0.3)
    call.say(FRAME * 50)
    call.run_until(0.7)
    by_then = len(heard_of(call))
    call.run_until(2.0)
    assert by_then < 50
    assert [round(start - call.start, 6) for start, _ in heard_of(call)] == [
        pytest.approx(0.3 + 0.02 * k) for k in range(50)
    ]
    assert [first for piece in taped(call) for _, first, _ in piece.heard] == [True] + [False] * 49


class Talker:
    """Does to a call what its methods are called, each for so many seconds; every frame has a number of its own."""

    def __init__(self, call: VirtualCall) -> None:
        self.call = call
        self.flushes: list[float] = []
        self._lane = 0
        self._number = 1

    def do(self, steps: list[tuple[str, float]]) -> None:
        for what, seconds in steps:
            getattr(self, what)(seconds)
            self.call.run_for(seconds)
        self.go_on(0.0)
        self.call.run_for(20.0)

    def say(self, seconds: float) -> None:
        self._lane = self.call.say(self._pcm(seconds)).lane

    def write(self, seconds: float) -> None:
        self.call.write(self._pcm(seconds))

    def flush(self, _: float) -> None:
        self.flushes.append(self.call.clock.now)
        self.call.flush()

    def pause(self, _: float) -> None:
        self.call.ask(asks.PauseSpeech(self._lane, 9001))

    def go_on(self, _: float) -> None:
        self.call.ask(asks.ResumeSpeech(self._lane))

    def wait(self, _: float) -> None:
        pass

    def lose(self, seconds: float) -> None:
        self.call.lose(seconds / 20)
        self.call.dial()

    def take(self, _: float) -> None:
        self.call.ask(asks.TapeMore(3))

    def _pcm(self, seconds: float) -> bytes:
        first, count = self._number, max(1, int(seconds * 50))
        self._number += count
        return b"".join(numbered(first + k, 640) for k in range(count))


def steps_of(*more: str) -> st.SearchStrategy[list[tuple[str, float]]]:
    names = ("say", "write", "flush", "pause", "go_on", "wait", *more)
    return st.lists(st.tuples(st.sampled_from(names), st.floats(0.001, 1.5)), min_size=1, max_size=25)


@given(
    steps=steps_of(),
    prime_ms=st.sampled_from((0, 100)),
    fade_ms=st.sampled_from((0, 10)),
    has_background=st.booleans(),
)
def test_it_is_what_a_router_plays_and_when(
    steps: list[tuple[str, float]], prime_ms: int, fade_ms: int, has_background: bool
) -> None:
    """The simulated router is the judge, which knows nothing of our clock; a frame that is cut may be missing."""
    call = VirtualCall(playback={"prime_ms": prime_ms, "fade_ms": fade_ms})
    played: list[tuple[float, bytes]] = []
    call.router.playout = PlayoutBuffer(FORMAT, on_play=lambda frame, at: played.append((at, frame)))
    tape(call)
    if has_background:
        call.ask(asks.AddBackground(9000, 9000, bytes(64_000), 16000, 0.0, 0.0, True))
    talker = Talker(call)
    talker.do(steps)
    call.ask(asks.StopBackground(9000, 9002, 0.0))
    call.run_for(20.0)
    call.router.playout.advance(call.clock.now)
    stop(call)
    at_clears = [
        (at, frame)
        for at, frame in played
        if any(at - 1e-6 <= flush < at + 0.02 - 1e-6 for flush in talker.flushes)
    ]
    heard = heard_of(call)
    missing = [frame for _, frame in at_clears if frame not in [each for _, each in heard]]
    expected = [(at, frame) for at, frame in played if frame not in missing]
    assert numbers_of(frame for _, frame in heard) == numbers_of(frame for _, frame in expected)
    assert [at for at, _ in heard] == pytest.approx([at for at, _ in expected], abs=1e-6)


@given(
    steps=steps_of("lose", "lose", "take"),
    lead_ms=st.sampled_from((40, 200, 1000)),
    has_background=st.booleans(),
)
def test_batches_tell_once_what_a_flight_record_has(
    steps: list[tuple[str, float]], lead_ms: int, has_background: bool
) -> None:
    call = lasting_call(playback={"lead_ms": lead_ms, "fade_ms": 0})
    tape(call, keep_s=1000.0)
    tape(call, keep_s=1000.0, batches=None, token=2)
    tape(call, keep_s=0.5, batches=1, token=3)
    if has_background:
        call.ask(asks.AddBackground(9000, 9000, bytes(64_000), 16000, 0.0, 0.0, True))
    Talker(call).do(steps)
    told = [each for piece in stop(call) for each in piece.heard]
    kept = [each for piece in stop(call, 2) for each in piece.heard]
    bounded = stop(call, 3)
    numbers = [number for number in numbers_of(frame for _, _, frame in told) if number]
    assert len(numbers) == len(set(numbers))
    assert [each[1:] for each in told] == [each[1:] for each in kept]
    starts = [start for start, _, _ in told]
    assert starts == sorted(starts)
    assert starts == pytest.approx([start for start, _, _ in kept], abs=1e-6)
    in_all = sum(len(piece.heard) * 20 + piece.lost_ms for piece in bounded)
    assert in_all == pytest.approx(len(told) * 20)


def test_a_flush_cuts_it_to_what_is_told_as_played() -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    speech = call.say(FRAME * 200)
    call.run_for(0.513)
    flushed = call.flush()
    call.run_for(3.0)
    assert len(heard_of(call)) * 20 == flushed.played_ms == 500
    assert speech.outcome is not None
    assert "flush" in names(call)


def test_a_corrected_clock_moves_what_was_not_heard_yet() -> None:
    call = VirtualCall(playback={"prime_ms": 0, "lead_ms": 400})
    tape(call)
    call.say(FRAME * 25)
    call.send_text('{"action":"notify","payload":1}')
    call.run_for(0.5)
    # 25 frames were sent when it was asked, as far as the lead goes: 20 of them, 0.4 s. They end 60 ms late.
    asked_at = call.machine._notifies._sent[0][1]
    call.run_until(asked_at * 0.02 + 0.06)
    call.router_says(Notified(payload=1))
    call.run_for(3.0)
    starts = [round(start - call.start, 3) for start, _ in heard_of(call)]
    steps = [round(b - a, 3) for a, b in itertools.pairwise(starts)]
    assert len(starts) == 25
    assert sorted(set(steps)) in ([0.02, 0.08], [0.02])
    assert starts[-1] <= 24 * 0.02 + 0.06 + 1e-6


def test_the_end_of_the_call_cuts_and_ends_it() -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    call.say(FRAME * 100)
    call.run_for(0.305)
    call.router_socket.reset()
    call.run_for(0.0)
    last = taped(call)[-1]
    assert last.is_last
    assert last.is_complete
    assert len(heard_of(call)) == 15
    assert names(call)[-1] == "closed"
    order = [type(tell).__name__ for tell in call.told.at_once]
    assert order.index("Ended") > len(order) - 1 - order[::-1].index("Taped")


def test_it_goes_on_where_the_router_dials_again() -> None:
    call = lasting_call(playback={"prime_ms": 0})
    tape(call)
    call.router_sends(FRAME)
    call.lose(1.0)
    call.dial()
    call.router_sends(FRAME)
    call.run_for(1.0)
    assert [round(at - call.start, 3) for piece in taped(call) for at, _ in piece.came] == [0.0, 1.0]
    assert {"broke off", "dialled again"} <= set(names(call))


def test_another_application_gets_nothing_of_it() -> None:
    call = VirtualCall(is_movable=True)
    tape(call)
    call.link.release()
    assert taped(call)[-1].is_last
    tape(call)
    call.link.hand_over("another", call.told.post, call.told.note)
    call.run_for(2.0)
    assert sum(piece.is_last for piece in taped(call)) == 1
    assert call.link._tapes is None


def test_who_takes_no_more_loses_the_oldest_and_is_told_how_much() -> None:
    call = VirtualCall()
    tape(call, keep_s=2.0, batches=1)
    for _ in range(250):
        call.router_sends(FRAME)
        call.run_for(0.02)
    assert len(taped(call)) == 1
    call.ask(asks.TapeMore(TOKEN))
    call.run_for(0.01)
    [first, second] = taped(call)
    assert second.lost_ms == pytest.approx(5000 - 500 - 2000, abs=60)
    assert len(first.came) + len(second.came) + second.lost_ms / 20 == pytest.approx(250, abs=2)
    stop(call)
    assert taped(call)[-1].lost_ms == 0


def test_a_flight_record_is_the_last_seconds_as_often_as_one_asks() -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call, keep_s=1.0, batches=None)
    for second in (3.0, 4.0):
        while call.now_s < second - 1e-6:
            call.router_sends(FRAME)
            call.write(FRAME)
            call.run_for(0.02)
        call.ask(asks.TakeTape(TOKEN, is_last=False))
        record = taped(call)[-1]
        assert record.lost_ms == 0
        assert record.at - record.since == pytest.approx(1.0)
        assert len(record.came) == pytest.approx(50, abs=1)
        assert len(record.heard) == pytest.approx(50, abs=2)


def test_a_flight_record_has_nothing_from_before_it_begins() -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call, keep_s=1.0, batches=None)
    call.say(FRAME * 10)
    call.send_text("{}")
    for _ in range(10):
        call.router_sends(FRAME)
        call.run_for(0.02)
    call.run_for(30.0)  # in which nobody says anything
    call.ask(asks.TakeTape(TOKEN, is_last=False))
    [record] = taped(call)
    assert (record.came, record.heard, record.events) == ((), (), ())
    assert record.since == pytest.approx(call.clock.now - 1.0)


@pytest.mark.parametrize(("how", "is_told"), [("reset", True), ("close", False)])
def test_at_an_end_that_somebody_wanted_a_flight_record_stays_where_it_is(how: str, is_told: bool) -> None:
    call = VirtualCall()
    tape(call, batches=None)
    call.router_sends(FRAME)
    if how == "reset":
        call.router_socket.reset()
    else:
        call.router_socket.close(1000)
    call.run_for(3.0)
    [last] = taped(call)
    assert last.is_last
    assert bool(last.came) == bool(last.events) == is_told


def test_underruns_texts_errors_and_states_are_noted() -> None:
    call = VirtualCall(playback={"prime_ms": 0}, intake={"max_buffer_ms": 20})
    call.want()
    tape(call)
    call.write(FRAME * 5)
    call.run_for(0.2)
    call.write(FRAME * 5)
    call.run_for(0.2)
    call.router_says(MediaUpdate(active=False))
    call.send_text('{"event":"mine"}')
    call.send_text('{"a":1}')
    for _ in range(40):
        call.router_sends(FRAME)
    call.router_socket.pause_reading()
    call.run_for(1.0)
    expected = ["underrun", "websocket:media:update", "mine", "text", "IntakeOverflow"]
    assert [name for name in names(call) if name in expected] == expected
    [underrun] = [event for piece in taped(call) for event in piece.events if event.name == "underrun"]
    assert underrun.for_s == pytest.approx(0.1)
    assert underrun.at_s - call.start == pytest.approx(0.1)


def test_two_recorders_do_not_know_each_other() -> None:
    call = VirtualCall()
    tape(call)
    call.router_sends(FRAME)
    tape(call, token=5)
    call.router_sends(FRAME)
    stop(call, 5)
    call.router_sends(FRAME)
    stop(call)
    assert [len(piece.came) for piece in taped(call, 5)] == [1]
    assert sum(len(piece.came) for piece in taped(call)) == 3


def came(payloads: list[bytes], *, keep_s: float = 10.0) -> list[Any]:
    one = Tape(1, keep_s, None, 0.0)
    for payload in payloads:
        one.hear(payload, 1.0)
    return one.take(FORMAT, 1.0)


def test_a_flood_is_bounded_in_bytes_and_in_messages() -> None:
    many = came([b"ab"] * 50_000, keep_s=2.0)
    assert sum(len(piece.came) for piece in many) == 2 * MESSAGES_PER_S
    large = came([bytes(1 << 16)] * 100, keep_s=1.0)
    assert sum(len(payload) for piece in large for _, payload in piece.came) <= 96_000


def test_what_is_long_is_told_in_pieces() -> None:
    pieces = came([bytes(640)] * 1000)
    assert [piece.is_complete for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(sum(len(payload) for _, payload in piece.came) <= PIECE_BYTES for piece in pieces)
    assert sum(len(piece.came) for piece in pieces) == 1000
    assert len(came([bytes(1 << 20)])) == 1


def test_events_are_bounded_and_cut() -> None:
    one = Tape(1, 10.0, None, 0.0)
    for number in range(EVENTS + 5):
        one.note(1.0, "router", "x" * 5000, str(number) * 5000)
    [piece] = one.take(FORMAT, 1.0)
    assert len(piece.events) == EVENTS
    assert max(len(event.name) + len(event.detail) for event in piece.events) == 600


def test_early_and_late_and_twice_is_legal() -> None:
    one = Tape(1, 10.0, 2, 0.0)
    assert one.wake(FORMAT, 0.1) == []
    assert len(one.wake(FORMAT, 7.0)) == 1
    assert one.wake(FORMAT, 7.0) == []
    assert len(one.wake(FORMAT, 9.0)) == 1
    assert one.next_deadline() == math.inf
    one.grant()
    assert one.next_deadline() == 9.0 + TELL_S


def test_one_from_the_start_has_what_came_before_anybody_wanted_audio() -> None:
    call = VirtualCall()
    for _ in range(10):
        call.run_for(0.02)
        call.router_sends(FRAME)
    call.run_for(0.5)
    tape(call, is_from_start=True)
    tape(call, token=6)
    call.want(credit=100)
    tape(call, token=5, is_from_start=True)
    early, late = stop(call)[-1], stop(call, 5)[-1]
    assert stop(call, 6)[-1].came == ()
    assert [round(at - call.start, 6) for at, _ in early.came] == [
        pytest.approx(0.02 * k) for k in range(1, 11)
    ]
    assert early.since == pytest.approx(call.start)
    assert late.came == ()
    assert late.since == pytest.approx(call.start + 0.7)


def test_what_the_next_router_is_sent_cuts_what_the_lost_one_was_still_to_play() -> None:
    call = lasting_call(playback={"prime_ms": 0, "lead_ms": 1000})
    tape(call)
    call.say(b"".join(numbered(k, 640) for k in range(1, 101)))
    call.lose(0.1)
    call.dial()
    call.run_for(5.0)
    heard = heard_of(call)
    numbers = numbers_of(frame for _, frame in heard)
    assert numbers == [*range(1, 6), *range(52, 101)]  # 51 were sent
    assert [at for at, _ in heard] == pytest.approx([call.start + 0.02 * k for k in range(len(heard))])


def test_a_run_of_which_nothing_was_sent_is_no_corrected_clock() -> None:
    call = VirtualCall(playback={"prime_ms": 0, "lead_ms": 40})
    tape(call)
    call.ask(asks.AddBackground(9000, 9000, numbered(300, 640), 16000, 1.0, 1.0, True))
    speech = call.say(FRAME * 10)  # behind 80 ms of the background, so none of it is sent yet
    call.ask(asks.PauseSpeech(speech.lane, 9001))
    call.run_for(0.094)
    call.ask(asks.ResumeSpeech(speech.lane))
    call.run_for(2.0)
    starts = [at for at, _ in heard_of(call)]
    assert starts == pytest.approx([call.start + 0.02 * k for k in range(len(starts))])
