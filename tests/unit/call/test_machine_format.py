# SPDX-License-Identifier: Apache-2.0
"""The format of a call: from the first message or the first frame, and nothing is played before it is known."""

from __future__ import annotations

import json
from operator import attrgetter

import pytest
from support.audio import counting_pcm, cut, numbered, padded, real_speech
from support.call import FollowedSpeech, VirtualCall

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.call.states import State
from audio_connector.call.tells import Settled
from audio_connector.errors import ProtocolError
from audio_connector.playback.speech import Played
from audio_connector.wire.messages import Connected, Dtmf

FRAME = numbered(7, 640)
RATES_HZ = pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])


def say_early(call: VirtualCall, pcm: bytes, *, rate_hz: int | None = None) -> FollowedSpeech:
    """A speech in pieces of many sizes, odd ones too."""
    followed = call.begin()
    for piece in cut(pcm, [6400, 1, 333, 640]):
        call.write(piece, followed.lane, rate_hz=rate_hz)
    call.end_speech(followed)
    return followed


def test_nothing_is_sent_before_the_first_message() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(FRAME * 100)
    call.run_for(0.2)
    assert call.router.frames == []
    assert call.is_in(State.UNSETTLED)
    call.router_says(Connected(format=AudioFormat(16000)))
    assert len(call.router.frames) == 11
    assert call.is_in(State.OPEN)


def test_a_text_is_not_held_back() -> None:
    call = VirtualCall(None)
    call.say(FRAME * 100)
    call.send_text('{"hello":1}')
    assert call.router.texts == ['{"hello":1}']


def test_the_first_message_is_not_waited_for_in_vain() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(FRAME * 100)
    call.run_until(0.249)
    assert call.router.frames == []
    call.run_until(0.256)
    assert len(call.router.frames) == 11
    assert call.told_of(Settled) == [Settled(AudioFormat(16000), None)]
    call.run_for(3.0)
    assert call.router.report().underruns == 0
    assert len(call.router.frames) == 100


@RATES_HZ
def test_the_size_of_the_first_frame_tells_the_rate(rate_hz: int) -> None:
    call = VirtualCall(None)
    speech = real_speech(rate_hz)
    followed = say_early(call, speech)
    call.run_for(0.1)
    assert call.router.frames == []
    call.router_sends(bytes(rate_hz // 25))
    assert call.told_of(Settled) == [Settled(AudioFormat(rate_hz), None)]
    call.run_for(5.0)
    assert b"".join(call.router.frames) == padded(speech, rate_hz // 25)
    assert followed.outcome == Played(len(call.router.frames) * 20.0)
    # The audio has said so; the clock has nothing to add.
    assert len(call.told_of(Settled)) == 1


@pytest.mark.parametrize("size_bytes", [0, 1, 100, 639, 1280])
def test_a_message_that_is_no_frame_tells_nothing(size_bytes: int) -> None:
    call = VirtualCall(None)
    call.router_sends(bytes(size_bytes))
    assert call.format is None
    call.router_sends(bytes(960))
    assert call.format == AudioFormat(24000)


def test_another_text_tells_nothing() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(FRAME * 100)
    call.router_says(Dtmf(digit="1"))
    assert call.router.frames == []
    call.run_until(0.256)
    assert len(call.router.frames) == 11
    assert call.format == AudioFormat(16000)


@RATES_HZ
def test_what_came_early_without_a_label_is_played_as_it_came(rate_hz: int) -> None:
    call = VirtualCall(None)
    speech = real_speech(rate_hz)
    followed = say_early(call, speech)
    plain = real_speech(rate_hz)[:10_001]
    call.write(plain)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    assert call.format == AudioFormat(rate_hz)
    call.run_for(5.0)
    frame_bytes = AudioFormat(rate_hz).frame_bytes
    assert {len(frame) for frame in call.router.frames} == {frame_bytes}
    spoken = padded(speech, frame_bytes)
    assert b"".join(call.router.frames) == spoken + padded(plain[:-1], frame_bytes)
    assert followed.outcome == Played(len(spoken) / frame_bytes * 20.0)
    assert call.router.report().underruns == 0


@RATES_HZ
@pytest.mark.parametrize("label_hz", [8000, 24000, 44100])
def test_what_came_early_with_a_label_is_converted(rate_hz: int, label_hz: int) -> None:
    call = VirtualCall(None)
    speech = resample(real_speech(16000), 16000, label_hz)
    followed = say_early(call, speech, rate_hz=label_hz)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    call.run_for(5.0)
    expected = speech if rate_hz == label_hz else resample(speech, label_hz, rate_hz)
    frame_bytes = AudioFormat(rate_hz).frame_bytes
    assert {len(frame) for frame in call.router.frames} == {frame_bytes}
    assert b"".join(call.router.frames) == padded(expected, frame_bytes)
    assert followed.outcome == Played(len(call.router.frames) * 20.0)


@RATES_HZ
def test_a_label_holds_once_the_rate_is_known_as_well(rate_hz: int) -> None:
    call = VirtualCall(rate_hz)
    speech = real_speech(16000)
    call.write(speech, rate_hz=16000, is_end=True)
    call.run_for(5.0)
    expected = speech if rate_hz == 16000 else resample(speech, 16000, rate_hz)
    assert b"".join(call.router.frames) == padded(expected, AudioFormat(rate_hz).frame_bytes)


@RATES_HZ
def test_what_is_accepted_is_name_it_came(rate_hz: int) -> None:
    # What the application believes to be queued is what it posted less what was accepted.
    call = VirtualCall(None)
    call.write(bytes(20_000), rate_hz=16000)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    call.write(bytes(20_000), rate_hz=16000)
    call.run_for(5.0)
    assert call.figures.accepted_bytes == 40_000


def test_half_a_sample_waits_for_its_other_half_across_the_settling() -> None:
    call = VirtualCall(None)
    pcm = counting_pcm(6400)
    call.write(pcm[:1001])
    call.router_says(Connected(format=AudioFormat(8000)))
    call.write(pcm[1001:])
    call.run_for(2.0)
    assert b"".join(call.router.frames) == pcm


def test_a_format_that_is_not_known_is_reported_and_the_call_goes_on() -> None:
    call = VirtualCall(None)
    call.say(FRAME * 10)
    call.router_socket.send_text('{"event":"websocket:connected","content-type":"audio/l16;rate=44100"}')
    call.run_for(1.0)
    assert [type(error) for error in call.errors] == [ProtocolError]
    assert "44100" in str(call.errors[0])
    assert len(call.router.frames) == 10
    assert call.format == AudioFormat(16000)


@pytest.mark.parametrize("content_type", ["audio/l16;rate=16000;channels=2", "audio/opus"])
def test_what_is_no_mono_pcm_is_refused_and_not_played(content_type: str) -> None:
    call = VirtualCall(None)
    call.router_socket.send_text(json.dumps({"event": "websocket:connected", "content-type": content_type}))
    call.run_for(0.01)
    call.say(FRAME * 10)
    call.run_for(1.0)
    (error,) = call.errors
    assert isinstance(error, ProtocolError)
    assert repr(content_type) in str(error)
    assert call.router.frames == []
    assert call.ended == 1


def test_after_a_format_that_is_not_known_the_audio_tells() -> None:
    call = VirtualCall(None)
    call.router_socket.send_text('{"event":"websocket:connected","content-type":"audio/l16;rate=44100"}')
    call.router_sends(bytes(320))
    assert call.format == AudioFormat(8000)


def test_a_first_message_without_a_format_is_a_guess_of_16_khz() -> None:
    call = VirtualCall(None)
    call.router_says(Connected())
    assert call.errors == []
    assert call.format == AudioFormat(16000)
    call.router_sends(bytes(960))
    assert call.format == AudioFormat(24000)


def test_a_first_message_without_a_format_changes_nothing_that_the_audio_has_told() -> None:
    call = VirtualCall(None)
    call.router_sends(bytes(320))
    call.router_says(Connected(headers={"a": "b"}))
    assert call.format == AudioFormat(8000)
    settled = call.told_of(Settled)[-1]
    assert settled.first_message is not None
    assert settled.first_message.headers["a"] == "b"
    call.router_sends(bytes(640))
    assert call.format == AudioFormat(8000)


def test_only_the_first_message_counts() -> None:
    call = VirtualCall(24000)
    call.router_says(Connected(format=AudioFormat(8000)))
    assert call.format == AudioFormat(24000)
    call.router_sends(bytes(320))
    assert call.format == AudioFormat(24000)
    call.say(bytes(960 * 3))
    assert [len(frame) for frame in call.router.frames] == [960] * 3


def test_a_text_wins_over_the_audio() -> None:
    call = VirtualCall(None)
    call.say(bytes(640 * 100))
    call.router_sends(bytes(640))
    call.router_says(Connected(format=AudioFormat(8000)))
    assert call.format == AudioFormat(8000)
    assert len(call.told_of(Settled)) == 2
    before = len(call.router.frames)
    call.run_for(5.0)
    assert {len(frame) for frame in call.router.frames[before:]} == {320}


@pytest.mark.parametrize("what", ["a text", "audio"])
def test_what_tells_the_rate_late_changes_what_is_left(what: str) -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(bytes(320 * 200))
    call.run_for(1.0)
    assert call.format == AudioFormat(16000)
    if what == "audio":
        call.router_sends(bytes(320))
    else:
        call.router_says(Connected(format=AudioFormat(8000)))
    assert call.format == AudioFormat(8000)
    sent = len(call.router.frames)
    call.run_for(5.0)
    # What was not sent yet had no label, so it was of the router's rate all along.
    assert [len(frame) for frame in call.router.frames] == [640] * sent + [320] * (200 - 2 * sent)
    assert call.figures.underruns == 0


def test_what_tells_the_rate_late_converts_what_had_a_label() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    speech = real_speech(24000)
    call.write(speech, rate_hz=24000, is_end=True)
    call.run_for(1.0)
    call.router_says(Connected(format=AudioFormat(8000)))
    call.run_for(5.0)
    assert sorted({len(frame) for frame in call.router.frames}) == [320, 640]
    assert len(call.router.frames) * 20.0 == pytest.approx(len(speech) / 48, abs=40)


def test_the_bounds_are_times_whatever_the_rate() -> None:
    for rate_hz in (8000, 24000):
        call = VirtualCall(None, playback={"max_buffer_s": 1, "lead_ms": 40})
        call.router_sends(bytes(rate_hz // 25))
        call.write(bytes(2 * rate_hz * 3))
        call.run_until(1.9)
        writer = call.stand_in_line()
        assert not writer.is_done
        call.run_until(2.05)
        assert writer.answer is True


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_what_tells_the_rate_late_leaves_the_seconds_that_were_counted(rate_hz: int) -> None:
    """They are the sum of a metric, which never drops."""
    call = VirtualCall(None)
    for _ in range(101):
        call.router_sends(bytes(640))
    before = call.machine.format.duration_ms(call.machine.buffer.counters.audio_bytes)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    after = call.machine.format.duration_ms(call.machine.buffer.counters.audio_bytes)
    assert call.machine.format.rate_hz == rate_hz
    assert before == 2020.0
    assert 0 <= after - before < 0.1


@RATES_HZ
def test_messages_of_another_size_than_a_frame_are_counted(rate_hz: int) -> None:
    call = VirtualCall(rate_hz)
    for size_bytes in (320, 640, 960, 100):
        call.router_sends(bytes(size_bytes))
    assert call.figures.odd_messages == 3


def test_a_router_that_does_not_read_before_the_rate_is_known_is_held_after_it() -> None:
    call = VirtualCall(None)
    call.router_socket.pause_reading()
    call.send_text('"' + "x" * 20_000 + '"')
    call.say(FRAME * 10)
    call.run_for(1.0)
    assert call.is_in(State.HELD)
    call.router_socket.resume_reading()
    call.run_for(1.0)
    assert len(call.router.frames) == 10
    assert call.is_in(State.OPEN)


@pytest.mark.parametrize(("guessed_hz", "told_hz"), [(16000, 8000), (8000, 24000)])
def test_what_waited_at_most_was_as_long_at_the_rate_that_is_told_late(guessed_hz: int, told_hz: int) -> None:
    call = VirtualCall(None)
    for _ in range(50):
        call.router_sends(bytes(guessed_hz // 25))
    call.say(bytes(4 * guessed_hz))
    call.run_for(5.0)
    before = call.figures
    call.router_says(Connected(format=AudioFormat(told_hz)))
    after = call.figures
    for peak in ("queued_peak_bytes", "intake.buffered_peak_bytes"):
        was, now = (attrgetter(peak)(figures) for figures in (before, after))
        assert was > 0
        assert now / told_hz == pytest.approx(was / guessed_hz)
