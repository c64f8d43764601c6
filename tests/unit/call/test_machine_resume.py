# SPDX-License-Identifier: Apache-2.0
"""A call whose connection breaks off, and goes on over another socket: what is kept, dropped and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.audio import counting_pcm, numbered, numbers_of
from support.call import RESUME_S, VirtualCall, lasting_call

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.call import asks, tells
from audio_connector.call.states import State
from audio_connector.errors import DeadlineError, RouterStalled
from audio_connector.playback.speech import PLAIN, Played
from audio_connector.wire.messages import Connected, Disconnected, MediaUpdate
from audio_connector.wire.transport import Headers, Upgrade

FRAME = numbered(7, 640)

GONE = Disconnected(code=1006, reason="", closed_by="network")
AGAIN = Upgrade("/again", "n=2", Headers([("x-opentok-ws-connectionid", "c1")]), ("10.0.0.2", 4000), True)


def sentence(count: int, first: int = 1) -> bytes:
    return b"".join(numbered(first + k, 640) for k in range(count))


# The states.


def settle_late(call: VirtualCall) -> None:
    assert call.is_in(State.UNSETTLED)


def hold(call: VirtualCall) -> None:
    call.router_socket.pause_reading()
    call.write(FRAME * 200)
    call.run_for(2.0)
    assert call.is_in(State.HELD)


def lose_once(call: VirtualCall) -> None:
    call.lose(1.0)
    call.dial(None)


BEFORE: dict[str, tuple[int | None, Callable[[VirtualCall], object]]] = {
    "unsettled": (None, settle_late),
    "open": (16000, lambda call: call.write(FRAME * 200)),
    "held": (16000, hold),
    "lost before": (16000, lose_once),
}
STATES = pytest.mark.parametrize("before", sorted(BEFORE))


def lost_call(before: str, **groups: Any) -> VirtualCall:
    rate_hz, prepare = BEFORE[before]
    call = lasting_call(rate_hz, **groups)
    prepare(call)
    call.lose(0.5)
    assert call.is_in(State.LOST)
    assert call.told_of(tells.Lost)[-1] == tells.Lost(RESUME_S)
    assert call.ended == 0
    return call


@STATES
def test_it_goes_on_where_the_router_dials_again(before: str) -> None:
    call = lost_call(before)
    call.dial(upgrade=AGAIN)
    assert call.is_in(State.OPEN)
    assert call.told_of(tells.Resumed)[-1].upgrade == AGAIN
    call.write(FRAME * 3, is_end=True)
    call.router_sends(FRAME)
    call.run_for(20.0)
    assert call.router.frames[-3:] == [FRAME] * 3
    assert call.figures.intake.audio_messages == 1
    assert (call.end, call.ended, call.errors) == (None, 0, [])


@STATES
def test_it_ends_where_the_router_does_not(before: str) -> None:
    call = lost_call(before)
    call.run_for(RESUME_S - 0.6)
    assert call.end is None
    call.run_for(0.2)
    assert call.end == GONE
    assert call.ended == 1
    assert call.link.armed_at is None
    call.run_for(100.0)
    assert call.clock.next_timer_at() is None


@STATES
@pytest.mark.parametrize("way", ["close", "abort"])
def test_it_ends_at_once_where_the_application_ends_it(before: str, way: str) -> None:
    call = lost_call(before)
    if way == "close":
        call.close(1000, "enough")
    else:
        call.link.abort(1001, "the server has stopped")
    told = (1000, "enough") if way == "close" else (1001, "the server has stopped")
    assert call.end is not None
    assert (call.end.code, call.end.reason, call.end.closed_by) == (*told, "server")
    assert call.ended == 1
    call.run_for(2 * RESUME_S)
    assert call.ended == 1


@STATES
def test_whoever_dials_after_the_end_is_sent_away(before: str) -> None:
    call = lost_call(before)
    call.run_for(RESUME_S)
    call.dial()
    call.run_for(5.0)
    assert call.router.closed is not None
    assert call.router.closed.code == 1013
    assert call.router.arrivals == []
    assert call.ended == 1


def test_without_resume_s_a_break_is_the_end() -> None:
    call = VirtualCall()
    call.lose()
    assert call.end == GONE
    assert call.ended == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
def test_a_close_frame_of_the_router_is_the_end(code: int) -> None:
    call = lasting_call()
    call.router_socket.close(code)
    call.run_for(0.0)
    assert call.end is not None
    assert (call.end.code, call.end.closed_by) == (code, "router")


def test_a_goodbye_of_the_router_is_the_end() -> None:
    call = lasting_call()
    call.router_says(Disconnected(reason="left"))
    call.lose()
    assert call.end is not None
    assert (call.end.closed_by, call.end.reason) == ("router", "websocket:disconnected")


def test_a_break_within_our_own_close_is_the_end() -> None:
    call = lasting_call()
    call.router_socket.pause_reading()
    call.close(1000)
    call.lose()
    assert call.ended == 1


@pytest.mark.parametrize("meanwhile", ["audio", "a frame", "a text", "a flush", "time"])
def test_a_socket_that_ends_by_itself_and_is_still_written_to_is_lost_all_the_same(
    monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """As where a write finds that the router has reset the connection, before the socket says that it is over."""
    call = lasting_call()
    call.say(FRAME * 200)
    call.run_for(1.0)
    with monkeypatch.context() as patch:
        patch.setattr(type(call.socket), "is_closing", property(lambda socket: socket is call.socket))
        match meanwhile:
            case "audio":
                call.write(FRAME * 100)
            case "a frame":
                call.write(FRAME)
            case "a text":
                call.send_text("{}")
            case "a flush":
                call.flush()
            case "time":
                call.run_for(0.1)
        assert not call.figures.is_active
    sent = len(call.router.frames)
    call.lose(1.0)
    assert call.is_in(State.LOST)
    assert len(call.router.frames) == sent
    call.dial()
    assert call.is_in(State.OPEN)
    assert call.ended == 0


# Is it there?


def test_no_ping_is_sent_or_missed_while_it_is_lost() -> None:
    call = lasting_call(timeouts={"ping_interval_s": 1.0, "ping_timeout_s": 1.0, "resume_s": 600.0})
    call.run_for(3.5)
    call.lose(300.0)
    assert call.errors == []
    assert call.machine.liveness.next_deadline() == float("inf")
    call.dial()
    call.run_for(60.0)
    assert call.errors == []
    assert call.end is None
    call.router_socket.pause_reading()
    call.run_for(2.5)
    assert [type(error) for error in call.errors] == [DeadlineError]


def test_a_router_that_answers_no_ping_is_lost() -> None:
    call = lasting_call(timeouts={"ping_interval_s": 1.0, "ping_timeout_s": 1.0})
    call.router_socket.pause_reading()
    call.run_for(3.0)
    assert "dropped; it may dial again" in str(call.errors[0])
    assert len(call.errors) == 1
    assert call.is_in(State.LOST)
    assert call.socket.is_closing
    call.dial()
    call.say(FRAME)
    call.run_for(1.0)
    assert call.router.frames == [FRAME]


def test_a_router_that_stops_reading_in_the_middle_of_a_speech_is_lost() -> None:
    """As one that is half open is found while audio is sent: no ping is held against it then."""
    call = lasting_call(timeouts={"stall_s": 3.0})
    speech = call.say(sentence(400))
    call.run_for(1.0)
    call.router_socket.pause_reading()
    call.run_for(6.0)
    assert [type(error) for error in call.errors] == [RouterStalled]
    assert "dropped; it may dial again" in str(call.errors[0])
    assert call.is_in(State.LOST)
    call.dial()
    call.run_for(20.0)
    assert numbers_of(call.router.frames)[-1] == 400
    assert speech.outcome == Played(8000.0)


def test_after_a_goodbye_a_silent_router_is_closed_as_ever() -> None:
    call = lasting_call(timeouts={"ping_interval_s": 1.0, "ping_timeout_s": 1.0})
    call.router_says(Disconnected(reason="left"))
    call.router_socket.pause_reading()
    call.run_for(10.0)
    assert "closed with 1011" in str(call.errors[0])
    assert call.ended == 1


# The format, and what comes first.


def test_the_first_message_comes_anew() -> None:
    call = lasting_call()
    call.want(credit=100)
    call.lose(1.0)
    call.dial(None, AGAIN)
    assert call.is_in(State.UNSETTLED)
    # As old routers say it: without an event.
    call.router_socket.send_text(' {"content-type": "audio/l16;rate=16000", "more": "this"}')
    call.run_for(0.0)
    assert call.is_in(State.OPEN)
    first = call.told_of(tells.Settled)[-1].first_message
    assert isinstance(first, Connected)
    assert first.headers == {"more": "this"}


def test_without_a_first_message_it_goes_on_at_its_rate() -> None:
    call = lasting_call(8000)
    call.write(numbered(7, 320) * 200)
    call.lose(1.0)
    call.dial(None)
    call.run_for(0.9)
    assert call.router.frames == []
    call.run_for(0.2)
    assert call.router.frames[0] == numbered(7, 320)
    assert call.told_of(tells.Settled)[-1] == tells.Settled(AudioFormat(8000), None)


def test_early_audio_tells_the_format_as_well_and_is_handed_over() -> None:
    call = lasting_call()
    call.want(credit=100)
    call.write(FRAME * 200)
    call.lose(1.0)
    call.dial(None)
    call.router_sends(FRAME)
    assert call.is_in(State.OPEN)
    assert call.arrived[-1] == FRAME
    assert call.router.frames


def test_what_was_read_before_is_handed_over_before_what_comes_then() -> None:
    call = lasting_call()
    call.router_sends(numbered(1, 640))
    call.router_sends(numbered(2, 640))
    call.lose(1.0)
    call.dial()
    call.router_sends(numbered(3, 640))
    call.want(credit=100)
    assert numbers_of(message for message in call.arrived if isinstance(message, bytes)) == [1, 2, 3]


@pytest.mark.parametrize(("rate_hz", "before_hz"), [(8000, 16000), (24000, 16000), (16000, 8000)])
@pytest.mark.parametrize("written", ["before", "while lost", "before it is told"])
def test_where_another_rate_is_told_what_was_written_is_converted(
    rate_hz: int, before_hz: int, written: str
) -> None:
    """It was written for the rate that was told before."""
    call = lasting_call(before_hz)
    pcm = counting_pcm(AudioFormat(before_hz).frame_bytes * 50)

    def write() -> None:
        call.ask(asks.Write(PLAIN, pcm, None, True))  # without time passing

    if written == "before":
        write()
        call.run_for(0.1)
    call.lose(1.0)
    if written == "while lost":
        write()
    call.dial(None)
    if written == "before it is told":
        write()
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    call.run_for(3.0)
    sent_bytes = sum(len(frame) for router in call.routers[:-1] for frame in router.frames)
    expected = resample(pcm[sent_bytes:], before_hz, rate_hz)
    assert b"".join(call.router.frames)[: len(expected)] == expected
    assert call.format == AudioFormat(rate_hz)


def test_where_the_same_rate_is_told_a_resampler_goes_on() -> None:
    """Exact to the sample, as if nothing had been."""
    pcm = counting_pcm(44_100)
    cut, whole = lasting_call(), lasting_call()
    for call in (cut, whole):
        for at in range(0, len(pcm), 4410):
            call.write(pcm[at : at + 4410], rate_hz=22_050)
            if call is cut and at == 4410 * 4:
                call.lose(1.0)
            if call is cut and at == 4410 * 6:
                call.dial()
        call.write(b"", is_end=True)
        call.run_for(10.0)
    frames = [frame for router in cut.routers for frame in router.frames]
    assert len(cut.routers) == 2
    assert min(len(router.frames) for router in cut.routers) > 5
    assert frames == whole.router.frames


def test_half_a_sample_waits_for_its_other_half() -> None:
    call = lasting_call()
    pcm = counting_pcm(6400)
    call.write(pcm[:3201])
    call.lose(1.0)
    call.dial()
    call.write(pcm[3201:], is_end=True)
    call.run_for(1.0)
    assert b"".join(frame for router in call.routers for frame in router.frames) == pcm
    assert call.errors == []


# Texts, mute, notifies.


def test_texts_wait_for_the_router() -> None:
    call = lasting_call()
    call.lose()
    for number in range(3):
        call.send_text(json.dumps(number))
    assert call.router.texts == []
    call.dial(None)
    assert call.router.texts == ["0", "1", "2"], "the rate does not matter for them"
    assert call.figures.text_messages_sent == 3


def test_texts_that_wait_are_bounded() -> None:
    call = lasting_call()
    call.lose()
    call.send_text(json.dumps("x" * 70_000))
    waiting = call.stand_in_text_line()
    assert not waiting.is_done
    call.dial()
    assert waiting.answer is True
    call.lose()
    call.send_text(json.dumps("x" * 70_000), waiting)
    late = call.stand_in_text_line()
    assert not late.is_done
    call.run_for(RESUME_S + 0.1)
    assert call.ended == 1


def test_a_router_that_was_muted_is_not_where_it_dials_again() -> None:
    call = lasting_call()
    call.router_says(MediaUpdate(active=False))
    call.run_for(2.0)
    call.lose(3.0)
    assert not call.published.is_active
    call.dial()
    assert call.published.is_active
    assert call.figures.intake.muted_ms == pytest.approx(2000.0), "lost is not muted"
    call.router_says(MediaUpdate(active=False))
    assert not call.published.is_active


def test_nobody_is_active_while_lost_and_that_is_no_gap() -> None:
    call = lasting_call()
    call.router_sends(FRAME)
    assert call.published.is_active
    call.lose(3.0)
    assert not call.published.is_active
    call.dial()
    call.router_sends(FRAME)
    assert call.figures.intake.gaps == 0


def test_an_answer_to_a_notify_of_the_socket_before_corrects_nothing() -> None:
    call = lasting_call()
    call.say(FRAME * 500)
    call.run_for(1.0)
    call.send_text('{"action":"notify","payload":{"mark":1}}')
    call.lose(2.0)
    call.dial()
    call.run_for(2.0)
    before = call.played_ms
    call.router_socket.send_text('{"event":"websocket:notify","payload":{"mark":1}}')
    call.run_for(0.0)
    assert call.played_ms == before
