# SPDX-License-Identifier: Apache-2.0
"""A router that does not read, or reads slowly: bounded memory, bounded time, and no false alarm."""

from __future__ import annotations

import json

import pytest
from support.audio import numbered, numbers_of
from support.call import VirtualCall

from audio_connector.errors import RouterStalled
from audio_connector.playback.speech import Interrupted
from audio_connector.server.link import BURST_FRAMES
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)
HIGH_BYTES = 16384


def test_a_router_that_never_reads_is_held_reported_and_given_up() -> None:
    call = VirtualCall(timeouts={"stall_s": 10.0, "ping_interval_s": None})
    call.router_socket.pause_reading()
    speech, writer = call.say(FRAME * 3000), call.stand_in_line()
    peak_bytes = 0
    for _ in range(100):
        call.run_for(0.1)
        peak_bytes = max(peak_bytes, call.socket.write_buffer_bytes)
    # Held as soon as it was noticed: what is unsent is the mark and what of a burst was on its way.
    assert HIGH_BYTES < peak_bytes <= HIGH_BYTES + BURST_FRAMES * 640
    assert call.figures.stalls == 1
    assert call.errors == []
    call.run_for(1.0)
    assert [type(error) for error in call.errors] == [RouterStalled]
    assert call.socket.is_closing
    how = Disconnected(code=1006, reason="the router stopped reading", closed_by="server")
    assert call.end == how
    assert writer.is_done
    assert isinstance(speech.outcome, Interrupted)
    assert speech.outcome.played_ms + speech.outcome.discarded_ms == 60_000.0
    assert call.ended == 1


def test_once_it_reads_again_everything_goes_on() -> None:
    call = VirtualCall(timeouts={"stall_s": 10.0})
    call.say(b"".join(numbered(1 + k, 640) for k in range(1000)))
    call.run_until(2.0)
    call.router_socket.pause_reading()
    call.run_until(9.0)
    assert call.figures.stalls == 1
    before = len(call.router.frames)
    call.router_socket.resume_reading()
    call.run_for(0.0)
    assert len(call.router.frames) > before
    call.run_for(30.0)
    assert call.errors == []
    assert numbers_of(call.router.frames) == list(range(1, 1001))
    assert call.figures.underruns == 1
    assert call.router.report().underruns == 1
    assert call.router.report().deepest_ms <= HIGH_BYTES / 32 + 220


@pytest.mark.parametrize("held_s", [0.05, 0.15])
def test_a_short_stall_is_bridged_by_what_the_router_holds(held_s: float) -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(FRAME * 500)
    for _ in range(20):
        call.run_for(0.3)
        call.router_socket.pause_reading()
        call.run_for(held_s)
        call.router_socket.resume_reading()
    call.run_for(5.0)
    assert call.router.report().underruns == 0
    assert call.router.report().played_frames == 500


def test_a_router_that_reads_slowly_is_not_taken_for_one_that_does_not_read() -> None:
    # One message in 10 ms (PROTOCOL 4.14), and a lead that takes it 30 s to read.
    call = VirtualCall(playback={"lead_ms": 60_000}, timeouts={"stall_s": 10.0}, intake={"max_texts": 10})
    call.router_socket.slow(0.01)
    call.say(FRAME * 6000)
    call.run_for(200.0)
    assert call.errors == []
    assert call.router.report().underruns == 0
    assert call.router.report().overflow_frames == 0
    assert len(call.router.frames) == 6000


def test_a_router_that_slows_down_and_stops_is_given_up_after_the_stop() -> None:
    call = VirtualCall(playback={"lead_ms": 60_000}, timeouts={"stall_s": 10.0})
    call.router_socket.slow(0.01)
    call.say(FRAME * 6000)
    call.run_until(15.0)
    call.router_socket.pause_reading()
    call.run_until(24.7)
    assert call.errors == []
    call.run_until(25.1)
    assert [type(error) for error in call.errors] == [RouterStalled]


def test_the_alarm_is_raised_once_although_writes_go_on() -> None:
    call = VirtualCall(timeouts={"stall_s": 10.0, "ping_interval_s": None})
    call.router_socket.pause_reading()
    call.say(FRAME * 3000)
    for _ in range(1100):
        call.run_for(0.01)
        if call.end is None:
            call.write(FRAME)
    assert [type(error) for error in call.errors] == [RouterStalled]


def test_a_flush_at_a_router_that_does_not_read_leaves_it_held() -> None:
    call = VirtualCall()
    call.router_socket.pause_reading()
    call.say(FRAME * 1000)
    call.run_for(1.0)
    call.flush()
    call.say(FRAME * 100)
    call.run_for(1.0)
    assert call.socket.write_buffer_bytes <= HIGH_BYTES + BURST_FRAMES * 640 + 100
    call.router_socket.resume_reading()
    call.run_for(5.0)
    assert call.errors == []
    assert call.router.report().buffered_frames == 0


@pytest.mark.parametrize("kernel_bytes", [0, 32768])
@pytest.mark.parametrize("per_message_s", [0.02, 0.03, 0.1])
def test_a_clear_waits_behind_no_more_than_the_write_buffer_and_a_burst(
    kernel_bytes: int, per_message_s: float
) -> None:
    # With the vendor's own lead of 7.5 s it was 3 s late, behind 5.6 s of audio.
    call = VirtualCall(kernel_bytes=kernel_bytes, playback={"lead_ms": 7500}, timeouts={"stall_s": 60.0})
    call.router_socket.slow(per_message_s)
    call.say(FRAME * 2000)
    most = 0
    for _ in range(30):
        call.run_for(0.21)
        before = len(call.router.frames)
        call.flush()
        behind = call.socket.write_buffer_bytes
        assert behind <= HIGH_BYTES + BURST_FRAMES * 640 + 100
        call.router_socket.slow(0.0)
        call.run_for(per_message_s)
        most = max(most, len(call.router.frames) - before)
        assert call.router.texts[-1] == CLEAR_FORMS["event"]
        call.router_socket.slow(per_message_s)
        call.say(FRAME * 2000)
    assert most * 640 <= kernel_bytes + HIGH_BYTES + BURST_FRAMES * 640


def test_a_burst_at_a_router_that_reads_is_not_held_up() -> None:
    call = VirtualCall(kernel_bytes=65536, playback={"lead_ms": 7500})
    call.say(FRAME * 1000)
    call.run_for(0.0)
    assert len(call.router.frames) == 376 or call.figures.stalls
    call.run_for(1.0)
    assert len(call.router.frames) >= 376


def test_texts_wait_while_the_router_does_not_read() -> None:
    call = VirtualCall(timeouts={"stall_s": 1000.0})
    call.router_socket.pause_reading()
    text = json.dumps({"text": "x" * 10_000})
    for _ in range(60):
        call.send_text(text)
    assert call.errors == []
    assert call.socket.write_buffer_bytes <= HIGH_BYTES + 2 * len(text)
    standing = [call.stand_in_text_line() for _ in range(3)]
    assert [wait.is_done for wait in standing] == [False] * 3
    call.router_socket.resume_reading()
    call.run_for(1.0)
    assert [wait.is_done for wait in standing] == [True, False, False], "one at a time"
    for number, wait in enumerate(standing):
        assert wait.answer is True
        call.send_text(str(number), wait)
    assert call.router.texts == [text] * 60 + ["0", "1", "2"]
    assert call.figures.texts_taken == 60 * len(text) + 3
