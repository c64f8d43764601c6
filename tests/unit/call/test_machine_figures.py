# SPDX-License-Identifier: Apache-2.0
"""What the application knows of a call at once: new enough, and never from the future."""

from __future__ import annotations

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.call import tells
from audio_connector.playback.pacer import TICK_S
from audio_connector.playback.speech import Answered, Finished
from audio_connector.server.link import FIGURES_S
from audio_connector.wire.messages import MediaUpdate

FRAME = numbered(7, 640)


def figures_told(call: VirtualCall) -> int:
    return sum(isinstance(tell, tells.Figures) for tell in call.told.at_once)


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("hears", [True, False])
def test_figures_are_never_older_than_they_may_be(speaks: bool, hears: bool) -> None:
    call = VirtualCall()
    call.want(credit=10_000)
    call.run_for(1.0)
    oldest_s, since, told = 0.0, call.now_s, figures_told(call)
    for number in range(300):
        if hears:
            call.router_sends(FRAME)
        if speaks:
            call.write(FRAME)
        call.run_for(0.02 if number % 7 else 0.031)
        if figures_told(call) > told:
            told, since = figures_told(call), call.now_s
        if call.published != call.figures:
            oldest_s = max(oldest_s, call.now_s - since)
    assert oldest_s <= FIGURES_S + TICK_S + 0.031
    # And not much younger either: each costs as much as a frame.
    assert told <= 6.3 / FIGURES_S + 20


def test_at_rest_nothing_is_told() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": None, "no_message_s": None})
    call.say(FRAME * 10)
    call.run_for(5.0)
    told, fired = figures_told(call), call.clock.fired
    call.run_for(1000.0)
    assert figures_told(call) == told
    assert call.clock.fired == fired
    assert call.published == call.figures


def test_an_answer_comes_behind_figures_that_are_as_new() -> None:
    call = VirtualCall(playback={"max_buffer_s": 1})
    speech = call.say(FRAME * 50)
    call.write(FRAME * 60)
    call.stand_in_line()
    call.wait_played()
    call.run_for(5.0)
    call.flush()
    known = tells.Figures()
    for tell in call.told.at_once:
        if isinstance(tell, tells.Figures):
            known = tell
        elif isinstance(tell, Finished):
            assert known.audio_messages_sent >= 50
        elif isinstance(tell, Answered):
            assert known.accepted_bytes == 110 * 640
    assert speech.outcome is not None


def test_muting_is_told_at_once() -> None:
    call = VirtualCall()
    call.run_for(1.0)
    for active in (False, True, False):
        call.router_says(MediaUpdate(active=active))
        assert call.published.is_active is active


def test_a_round_trip_is_told() -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 1.0})
    call.router_socket.pause_reading()
    call.run_until(1.25)
    call.router_socket.resume_reading()
    call.run_for(FIGURES_S + TICK_S)
    assert call.published.round_trip_ms == pytest.approx(250.0, abs=1)


def test_what_is_played_is_worked_out_of_old_figures() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(FRAME * 1000)
    call.run_for(FIGURES_S + TICK_S)
    last_ms = 0.0
    for _ in range(2000):
        call.run_for(0.0101)
        heard_ms = (call.router.report().played_frames - 1) * 20.0
        assert abs(call.played_ms - heard_ms) <= 20.0
        assert call.played_ms >= last_ms
        last_ms = call.played_ms
    assert figures_told(call) <= 20.4 / FIGURES_S + 10


def test_unreadable_messages_are_counted_and_reported_once() -> None:
    call = VirtualCall()
    for _ in range(5):
        call.link.note_fault(ValueError("no base64"))
    assert call.figures.unreadable_messages == 5
    assert len(call.errors) == 1
