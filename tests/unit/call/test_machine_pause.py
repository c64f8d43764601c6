# SPDX-License-Identifier: Apache-2.0
"""Pauses and backgrounds through the I/O side: what the router is told, what it plays, and what is answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.call import FollowedSpeech, VirtualCall, Wait, lasting_call

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.mixing import fade_in, fade_out
from audio_connector.call import asks
from audio_connector.playback.beside import TAKEOVER_S
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.messages import Notified

CLEARS = [CLEAR_FORMS["action"], CLEAR_FORMS["event"]]
PLAIN_CUT = {"fade_ms": 0}


def counting(first: int, count: int) -> bytes:
    return b"".join(numbered(number, 640) for number in range(first, first + count))


def pause(call: VirtualCall, speech: FollowedSpeech) -> float | None:
    token = call.new_number()
    call.ask(asks.PauseSpeech(speech.lane, token))
    call.run_for(0.0)
    answer: Any = Wait(call.told, token).answer
    return answer  # type: ignore[no-any-return]


def go_on(call: VirtualCall, speech: FollowedSpeech) -> None:
    call.ask(asks.ResumeSpeech(speech.lane))
    call.run_for(0.0)


def listen(call: VirtualCall) -> list[bytes]:
    """What the router plays, from now on."""
    played: list[bytes] = []
    call.router.playout = PlayoutBuffer(
        AudioFormat(16000), pause_after_ms=None, on_play=lambda frame, _: played.append(frame)
    )
    return played


@given(
    steps=st.lists(st.tuples(st.sampled_from(["pause", "go on", "wait"]), st.floats(0.0, 0.7)), max_size=12),
    lead_ms=st.sampled_from([40, 200, 1000]),
    has_background=st.booleans(),
)
def test_at_a_router_that_obeys_every_frame_is_played_once_and_in_order(
    steps: list[tuple[str, float]], lead_ms: int, has_background: bool
) -> None:
    call = VirtualCall(playback={"lead_ms": lead_ms, **PLAIN_CUT})
    played = listen(call)
    if has_background:
        start_background(call, bytes(64_000))
    speeches = [call.say(counting(1, 40)), call.say(counting(41, 40))]
    waiting = call.wait_played()
    for what, seconds in steps:
        if what == "pause":
            pause(call, speeches[0])
        elif what == "go on":
            go_on(call, speeches[0])
        call.run_for(seconds)
    go_on(call, speeches[0])
    call.run_for(10.0)
    call.router.playout.advance(call.clock.now)
    assert [number for number in numbers_of(played) if number] == list(range(1, 81))
    assert [speech.outcome for speech in speeches] == [Played(800.0), Played(800.0)]
    assert waiting.answer == Played(1600.0)
    assert call.played_ms == 1600.0
    assert not call.published.underruns


def test_the_router_is_told_once_and_hears_what_was_to_follow_die_away() -> None:
    call = VirtualCall()
    speech = call.say(counting(1000, 100))
    call.run_for(0.513)
    assert pause(call, speech) == 520.0
    assert [arrival.message for arrival in call.router.arrivals[-3:]] == [
        *CLEARS,
        fade_out(numbered(1026, 640), 160),
    ]
    assert call.router.playout.buffered_ms == 20
    assert pause(call, speech) == 520.0
    assert call.router.texts == CLEARS
    call.run_for(1.0)
    before = len(call.router.frames)
    go_on(call, speech)
    assert call.router.frames[before] == fade_in(numbered(1026, 640), 160)
    assert numbers_of(call.router.frames[before + 1 :])[0] == 1027
    call.run_for(5.0)
    assert speech.outcome == Played(2000.0)
    assert call.published.audio_messages_sent == len(call.router.frames)


@pytest.mark.parametrize("fades", [False, True])
def test_a_flush_sends_nothing_behind_the_clear_unless_it_is_asked_to(fades: bool) -> None:
    call = VirtualCall(playback={"fade_on_flush": fades})
    call.say(counting(1000, 100))
    call.run_for(0.513)
    assert call.flush() == Flushed(500.0, 1500.0)
    behind = [arrival.message for arrival in call.router.arrivals][-1]
    assert behind == (fade_out(numbered(1026, 640), 160) if fades else CLEARS[-1])


def test_without_clear_commands_the_router_plays_what_it_has() -> None:
    call = VirtualCall(playback={"clear_commands": ()})
    played = listen(call)
    speech = call.say(counting(1, 100))
    call.run_for(0.5)
    pause(call, speech)
    call.run_for(1.0)
    go_on(call, speech)
    call.run_for(5.0)
    call.router.playout.advance(call.clock.now)
    assert numbers_of(played) == list(range(1, 101))
    assert call.router.texts == []


def test_one_that_is_over_is_answered_with_nothing() -> None:
    call = VirtualCall()
    speech = call.say(counting(1, 10))
    call.run_for(1.0)
    assert pause(call, speech) is None
    assert call.router.texts == []


def test_a_notify_of_what_was_taken_back_corrects_nothing() -> None:
    call = VirtualCall(playback=PLAIN_CUT)
    speech = call.say(counting(1, 100))
    call.send_text('{"action":"notify","payload":"old"}')
    call.run_for(0.1)
    pause(call, speech)
    call.run_for(1.0)
    go_on(call, speech)
    call.run_for(0.5)
    call.router_says(Notified(payload="old"))
    call.run_for(5.0)
    assert (speech.outcome, call.played_ms) == (Played(2000.0), 2000.0)


def test_the_end_of_the_call_ends_a_paused_one() -> None:
    call = VirtualCall()
    speech = call.say(counting(1, 50))
    waiting = call.wait_played()
    call.run_for(0.5)
    pause(call, speech)
    call.close()
    call.run_for(5.0)
    assert call.end is not None
    assert speech.outcome == Interrupted(520.0, 480.0)
    assert waiting.is_done


def test_a_router_that_dials_again_hears_what_was_taken_back() -> None:
    call = lasting_call(playback=PLAIN_CUT)
    played = listen(call)
    speech = call.say(counting(1, 50))
    start_background(call, bytes(64_000))
    call.run_for(0.5)
    pause(call, speech)
    call.router.playout.advance(call.clock.now)
    call.lose(0.5)
    call.dial()
    call.run_for(1.0)
    assert set(numbers_of(call.router.frames)) == {0}, "the background goes on"
    go_on(call, speech)
    call.run_for(3.0)
    heard = numbers_of(played) + numbers_of(call.router.frames)
    assert [number for number in heard if number] == list(range(1, 51))
    assert call.router.report().underruns == 0


def test_at_a_router_that_does_not_read_what_it_was_sent_is_not_lost() -> None:
    call = VirtualCall()
    speech = call.say(counting(1, 1000))
    call.run_for(0.5)
    call.router_socket.pause_reading()
    call.run_for(2.0)
    assert call.machine.liveness.is_blocked
    for _ in range(10):
        pause(call, speech)
        go_on(call, speech)
    pause(call, speech)
    call.router_socket.resume_reading()
    call.run_for(1.0)
    before = len(call.router.frames)
    call.run_for(1.0)
    assert len(call.router.frames) == before
    go_on(call, speech)
    call.run_for(60.0)
    assert numbers_of(call.router.frames) == list(range(1, 1001))
    assert call.router.texts == [], "by its clock it had heard all that it had"


def test_another_application_takes_a_call_that_goes_on_and_its_background_for_a_while() -> None:
    call = VirtualCall(is_movable=True)
    played = listen(call)
    speech = call.say(counting(1, 50))
    start_background(call, np.full(32_000, 300, "<i2").tobytes())
    call.run_for(0.5)
    pause(call, speech)
    call.run_for(0.5)
    call.machine.hand_over(call.clock.now)
    call.link.wake(call.clock.now)
    call.run_for(TAKEOVER_S)
    assert call.machine._queue.beside.is_on
    call.run_for(1.0)
    silent = len(played)
    call.run_for(5.0)
    assert len(played) == silent
    assert call.played_ms == 1000.0


# A background.


def start_background(call: VirtualCall, pcm: bytes, *, volume: float = 1.0, duck: float = 0.5) -> int:
    """In two pieces."""
    number, half = call.new_number(), len(pcm) // 4 * 2
    for piece, is_last in ((pcm[:half], False), (pcm[half:], True)):
        token = call.new_number()
        call.ask(asks.AddBackground(number, token, piece, 16000, volume, duck, is_last))
        assert Wait(call.told, token).answer is True
    return number


def test_the_router_never_runs_dry_of_it_and_the_pacer_wakes_for_it() -> None:
    call = VirtualCall()
    played = listen(call)
    start_background(call, np.full(32_000, 8000, "<i2").tobytes())
    call.run_for(2.0)
    call.say(bytes(640 * 50))
    call.run_for(3.0)
    assert call.router.report().underruns == 0
    firsts = np.array(numbers_of(played))
    assert firsts[0] == 0
    assert set(firsts[30:90]) == {8000}
    assert min(firsts[60:]) == 4000, "under what is said it is half as loud"
    assert firsts[-1] == 8000
    assert call.figures.audio_messages_sent == len(call.router.frames)
    assert call.machine.is_at_rest(call.clock.now)


def test_it_stops_with_an_answer_and_its_volume_is_set() -> None:
    call = VirtualCall()
    number = start_background(call, np.full(32_000, 8000, "<i2").tobytes())
    call.run_for(2.0)
    call.ask(asks.SetBackground(number, 0.25, 1.0))
    call.run_for(1.0)
    assert numbers_of(call.router.frames)[-1] == 2000
    token = call.new_number()
    call.ask(asks.StopBackground(number, token, 0.2))
    assert not Wait(call.told, token).is_done
    call.run_for(0.5)
    assert Wait(call.told, token).answer is True
    before = len(call.router.frames)
    call.run_for(5.0)
    assert len(call.router.frames) == before


def test_one_that_was_handed_over_at_another_rate_is_converted() -> None:
    call = VirtualCall(None)
    start_background(call, np.full(32_000, 8000, "<i2").tobytes())
    call.run_for(0.1)
    assert call.router.frames == []
    call.router_sends(bytes(320))
    call.run_for(3.0)
    assert {len(frame) for frame in call.router.frames} == {320}
    assert numbers_of(call.router.frames)[-1] in (7999, 8000)
