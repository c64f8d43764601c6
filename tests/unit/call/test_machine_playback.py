# SPDX-License-Identifier: Apache-2.0
"""Audio through the I/O side of a call, to what a router hears of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, numbered, numbers_of, padded, real_speech
from support.call import VirtualCall
from support.clock import VirtualClock

from audio_connector.audio.format import AudioFormat
from audio_connector.call.asks import SetLead, WriteGranted
from audio_connector.playback.pacer import TICK_S, Pacer
from audio_connector.playback.speech import Played
from audio_connector.server.link import FIGURES_S

FRAME = numbered(7, 640)
TEXT = '{"event":"hello"}'


@pytest.mark.parametrize("lead_ms", [40, 200, 7500])
def test_ten_minutes_in_one_call(lead_ms: int) -> None:
    call = VirtualCall(playback={"lead_ms": lead_ms})
    speech = call.say(b"".join(numbered(1 + k % 60_000, 640) for k in range(30_000)))
    call.run_until(600.0)
    report = call.router.report()
    assert numbers_of(call.router.frames) == [1 + k % 60_000 for k in range(30_000)]
    assert (report.underruns, report.overflow_frames, report.wrong_size_messages) == (0, 0, 0)
    assert report.deepest_ms <= lead_ms + 60
    assert report.played_frames == 30_000
    call.run_for(0.1)
    assert speech.outcome == Played(600_000.0)
    assert call.figures.underruns == 0


@settings(max_examples=30)
@given(
    rate_hz=st.sampled_from([8000, 16000, 24000]),
    sizes=st.lists(st.integers(30, 2500).map(lambda samples: 2 * samples), min_size=1, max_size=10),
    speed=st.sampled_from([2.0, 100.0]),
)
def test_real_speech_in_any_chunks_arrives_bit_for_bit(rate_hz: int, sizes: list[int], speed: float) -> None:
    call = VirtualCall(rate_hz)
    speech = real_speech(rate_hz)
    for chunk in cut(speech, sizes):
        call.write(chunk)
        call.run_for(len(chunk) / (2 * rate_hz * speed))
    call.run_for(5.0)
    frame_bytes = AudioFormat(rate_hz).frame_bytes
    assert {len(frame) for frame in call.router.frames} == {frame_bytes}
    assert b"".join(call.router.frames) == padded(speech, frame_bytes)


@given(jitter_ms=st.lists(st.integers(0, 70), min_size=100, max_size=100))
def test_an_echo_of_a_jittery_router_has_no_gap(jitter_ms: list[int]) -> None:
    call = VirtualCall()
    at = 0.0
    for number, late_ms in enumerate(jitter_ms):
        at = max(at, number * 0.02 + late_ms / 1000)
        call.run_until(at)
        call.write(numbered(1 + number, 640))
    call.run_for(1.0)
    report = call.router.report()
    assert numbers_of(call.router.frames) == list(range(1, 101))
    assert report.underruns == call.figures.underruns == 0
    assert call.figures.audio_messages_sent == 100


def test_an_echo_is_delayed_by_the_prime_and_no_more() -> None:
    call = VirtualCall(playback={"prime_ms": 100})
    for number in range(200):
        call.write(numbered(1 + number, 640))
        call.run_for(0.02)
    late_s = [arrival.at - call.start - k * 0.02 for k, arrival in enumerate(call.router.arrivals)]
    assert max(late_s) == pytest.approx(0.08, abs=1e-6)
    assert max(late_s[5:]) == pytest.approx(0.0, abs=1e-6)


def test_a_text_overtakes_what_waits_and_not_what_was_sent() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(FRAME * 100)
    call.send_text(TEXT)
    call.run_for(5.0)
    kinds = ["text" if isinstance(arrival.message, str) else "audio" for arrival in call.router.arrivals]
    assert kinds == ["audio"] * 11 + ["text"] + ["audio"] * 89
    assert call.figures.text_messages_sent == 1


def test_several_calls_share_a_pacer_and_each_has_its_own_clock() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock.time, clock.call_later, VirtualCall._fail)
    calls = []
    for _ in range(20):
        calls.append(VirtualCall(clock=clock, pacer=pacer))
        clock.run_for(0.0037)
        calls[-1].say(FRAME * 500)
    clock.run_for(11.0)
    assert [call.router.report().underruns for call in calls] == [0] * 20
    assert [call.router.report().played_frames for call in calls] == [500] * 20
    assert max(call.router.report().deepest_ms for call in calls) <= 260


def test_a_longer_lead_takes_effect_at_once() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    call.say(FRAME * 1000)
    call.ask(SetLead(7.5))
    call.run_for(0.0)
    assert len(call.router.frames) == 376
    call.run_for(25.0)
    assert call.router.report().underruns == 0


def test_what_is_published_is_what_the_router_plays() -> None:
    call = VirtualCall(playback={"lead_ms": 200})
    speech = call.say(FRAME * 100)
    call.run_for(FIGURES_S + TICK_S)
    for _ in range(100):
        call.run_for(0.0131)
        heard_ms = (call.router.report().played_frames - 1) * 20.0
        assert call.played_ms == heard_ms
        assert speech.played_ms == heard_ms
    queued_ms, in_flight_ms = call.figures.progress.queued_ms, call.router.playout.buffered_ms
    assert queued_ms + in_flight_ms + call.played_ms + 20.0 == 2000.0
    assert call.figures.queued_peak_bytes == 64_000


def test_a_speech_that_comes_frame_by_frame_is_followed_frame_by_frame() -> None:
    call = VirtualCall(playback={"lead_ms": 200, "prime_ms": 100})
    speech = call.begin()
    for number in range(100):
        call.write(FRAME, speech.lane)
        call.run_for(0.0199)
        assert speech.played_ms == call.played_ms
        assert call.played_ms == max(0, number - 4) * 20.0
        call.run_for(0.0001)
    assert call.router.report().underruns == 0


def test_what_is_held_back_behind_single_frames_is_played_in_time() -> None:
    call = VirtualCall()
    pcm = counting_pcm(21 * 640 - 100)
    for at in range(0, len(pcm), 640):
        call.write(pcm[at : at + 640])
        call.run_for(0.02)
    call.run_for(1.0)
    assert b"".join(call.router.frames) == padded(pcm, 640)
    assert call.router.report().underruns == 0


def test_who_stands_in_line_is_granted_a_piece_at_a_time_and_in_order() -> None:
    call = VirtualCall(playback={"lead_ms": 200, "max_buffer_s": 1})
    call.write(FRAME * 100)
    first, second = call.stand_in_line(), call.stand_in_line()
    call.run_until(0.75)
    assert not first.is_done
    call.run_until(0.85)
    assert (first.answers, second.answers) == ([True], [])
    call.ask(WriteGranted(first.token, FRAME * 50, None, True))
    call.run_for(0.02)
    assert (first.answers, second.answers) == ([True], [])
    call.run_until(1.9)
    assert (first.answers, second.answers) == ([True, True], [])
    call.ask(WriteGranted(first.token, FRAME, None, False))
    assert second.answers == [True]
    call.leave(second)
    call.run_for(5.0)
    assert len(call.router.frames) == 151
    assert call.router.report().underruns == 0


def test_who_waits_until_all_was_played_is_answered_when_it_was() -> None:
    call = VirtualCall()
    nothing = call.wait_played()
    assert nothing.answer == Played(0.0)
    call.say(FRAME * 100)
    reply = call.wait_played()
    call.run_for(1.999)
    assert not reply.is_done
    call.run_for(0.007)
    assert reply.is_done
    # The clock of the router agrees, but for the rounding to wake-ups.
    assert call.router.report().buffered_frames == 0


def test_the_speeches_of_one_call_end_in_order_and_each_is_answered() -> None:
    call = VirtualCall()
    speeches = [call.say(counting_pcm(10_000)) for _ in range(5)]
    assert all(speech.outcome is None for speech in speeches)
    call.run_for(2.0)
    assert [speech.outcome for speech in speeches] == [Played(320.0)] * 5
    assert call.router.report().underruns == 0


def test_a_notify_that_comes_back_corrects_the_clock() -> None:
    call = VirtualCall(playback={"lead_ms": 1000})
    call.say(FRAME * 500)
    command = {"action": "notify", "payload": {"here": 1}}
    call.send_text(json.dumps(command))
    call.run_for(2.0)
    # All 51 frames that were sent before it were heard 1.02 s after the beginning; the router says so late.
    call.router_socket.send_text('{"event":"websocket:notify","payload":{"here":1}}')
    before = len(call.router.frames)
    call.run_for(0.5)
    assert len(call.router.frames) == before, "it holds a second more than was thought"
    call.run_for(12.0)
    assert len(call.router.frames) == 500
