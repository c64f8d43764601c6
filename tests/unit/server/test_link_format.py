# SPDX-License-Identifier: Apache-2.0
"""The format of a call: from the first message, and nothing is played before it is known."""

from __future__ import annotations

import pytest
from support.audio import numbered, padded, real_speech
from support.call import VirtualCall

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.errors import ProtocolError
from audio_connector.playback.speech import Played
from audio_connector.wire.messages import Connected, Dtmf

FRAME = numbered(7, 640)
RATES_HZ = pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])


def test_nothing_is_sent_before_the_first_message() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(FRAME * 100)
    call.run_for(0.2)
    assert call.router.frames == []
    call.router_says(Connected(format=AudioFormat(16000)))
    assert len(call.router.frames) == 11


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
    call.run_for(3.0)
    assert call.router.report().underruns == 0
    assert len(call.router.frames) == 100


@pytest.mark.parametrize("what", ["audio", "another text"])
def test_whatever_comes_first_instead_settles_the_format(what: str) -> None:
    call = VirtualCall(None)
    call.say(FRAME * 100)
    if what == "audio":
        call.router_sends(FRAME)
    else:
        call.router_says(Dtmf(digit="1"))
    assert len(call.router.frames) == 11
    assert call.link.published.format == AudioFormat(16000)


@RATES_HZ
def test_what_was_queued_before_is_converted(rate_hz: int) -> None:
    call = VirtualCall(None)
    speech = real_speech(16000)
    # As the application writes it as long as it knows no better.
    followed = call.begin(1)
    for at in range(0, len(speech), 6400):
        call.write(speech[at : at + 6400], 1)
    call.write(b"", 1, is_end=True)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    assert call.link.published.format == AudioFormat(rate_hz)
    call.run_for(5.0)
    expected = speech if rate_hz == 16000 else resample(speech, 16000, rate_hz)
    heard = b"".join(call.router.frames)
    assert {len(frame) for frame in call.router.frames} == {AudioFormat(rate_hz).frame_bytes}
    # The end was padded under the old format, so only what is not padding can be compared.
    assert heard[: len(expected) - 100] == expected[:-100]
    assert followed.outcome == Played(len(call.router.frames) * 20.0)
    assert call.router.report().underruns == 0


@RATES_HZ
def test_what_was_on_its_way_meanwhile_is_converted_as_well(rate_hz: int) -> None:
    call = VirtualCall(rate_hz)
    speech = real_speech(16000)
    call.write(speech, rate_hz=16000)
    call.run_for(5.0)
    expected = speech if rate_hz == 16000 else resample(speech, 16000, rate_hz)
    assert b"".join(call.router.frames) == padded(expected, AudioFormat(rate_hz).frame_bytes)


@RATES_HZ
def test_nothing_is_lost_of_the_room(rate_hz: int) -> None:
    # What the application believes to be queued is what it posted less what was taken.
    call = VirtualCall(None)
    call.write(bytes(20_000), rate_hz=16000)
    call.router_says(Connected(format=AudioFormat(rate_hz)))
    call.write(bytes(20_000), rate_hz=16000)
    call.run_for(5.0)
    assert call.link.published.progress.taken_bytes == 40_000


def test_a_format_that_is_not_known_is_reported_and_the_call_goes_on() -> None:
    call = VirtualCall(None)
    call.say(FRAME * 10)
    call.router_socket.send_text('{"event":"websocket:connected","content-type":"audio/l16;rate=44100"}')
    call.run_for(1.0)
    assert [type(error) for error in call.errors] == [ProtocolError]
    assert "44100" in str(call.errors[0])
    assert len(call.router.frames) == 10
    assert call.link.published.format == AudioFormat(16000)


def test_a_first_message_without_a_format_means_16_khz() -> None:
    call = VirtualCall(None)
    call.router_says(Connected())
    assert call.errors == []
    assert call.link.published.format == AudioFormat(16000)


def test_only_the_first_message_counts() -> None:
    call = VirtualCall(24000)
    call.router_says(Connected(format=AudioFormat(8000)))
    assert call.link.published.format == AudioFormat(24000)
    call.say(bytes(960 * 3))
    assert [len(frame) for frame in call.router.frames] == [960] * 3


def test_a_first_message_that_comes_late_changes_what_is_left() -> None:
    call = VirtualCall(None, timeouts={"first_message_s": 0.25})
    call.say(FRAME * 100)
    call.run_for(1.0)
    call.router_says(Connected(format=AudioFormat(8000)))
    call.run_for(3.0)
    assert sorted({len(frame) for frame in call.router.frames}) == [320, 640]
    assert len(call.router.frames) == 100
    assert call.link.published.progress.underruns == 0


@RATES_HZ
def test_messages_of_another_size_than_a_frame_are_counted(rate_hz: int) -> None:
    call = VirtualCall(rate_hz)
    for size_bytes in (320, 640, 960, 100):
        call.router_sends(bytes(size_bytes))
    assert call.link.published.odd_messages == 3
