# SPDX-License-Identifier: Apache-2.0
"""A call over more than one connection, or over one that is not there any more."""

from __future__ import annotations

from support.stage import FRAME, Stage, about

from audio_connector.simulator.script import Impairments, Step
from audio_connector.wire.codec import CLEAR_FORMS

CLEAR = CLEAR_FORMS["action"]


def letters(text: str) -> tuple[bytes, ...]:
    return tuple(letter.encode() * 640 for letter in text)


def test_a_reconnect_goes_on_where_the_clock_is() -> None:
    stage = Stage(letters("abcdefghij"), tail_s=0.1, steps=[Step(at_s=0.04, reconnect_s=0.1)]).open()
    stage.run_until(0.05)
    assert (stage.said, stage.transport.ended) == ("ab", "reset")
    assert stage.live.redial_after_s == 0.1
    stage.close()
    assert not stage.live.is_open
    stage.run_until(0.155)
    stage.open()
    assert stage.live.redial_after_s is None
    stage.run_until(1.0)
    assert stage.said == "hij\0\0\0\0\0"
    assert stage.transport.names == ["connected", "disconnected"]
    stage.close(1000, "", "us")
    report = stage.report
    assert (report.reconnects, report.frames_sent, report.events_sent) == (
        1,
        10,
        ("Connected", "Connected", "Disconnected"),
    )
    assert stage.noted("connected again") == [(0.155, "ws://127.0.0.1:1/")]
    assert report.is_clean
    assert len(stage.spoken) == 15


def test_a_reconnect_at_once_does_not_tick_twice() -> None:
    stage = Stage(tail_s=None).open().run_until(0.105)
    for _ in range(20):
        stage.live.reconnect(0.0)
        stage.close()
        stage.open()
    stage.run_until(0.2)
    assert stage.begun == 1
    stage.clock.fired = 0
    stage.run_until(1.2)
    assert stage.clock.fired == 50


def test_a_muted_participant_is_still_muted_at_the_next_connection() -> None:
    stage = Stage(letters("abcdefgh"), steps=[Step(at_s=0.02, mute=True, for_s=0.1)]).open()
    stage.run_until(0.03)
    stage.live.reconnect(0.0)
    stage.close()
    stage.open()
    assert [event.get("active") for event in stage.transport.events] == [None, False]
    stage.run_until(0.5)
    assert [event.get("active") for event in stage.transport.events] == [None, False, True, None]
    assert stage.said == "gh"


def test_what_falls_between_two_connections_happens_in_its_order_when_the_next_is_there() -> None:
    steps = [
        Step(at_s=0.02, reconnect_s=0.1),
        Step(at_s=0.04, dtmf="1"),
        Step(at_s=0.05, mute=True),
        Step(at_s=0.06, mute=False),
        Step(at_s=0.08, say="x.wav"),
    ]
    stage = Stage((), says=((), (), (), (), letters("abcdefgh")), tail_s=0.0, steps=steps).open()
    stage.run_until(0.021)
    stage.close()
    stage.run_until(0.12)
    stage.open()
    assert stage.transport.names == ["connected", "dtmf", "media:update", "media:update"]
    stage.run_until(1.0)
    assert stage.said == "cdefgh"  # said from 0.08 s on, and heard from 0.12 s on
    assert stage.transport.names[-1] == "disconnected"
    assert stage.clock.now == 101.0


def test_a_hang_up_that_falls_between_two_connections_ends_the_next_at_once() -> None:
    steps = [Step(at_s=0.02, reconnect_s=0.1), Step(at_s=0.04, hang_up=True), Step(at_s=0.06, dtmf="1")]
    stage = Stage((), tail_s=5.0, steps=steps).open().run_until(0.021)
    stage.close()
    stage.run_until(0.12)
    stage.open()
    assert stage.transport.names == ["connected", "disconnected"]
    assert stage.transport.ended == "close 1000"
    stage.run_until(0.2).close(1000, "", "us")
    assert stage.report.hung_up
    assert stage.transport.audio == []


def test_whoever_hangs_up_between_two_connections_ends_the_call() -> None:
    stage = Stage(tail_s=None).open().run_until(0.1)
    stage.live.reconnect(60.0)
    stage.close()
    assert stage.ended == 1
    stage.run_until(0.5)
    stage.live.hang_up()
    assert stage.live.redial_after_s is None
    assert stage.ended == 2
    stage.open()
    assert stage.transport.ended == "abort"  # it had been dialled already
    report = stage.report
    assert (report.hung_up, report.reconnects, report.duration_s) == (True, 0, about(0.5))
    assert report.is_clean
    assert stage.noted("hang up") == [(0.5, "between two connections")]


def test_a_redial_that_fails_is_a_problem() -> None:
    stage = Stage(tail_s=None).open().run_until(0.1)
    stage.live.reconnect(1.0)
    stage.close()
    stage.run_until(1.1)
    stage.live.fail_redial("the connection could not be made again: refused")
    report = stage.report
    assert report.problems == ("the connection could not be made again: refused",)
    assert report.duration_s == about(1.1)
    assert (report.closed, report.redial_error) == (False, report.how_it_broke)
    assert stage.noted("not connected again") == [(1.1, report.redial_error)]


def test_no_reconnect_after_a_hang_up_and_none_is_made_after_both() -> None:
    stage = Stage(tail_s=None).open()
    stage.live.hang_up()
    stage.live.reconnect(1.0)
    assert stage.live.redial_after_s is None
    stage = Stage(tail_s=None).open()
    stage.live.reconnect(1.0)
    stage.live.hang_up()
    assert stage.live.redial_after_s is None
    assert stage.transport.ended == "reset"
    stage.close()
    assert stage.report.closed_by == "network"


def test_the_next_connection_knows_nothing_of_what_the_last_was_asked() -> None:
    stage = Stage(tail_s=None, echo_notify=True, impairments=Impairments(clear_ack=500)).open()
    stage.socket.on_text(CLEAR)
    stage.hear(10)
    stage.socket.on_text('{"action":"notify","payload":1}')
    stage.run_until(0.1)
    stage.live.reconnect(0.1)
    stage.close()
    stage.run_until(0.2)
    stage.open()
    stage.run_until(2.0)
    assert stage.transport.names == ["connected"]
    playout = stage.report.playout
    assert (playout.played_frames, playout.cleared_frames) == (5 + 1, 4)


# A router that is gone without a word.


def test_half_open_sends_nothing_counts_nothing_and_looks_in_the_end() -> None:
    stage = Stage(letters("abcdef"), tail_s=0.4, has_network=True, steps=[Step(at_s=0.04, half_open=True)])
    stage.open().run_until(0.05)
    stage.live.press("1")
    stage.live.out.audio(b"!")
    stage.live.out.raw(b"!")
    stage.socket.on_text(CLEAR)
    stage.hear(3)
    stage.run_until(0.51)
    assert stage.said == "ab"
    assert stage.transport.names == ["connected"]
    assert not stage.transport.is_reading
    stage.run_until(0.53)
    assert stage.transport.is_reading
    assert stage.transport.ended is None
    stage.hear(3)  # what had waited in the kernel
    stage.close(1011, "keepalive ping timeout", "peer")
    report = stage.report
    assert (report.frames_sent, report.bytes_sent) == (2, 2 * 640 + len(stage.transport.texts[0]))
    assert (report.frames_received, report.clears, report.hung_up) == (0, 0, True)
    assert (report.close_code, report.close_reason) == (1011, "keepalive ping timeout")
    assert len(stage.spoken) == 26


def test_half_open_is_dropped_where_the_server_never_noticed() -> None:
    stage = Stage((), tail_s=0.1, has_network=True, steps=[Step(at_s=0.0, half_open=True)]).open()
    stage.run_until(0.15)
    assert stage.transport.ended is None
    stage.run_until(0.21)
    assert stage.transport.ended == "abort"


def test_half_open_can_be_reset_and_made_again() -> None:
    steps = [Step(at_s=0.02, half_open=True), Step(at_s=0.1, reconnect_s=0.02)]
    stage = Stage(letters("abcdefgh"), tail_s=0.0, has_network=True, steps=steps).open().run_until(0.11)
    assert stage.transport.ended == "reset"
    stage.close()
    stage.run_until(0.12)
    stage.open()
    stage.run_until(0.5)
    assert stage.said == "gh"


# Steps of one time, and odd orders of them.


def test_a_hang_up_inside_a_step_ends_the_steps_of_its_time_as_well() -> None:
    steps = [
        Step(at_s=0.02, dtmf="1"),
        Step(at_s=0.02, hang_up=True),
        Step(at_s=0.02, dtmf="2"),
        Step(at_s=0.02, reconnect_s=1.0),
        Step(at_s=0.02, garbage="bad-frame"),
        Step(at_s=0.04, dtmf="3"),
    ]
    stage = Stage((), has_network=True, steps=steps).open().run_until(1.0)
    assert stage.transport.names == ["connected", "dtmf", "disconnected"]
    assert stage.transport.of("raw") == []
    assert stage.live.redial_after_s is None


def test_a_stall_then_a_reset_ends_at_once() -> None:
    steps = [Step(at_s=0.02, stall=True, for_s=10.0), Step(at_s=0.06, reset=True)]
    stage = Stage(letters("abcdef"), has_network=True, steps=steps).open().run_until(0.07)
    assert (stage.said, stage.transport.ended) == ("a", "reset")
    stage.close()
    assert stage.ended == 1
    stage.run_until(20.0)
    assert stage.said == "a"


def test_a_goodbye_waits_until_it_has_left() -> None:
    stage = Stage(
        (), tail_s=0.04, close="goodbye", has_network=True, steps=[Step(at_s=0.02, stall=True, for_s=1)]
    )
    stage.open().run_until(0.5)
    stage.live.hang_up()
    stage.run_until(1.019)
    assert (stage.transport.names, stage.transport.ended) == (["connected"], None)
    stage.run_until(1.021)
    assert (stage.transport.names, stage.transport.ended) == (["connected", "disconnected"], None)
    stage.run_until(1.3)
    assert stage.transport.ended == "abort"


def test_steps_behind_the_end_never_happen() -> None:
    steps = [Step(at_s=3.0, dtmf="1"), Step(at_s=0.1, hang_up="abrupt")]
    stage = Stage((), tail_s=1.0, steps=steps)
    assert stage.live.planned_s == about(4.0)
    stage.open().run_until(10.0)
    assert stage.transport.names == ["connected"]
    assert stage.transport.ended == "abort"
    assert len(stage.transport.audio) == 5


def test_a_long_wait_for_a_step_costs_nothing_but_the_frames() -> None:
    stage = Stage((), steps=[Step(at_s=6 * 3600, dtmf="1")], silence="none", trace=False)
    assert stage.live.planned_s == 6 * 3600
    stage.open().run_until(10.0)
    assert stage.transport.audio == []


def test_what_is_said_while_muted_is_gone() -> None:
    steps = [Step(at_s=0.02, mute=True), Step(at_s=0.04, say="x.wav"), Step(at_s=0.08, mute=False)]
    stage = Stage((), says=((), letters("abcd"), ()), tail_s=0.02, steps=steps).open().run_until(1.0)
    assert stage.said == "\0" + "cd" + "\0"
    assert stage.spoken[2] == bytes(640)
    assert FRAME not in stage.spoken
