# SPDX-License-Identifier: Apache-2.0
"""Barge-in through the I/O side: what the router is told, what it still holds, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.call import VirtualCall

from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.wire.codec import CLEAR_FORMS

OLD, NEW = numbered(1, 640), numbered(2, 640)
CLEARS = [CLEAR_FORMS["action"], CLEAR_FORMS["event"]]


@pytest.mark.parametrize("lead_ms", [40, 200, 1000])
def test_two_seconds_into_thirty_at_a_router_that_ignores_clear(lead_ms: int) -> None:
    call = VirtualCall(playback={"lead_ms": lead_ms})
    call.router.obeys_clear = False
    speech = call.say(OLD * 1500)
    call.run_until(2.0)
    heard = call.router.report().played_frames - 1
    flushed = call.flush()
    assert abs(flushed.played_ms - heard * 20.0) <= 20.0
    assert flushed.played_ms + flushed.discarded_ms == 30_000.0
    assert speech.outcome == Interrupted(flushed.played_ms, flushed.discarded_ms)
    # The frame that is playing is not part of the lead.
    assert call.router.playout.buffered_ms <= lead_ms + 20
    before = len(call.router.frames)
    call.run_for(30.0)
    assert len(call.router.frames) == before
    assert call.router.texts == CLEARS


@given(after_s=st.floats(0.0, 4.0), lead_ms=st.sampled_from([40, 200, 1000]))
def test_at_a_router_that_obeys_nothing_more_is_heard(after_s: float, lead_ms: int) -> None:
    call = VirtualCall(playback={"lead_ms": lead_ms})
    speech = call.say(OLD * 150)
    call.run_for(after_s)
    heard = call.router.report().played_frames
    flushed = call.flush()
    assert call.router.playout.buffered_ms == 0
    call.run_for(10.0)
    assert call.router.report().played_frames == heard
    if isinstance(speech.outcome, Played):
        assert flushed == Flushed(0.0, 0.0)
    else:
        assert heard * 20.0 - 20.0 <= flushed.played_ms <= heard * 20.0
        assert speech.outcome == Interrupted(flushed.played_ms, flushed.discarded_ms)
    assert call.played_ms == (3000.0 if isinstance(speech.outcome, Played) else flushed.played_ms)


def test_the_commands_come_after_the_old_audio_and_before_the_new() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(OLD * 100)
    call.flush()
    call.say(NEW * 3)
    messages = [arrival.message for arrival in call.router.arrivals]
    assert messages == [OLD] * 11 + CLEARS + [NEW] * 3
    call.run_for(1.0)
    assert call.router.report().underruns == 0


def test_the_commands_are_configured() -> None:
    call = VirtualCall(playback={"clear_commands": (CLEAR_FORMS["legacy"],)})
    call.flush()
    assert call.router.texts == [CLEAR_FORMS["legacy"]]
    silent = VirtualCall(playback={"clear_commands": ()})
    silent.flush()
    assert silent.router.texts == []


def test_late_writes_are_refused_and_new_speech_is_not() -> None:
    call = VirtualCall()
    old = call.say(OLD * 100)
    cut = call.begin()
    call.run_for(0.5)
    call.flush()
    before = len(call.router.frames)
    assert cut.outcome == Interrupted(0.0, 0.0), "it was begun before the flush"
    call.write(OLD * 10, cut.lane)
    call.end_speech(cut)
    call.write(OLD * 10, old.lane, is_end=True)
    assert call.stand_in_line(cut.lane).answer is False
    speech = call.say(NEW * 10)
    call.run_for(5.0)
    assert numbers_of(call.router.frames[before:]) == [2] * 10
    assert speech.outcome == Played(200.0)
    assert len(cut.outcomes) == len(old.outcomes) == 1
    assert call.figures.queued_bytes == 0


def test_everybody_who_waits_is_answered() -> None:
    call = VirtualCall(playback={"max_buffer_s": 1})
    speeches = [call.say(OLD * 100) for _ in range(2)]
    writer, played = call.stand_in_line(), call.wait_played()
    call.run_for(0.5)
    call.flush()
    assert speeches[0].outcome == Interrupted(500.0, 1500.0)
    assert speeches[1].outcome == Interrupted(0.0, 2000.0)
    assert played.answer == Interrupted(500.0, 3500.0)
    assert writer.answer is False


def test_a_flush_of_nothing_tells_the_router_all_the_same() -> None:
    call = VirtualCall()
    assert call.flush() == Flushed(0.0, 0.0)
    assert call.router.texts == CLEARS, "audio of before may be what is meant"


def test_a_notify_of_what_was_cut_corrects_nothing() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(OLD * 100)
    call.send_text('{"action":"notify","payload":"old"}')
    call.run_for(0.1)
    call.flush()
    call.say(NEW * 100)
    call.run_for(0.5)
    call.router_socket.send_text('{"event":"websocket:notify","payload":"old"}')
    call.run_for(3.0)
    assert call.played_ms == 2100.0
    assert call.router.report().underruns == 0


def test_a_flush_before_the_format_is_known_cuts_what_waits() -> None:
    call = VirtualCall(None)
    speech = call.say(OLD * 100)
    assert call.flush() == Flushed(0.0, 2000.0)
    assert speech.outcome == Interrupted(0.0, 2000.0)
    call.run_for(5.0)
    assert call.router.frames == []
    assert call.router.texts == CLEARS


def test_at_a_router_that_does_not_read_one_clear_is_enough() -> None:
    call = VirtualCall()
    call.say(OLD * 1000)
    call.run_for(0.5)
    call.router_socket.pause_reading()
    call.run_for(2.0)
    assert call.machine.liveness.is_blocked
    for _ in range(100):
        call.flush()
    assert call.socket.write_buffer_bytes < 16384 + 4 * 640 + 200
    call.router_socket.resume_reading()
    call.run_for(1.0)
    assert call.router.texts == CLEARS
    call.flush()
    assert call.router.texts == CLEARS * 2


def test_nothing_that_follows_is_forgotten_by_a_flush() -> None:
    call = VirtualCall()
    call.flush()
    speeches = []
    for number in range(1, 50):
        call.write(numbered(number, 640))
        speeches.append(call.say(OLD))
        call.flush()
        call.run_for(0.001)
    assert all(isinstance(speech.outcome, Interrupted) for speech in speeches)
    last = call.say(NEW * 3)
    call.run_for(3.0)
    assert last.outcome == Played(60.0)
