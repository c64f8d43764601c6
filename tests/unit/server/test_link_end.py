# SPDX-License-Identifier: Apache-2.0
"""The end of a connection: everybody who waits is answered, once, and nothing is left."""

from __future__ import annotations

import gc
import weakref

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server import mail
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)


def end(call: VirtualCall, how: str) -> None:
    if how == "the router closes":
        call.router_socket.close(1000)
    elif how == "the network breaks":
        call.router_socket.reset()
    elif how == "we close":
        call.link.on_close(mail.Close(1, 1000, ""))
    else:
        call.link.abort(1001, "the server has stopped")
    call.run_for(0.0)


WAYS = pytest.mark.parametrize("how", ["the router closes", "the network breaks", "we close", "we abort"])


@WAYS
def test_everybody_who_waits_is_answered(how: str) -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    done, playing, waiting = (call.say(FRAME * 50, utterance_id) for utterance_id in (1, 2, 3))
    room, played, closed = call.await_room(640 * 150), call.await_played(), call.await_closed()
    gone = call.await_played()
    gone.cancel()
    call.run_for(1.5)
    assert done.outcome == Played(1000.0)
    end(call, how)
    assert playing.outcome == Interrupted(500.0, 500.0)
    assert waiting.outcome == Interrupted(0.0, 1000.0)
    assert played.result(timeout=0) == Interrupted(500.0, 1500.0)
    assert room.done()
    assert closed.result(timeout=0) == call.link.published.closed
    assert call.ended == 1
    assert isinstance(call.mail[-1], mail.Ended)
    assert call.link.published.progress.queued_ms == 0.0
    assert call.played_ms == 1500.0
    assert call.errors == []


@WAYS
def test_afterwards_nothing_happens_any_more(how: str) -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 1.0, "stall_s": 1.0})
    call.say(FRAME * 500)
    call.run_for(0.5)
    end(call, how)
    assert call.link.armed_at is None
    frames, letters = len(call.router.frames), len(call.mail)
    call.run_for(100.0)
    assert (len(call.router.frames), len(call.mail)) == (frames, letters)
    assert call.link.wake(call.clock.now) is None
    assert call.clock.next_timer_at() is None


@WAYS
def test_a_link_that_has_ended_is_forgotten(how: str) -> None:
    call = VirtualCall(timeouts={"ping_interval_s": None})
    call.say(FRAME * 5)
    call.run_for(3.0)
    end(call, how)
    call.run_for(10.0)
    pacer, link = call.pacer, weakref.ref(call.link)
    del call
    gc.collect()
    assert link() is None
    assert pacer.latest_ms >= 0.0


def test_what_was_not_sent_was_not_played() -> None:
    # After the close frame nothing is sent, however long the router takes to answer it.
    call = VirtualCall(playback={"lead_ms": 200})
    speech = call.say(FRAME * 500)
    call.run_for(1.0)
    call.router_socket.pause_reading()
    call.link.on_close(mail.Close(1, 1000, ""))
    call.run_for(1.9)
    assert call.link.published.closed is None
    call.run_for(0.2)
    assert call.link.published.closed is not None
    assert isinstance(speech.outcome, Interrupted)
    assert speech.outcome.played_ms <= 1000.0 + 220.0
    assert call.link.published.audio_messages_sent * 20.0 <= 1000.0 + 220.0


def test_also_where_sending_would_have_gone_on_meanwhile() -> None:
    # The format is settled, and the router reads again, while the close frame waits for its answer.
    for call in (VirtualCall(None), VirtualCall()):
        speech = call.say(FRAME * 2000)
        if call.router.frames:
            call.router_socket.pause_reading()
            call.run_for(2.0)
        sent_ms = call.link.published.audio_messages_sent * 20.0
        call.link.on_close(mail.Close(1, 1000, ""))
        call.link.on_writable(True)
        call.link.on_writable(True)
        call.router_socket.pause_reading()
        call.run_for(3.0)
        assert isinstance(speech.outcome, Interrupted)
        assert speech.outcome.played_ms <= sent_ms


def test_an_echo_stops_with_the_close_frame() -> None:
    call = VirtualCall()
    for number in range(60):
        call.write(FRAME)
        call.run_for(0.02)
        if number == 29:
            call.router_socket.pause_reading()
            call.link.on_close(mail.Close(1, 1000, ""))
    assert call.link.published.audio_messages_sent == 30
    assert call.link.published.progress.played_ms(call.clock.now) <= 600.0


def test_an_echo_stops_where_the_socket_closes_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    call = VirtualCall()
    for number in range(60):
        if number == 30:
            monkeypatch.setattr(MemoryTransport, "is_closing", True)
        call.link.on_write(mail.Write(1, 0, FRAME, 16000, False, False))
        call.run_for(0.02)
    assert call.link.published.audio_messages_sent == len(call.router.frames) == 30


def test_a_close_waits_for_its_answer_and_not_for_ever() -> None:
    call = VirtualCall()
    call.router_socket.pause_reading()
    call.close(1000, "enough")
    call.run_for(1.9)
    assert call.link.published.closed is None
    call.run_for(0.2)
    assert call.link.published.closed == Disconnected(code=1000, reason="enough", closed_by="server")


def test_an_abort_says_what_it_was_for() -> None:
    call = VirtualCall()
    call.link.abort(1001, "the server has stopped")
    call.run_for(0.0)
    how = Disconnected(code=1001, reason="the server has stopped", closed_by="server")
    assert call.posted(mail.Ended) == [mail.Ended(1, how)]
