# SPDX-License-Identifier: Apache-2.0
"""A call that goes on for too long, or without a message: how it is closed, and what is told."""

from __future__ import annotations

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.errors import DeadlineError
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)


def ended(call: VirtualCall, code: int, reason: str) -> bool:
    """Whether it was closed so, and the router too was told."""
    assert call.router.closed is not None
    assert (call.router.closed.code, call.router.closed.reason) == (code, reason)
    return call.end == Disconnected(code=code, reason=reason, closed_by="server")


def test_a_peer_that_never_sends_a_message_is_closed_with_1008() -> None:
    call = VirtualCall(None)
    call.run_until(29.9)
    call.router_socket.send_ping(b"")
    assert call.router.closed is None
    call.run_until(30.1)
    assert ended(call, 1008, "no message came")
    [error] = call.errors
    assert isinstance(error, DeadlineError)
    assert str(error) == (
        "the peer sent no message at all for 30 s, so the connection was closed with 1008. "
        "Timeouts.no_message_s sets the limit"
    )
    assert call.machine.liveness.ages.ended_by == "no_message_s"


@pytest.mark.parametrize("what", ["the first text", "a frame"])
def test_one_message_is_enough_and_then_it_may_be_silent(what: str) -> None:
    call = VirtualCall(16000 if what == "the first text" else None)
    if what == "a frame":
        call.router_sends(FRAME)
    call.run_until(3600.0)
    assert call.errors == []
    assert call.router.closed is None


def test_an_idle_peer_is_closed_with_1001_where_that_is_asked_for() -> None:
    call = VirtualCall(timeouts={"idle_s": 60})
    for _ in range(10):
        call.run_for(50.0)
        call.router_sends(FRAME)
    assert call.router.closed is None
    call.run_for(60.1)
    assert ended(call, 1001, "no message came for long")
    assert call.machine.liveness.ages.ended_by == "idle_s"


def test_a_call_has_a_length_where_that_is_asked_for_whatever_is_being_said() -> None:
    call = VirtualCall(timeouts={"session_s": 10})
    speech = call.say(FRAME * 1000)
    call.run_until(9.9)
    assert call.router.closed is None
    call.run_until(10.2)
    assert ended(call, 1001, "session length")
    assert speech.outcome is not None
    assert speech.outcome.played_ms == pytest.approx(10_000, abs=200)
    assert "Timeouts.session_s sets the limit" in str(call.errors[0])


def test_the_length_goes_on_while_the_router_is_away() -> None:
    call = VirtualCall(timeouts={"session_s": 20, "resume_s": 15})
    call.run_until(10.0)
    call.lose(5.0)
    call.dial()
    call.run_until(19.9)
    assert call.router.closed is None
    call.run_until(20.1)
    assert ended(call, 1001, "session length")


def test_a_call_whose_router_is_away_has_a_length_too() -> None:
    call = VirtualCall(timeouts={"session_s": 20, "resume_s": 15})
    call.run_until(10.0)
    call.lose(10.1)
    assert call.end == Disconnected(code=1001, reason="session length", closed_by="server")


def test_a_router_that_dials_again_says_its_first_message_again() -> None:
    call = VirtualCall(timeouts={"resume_s": 15})
    call.lose(5.0)
    call.dial(None)
    call.run_for(29.0)
    assert call.router.closed is None
    call.run_for(1.1)
    assert ended(call, 1008, "no message came")


def test_a_call_that_is_being_closed_meets_no_bound() -> None:
    call = VirtualCall(timeouts={"session_s": 1, "close_s": 60})
    call.run_until(0.9)
    call.router_socket.pause_reading()
    call.link.close(1000, "")
    call.run_until(30.0)
    assert call.errors == []
    assert call.machine.liveness.ages.ended_by is None
