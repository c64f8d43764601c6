# SPDX-License-Identifier: Apache-2.0
"""Pings: a silent router is given up, and one that only throttles its reading is not (PROTOCOL 1.25)."""

from __future__ import annotations

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.call import tells
from audio_connector.errors import DeadlineError
from audio_connector.wire.messages import MediaUpdate

FRAME = numbered(7, 640)
PINGS = {"ping_interval_s": 20.0, "ping_timeout_s": 20.0}


def test_a_router_that_answers_is_kept_for_an_hour_although_it_says_nothing() -> None:
    call = VirtualCall(timeouts=PINGS)
    call.run_for(3600.0)
    assert call.errors == []
    assert call.end is None
    assert call.figures.round_trip_ms == 0.0


def test_a_silent_router_is_closed_with_1011() -> None:
    call = VirtualCall(timeouts=PINGS)
    call.run_until(10.0)
    call.router_socket.pause_reading()
    call.run_until(39.9)
    assert call.errors == []
    call.run_until(40.1)
    assert [type(error) for error in call.errors] == [DeadlineError]
    assert "40" in str(call.errors[0])
    assert call.socket.is_closing
    call.run_until(50.0)
    assert call.end is not None
    assert (call.end.code, call.end.closed_by) == (1011, "server")
    assert len(call.told_of(tells.Ended)) == call.ended == 1
    assert len(call.errors) == 1


@pytest.mark.parametrize("per_message_s", [0.01, 0.019])
def test_one_that_throttles_its_reading_is_not_taken_for_silent(per_message_s: float) -> None:
    # What it has not read holds up the pong for longer than the timeout.
    call = VirtualCall(
        playback={"lead_ms": 60_000},
        timeouts={"ping_interval_s": 2.0, "ping_timeout_s": 2.0, "stall_s": 20.0},
    )
    call.router_socket.slow(per_message_s)
    call.say(FRAME * 6000)
    call.run_for(180.0)
    assert call.errors == []
    assert call.end is None
    assert call.router.report().underruns == 0


def test_one_that_never_answers_but_speaks_is_kept_as_long_as_it_speaks() -> None:
    call = VirtualCall(timeouts=PINGS)
    call.router_socket.answers_pings = False
    for _ in range(600):
        call.router_says(MediaUpdate(active=True))
        call.run_for(1.0)
    assert call.errors == []
    call.run_for(60.5)
    assert [type(error) for error in call.errors] == [DeadlineError]


def test_one_that_falls_silent_just_after_a_ping_is_noticed() -> None:
    call = VirtualCall(timeouts=PINGS)
    call.router_socket.answers_pings = False
    call.run_until(20.01)
    call.router_sends(FRAME)
    call.router_socket.pause_reading()
    call.run_until(100.0)
    assert [type(error) for error in call.errors] == [DeadlineError]


def test_while_it_does_not_read_the_stall_decides() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 1.0, "ping_timeout_s": 1.0, "stall_s": 60.0})
    call.say(FRAME * 3000)
    call.run_until(1.5)
    call.router_socket.pause_reading()
    call.run_until(50.0)
    assert call.errors == []
    call.router_socket.resume_reading()
    call.run_for(30.0)
    assert call.errors == []
    assert call.end is None


def test_a_muted_router_that_answers_is_kept() -> None:
    call = VirtualCall(timeouts=PINGS)
    call.router_says(MediaUpdate(active=False))
    call.run_for(600.0)
    assert call.errors == []


def test_without_an_interval_a_silent_router_is_kept() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": None})
    call.router_socket.pause_reading()
    call.run_for(100_000.0)
    assert call.errors == []
    assert call.end is None
    assert call.clock.next_timer_at() is None, "and nothing wakes up for it"


def test_without_a_timeout_a_silent_router_is_kept() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 20.0, "ping_timeout_s": None})
    call.router_socket.pause_reading()
    call.run_for(3600.0)
    assert call.errors == []
    assert call.end is None


def test_no_ping_is_sent_once_it_is_closing() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 1.0, "ping_timeout_s": 0.5})
    call.router_socket.pause_reading()
    call.run_until(0.9)
    call.close()
    call.run_for(5.0)
    assert call.errors == []
    assert call.end is not None
    assert call.end.code == 1000
