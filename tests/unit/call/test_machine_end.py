# SPDX-License-Identifier: Apache-2.0
"""The end of a connection: everybody who waits is answered, once, and nothing is left."""

from __future__ import annotations

import pytest
from support.audio import numbered
from support.call import VirtualCall
from support.serving import traces_of

from audio_connector.call import tells
from audio_connector.call.asks import Close
from audio_connector.call.states import State
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server.link import Link
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)
CLOSE = Close(1000, "")


def end(call: VirtualCall, how: str) -> None:
    if how == "the router closes":
        call.router_socket.close(1000)
    elif how == "the network breaks":
        call.router_socket.reset()
    elif how == "we close":
        call.close()
    else:
        call.link.abort(1001, "the server has stopped")
    call.run_for(0.0)


WAYS = pytest.mark.parametrize("how", ["the router closes", "the network breaks", "we close", "we abort"])


@WAYS
def test_everybody_who_waits_is_answered(how: str) -> None:
    call = VirtualCall(playback={"lead_ms": 200, "max_buffer_s": 1})
    done, playing, waiting = (call.say(FRAME * 50) for _ in range(3))
    call.write(FRAME * 100)
    writer, played = call.stand_in_line(), call.wait_played()
    gone = call.wait_played()
    call.leave(gone)
    call.run_for(1.5)
    assert done.outcome == Played(1000.0)
    end(call, how)
    assert playing.outcome == Interrupted(500.0, 500.0)
    assert waiting.outcome == Interrupted(0.0, 1000.0)
    assert played.answer == Interrupted(500.0, 3500.0)
    assert writer.answer is False
    assert gone.answers == []
    assert call.ended == 1
    assert isinstance(call.told.in_order[-1], tells.Ended)
    assert call.published.progress.queued_ms == 0.0
    assert call.played_ms == 1500.0
    assert call.errors == []


@WAYS
def test_afterwards_nothing_happens_any_more(how: str) -> None:
    call = VirtualCall(timeouts={"ping_interval_s": 1.0, "stall_s": 1.0})
    call.say(FRAME * 500)
    call.run_for(0.5)
    end(call, how)
    assert call.link.armed_at is None
    assert call.machine.state is State.CLOSED
    before = len(call.router.frames), len(call.told.in_order), len(call.told.at_once)
    call.run_for(100.0)
    assert (len(call.router.frames), len(call.told.in_order), len(call.told.at_once)) == before
    assert call.link.wake(call.clock.now) == float("inf")
    assert call.clock.next_timer_at() is None


@WAYS
def test_a_link_that_has_ended_is_forgotten(how: str) -> None:
    before = traces_of(Link)
    call = VirtualCall(timeouts={"ping_interval_s": None})
    call.say(FRAME * 5)
    call.run_for(3.0)
    end(call, how)
    call.run_for(10.0)
    pacer = call.pacer
    assert traces_of(Link) == before + 1
    del call
    assert traces_of(Link) == before
    assert pacer.latest_ms >= 0.0


@WAYS
def test_the_figures_are_exact_and_come_before_the_end_is_told(how: str) -> None:
    call = VirtualCall()
    call.want(credit=1000)
    call.say(FRAME * 500)
    for _ in range(21):
        call.router_sends(FRAME)
        call.run_for(0.0201)
    end(call, how)
    assert call.published == call.figures
    assert call.published.intake.audio_messages == 21
    assert call.published.audio_messages_sent == len(call.router.frames)
    assert not call.published.is_active
    kinds = [type(tell) for tell in call.told.at_once]
    assert kinds[-1] is tells.Ended
    assert tells.Figures not in kinds[kinds.index(tells.Ended) :]


def test_what_was_not_sent_was_not_played() -> None:
    # After the close frame nothing is sent, however long the router takes to answer it.
    call = VirtualCall(playback={"lead_ms": 200})
    speech = call.say(FRAME * 500)
    call.run_for(1.0)
    call.router_socket.pause_reading()
    call.close()
    call.run_for(1.9)
    assert call.end is None
    call.run_for(0.2)
    assert call.end is not None
    assert isinstance(speech.outcome, Interrupted)
    assert speech.outcome.played_ms <= 1000.0 + 220.0
    assert call.published.audio_messages_sent * 20.0 <= 1000.0 + 220.0


def test_also_where_sending_would_have_gone_on_meanwhile() -> None:
    # The format is settled, and the router reads again, while the close frame waits for its answer.
    for call in (VirtualCall(None), VirtualCall()):
        speech = call.say(FRAME * 2000)
        if call.router.frames:
            call.router_socket.pause_reading()
            call.run_for(2.0)
        sent_ms = call.figures.audio_messages_sent * 20.0
        call.ask(CLOSE)
        call.link.on_writable(True)
        call.link.on_writable(True)
        call.router_socket.pause_reading()
        call.run_for(3.0)
        assert isinstance(speech.outcome, Interrupted)
        assert speech.outcome.played_ms <= sent_ms
        assert call.machine.state is State.CLOSED


def test_an_echo_stops_with_the_close_frame() -> None:
    call = VirtualCall()
    for number in range(60):
        call.write(FRAME)
        call.run_for(0.02)
        if number == 29:
            call.router_socket.pause_reading()
            call.ask(CLOSE)
    assert call.figures.audio_messages_sent == 30
    assert call.played_ms <= 600.0


def test_an_echo_stops_where_the_socket_closes_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    call = VirtualCall()
    for number in range(60):
        if number == 30:
            monkeypatch.setattr(MemoryTransport, "is_closing", True)
        call.ask(FRAME)
        call.run_for(0.02)
    assert call.figures.audio_messages_sent == len(call.router.frames) == 30


def test_a_close_waits_for_its_answer_and_not_for_ever() -> None:
    call = VirtualCall()
    call.router_socket.pause_reading()
    call.close(1000, "enough")
    call.run_for(1.9)
    assert call.end is None
    call.run_for(0.2)
    assert call.end == Disconnected(code=1000, reason="enough", closed_by="server")


def test_an_abort_says_what_it_was_for_and_the_first_counts() -> None:
    call = VirtualCall()
    call.link.abort(1001, "the server has stopped")
    call.link.abort(1006, "again")
    call.run_for(0.0)
    assert call.end == Disconnected(code=1001, reason="the server has stopped", closed_by="server")


def test_what_is_asked_while_it_closes_is_answered_at_the_end() -> None:
    call = VirtualCall(playback={"max_buffer_s": 0.1})
    call.write(FRAME * 100)
    call.router_socket.pause_reading()
    call.close()
    speech = call.say(FRAME * 10)
    played, writer, text = call.wait_played(), call.stand_in_line(), call.stand_in_text_line()
    call.send_text("{}")
    assert call.flush().discarded_ms == 2200.0 - 11 * 20 + 11 * 20
    assert speech.outcome == Interrupted(0.0, 200.0)
    assert played.is_done
    assert writer.answer is False
    later = call.wait_played()
    call.run_for(3.0)
    assert call.end is not None
    assert later.is_done
    # Whoever stands in line for a text is told by the end itself, or may send what goes nowhere.
    assert text.answers in ([], [True])
    assert call.router.texts == []
