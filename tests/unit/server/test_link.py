# SPDX-License-Identifier: Apache-2.0
"""The driver of a call: one gate for all that is written, and tells in order or at once."""

from __future__ import annotations

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.call import asks, tells
from audio_connector.errors import VideoError
from audio_connector.playback.speech import Answered, Finished
from audio_connector.server.link import BURST_FRAMES
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import MediaUpdate

FRAME = numbered(7, 640)


def sent_while_closing(monkeypatch: pytest.MonkeyPatch, call: VirtualCall, after: int) -> list[bytes]:
    """What is still sent on a socket that closes after so many frames, in the middle of a burst."""
    sent: list[bytes] = []
    monkeypatch.setattr(MemoryTransport, "send_audio", lambda self, frame: sent.append(frame))
    monkeypatch.setattr(MemoryTransport, "is_closing", property(lambda self: len(sent) >= after))
    call.say(FRAME * 200)
    call.run_for(1.0)
    return sent


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_router_that_goes_in_the_middle_of_a_burst_is_sent_no_more(
    monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    # The transport logs a warning for each write after the end.
    assert len(sent_while_closing(monkeypatch, VirtualCall(), after)) == after


def test_a_burst_ends_a_few_frames_after_the_router_reads_no_more() -> None:
    call = VirtualCall(playback={"lead_ms": 7500})
    call.router_socket.pause_reading()
    call.say(FRAME * 400)
    assert call.socket.write_buffer_bytes <= 16384 + BURST_FRAMES * 640


def test_audio_is_told_in_order_only_and_answers_at_once_only() -> None:
    call = VirtualCall()
    call.want(credit=100)
    speech = call.say(FRAME)
    call.flush()
    call.router_sends(FRAME)
    call.router_says(MediaUpdate(active=False))
    call.run_for(1.0)
    assert speech.outcome is not None
    in_order = {type(tell) for tell in call.told.in_order}
    at_once = {type(tell) for tell in call.told.at_once}
    assert not in_order & {Answered, Finished, tells.Figures}
    assert bytes not in at_once
    assert at_once >= {Answered, Finished, tells.Figures, tells.Opened, tells.Settled}


def test_before_it_is_open_nothing_is_written() -> None:
    call = VirtualCall()
    call.link._transport = None
    call.ask(asks.SendText("{}", None))
    assert call.router.texts == []
    assert call.link._unsent_bytes == 0


def test_an_error_is_told_and_the_call_goes_on() -> None:
    call = VirtualCall()
    call.link.report(VideoError("what"))
    assert [str(error) for error in call.errors] == ["what"]
    call.say(FRAME)
    assert call.router.frames == [FRAME]


@pytest.mark.parametrize("kind", ["audio", "echo"])
def test_a_frame_at_rest_costs_no_figures_and_no_timer(kind: str) -> None:
    call = VirtualCall(timeouts={"ping_interval_s": None})
    call.want(credit=1000)
    call.run_for(1.0)
    call.router_sends(FRAME)  # the first has them told
    noted, fired = len(call.told.at_once), call.clock.fired
    for _ in range(4):
        if kind == "audio":
            call.link.on_audio(FRAME)
        else:
            call.link.ask(FRAME)
    assert len(call.told.at_once) == noted
    assert call.clock.fired == fired
