# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from support.clock import VirtualClock
from support.stage import FRAME, UPGRADE, FakeTransport, Ticks

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.network import Network
from audio_connector.simulator.outgoing import UNSENT_TEXT_BYTES, Outgoing
from audio_connector.simulator.tally import Tally
from audio_connector.wire.messages import Cleared
from audio_connector.wire.transport import Closed, Transport, Upgrade


class Way:
    """An outgoing way, its counts and its socket."""

    def __init__(self, rate_hz: int = 16000) -> None:
        self.tally = Tally()
        self.out = Outgoing(AudioFormat(rate_hz), self.tally)
        self.socket = FakeTransport()

    def open(self) -> Way:
        self.out.begin(self.socket)
        return self

    def send_all(self) -> list[bool]:
        """One of each."""
        self.out.frame(FRAME, 1.0, is_speech=True)
        self.out.audio(b"!")
        self.out.raw(b"?")
        return [self.out.event(Cleared()), self.out.text("x")]


def test_each_is_sent_and_counted() -> None:
    way = Way().open()
    assert way.send_all() == [True, True]
    cleared = ' {"event":"websocket:cleared"}'
    assert [(kind, payload) for _, kind, payload in way.socket.sent] == [
        ("audio", FRAME), ("audio", b"!"), ("raw", b"?"), ("text", cleared), ("text", "x"),
    ]  # fmt: skip
    tally = way.tally
    assert tally.bytes_sent == 640 + 1 + len(cleared) + 1
    assert (tally.frames_sent, tally.speech_frames_sent, tally.first_speech_at) == (1, 1, 1.0)
    assert tally.events_sent == ["Cleared"]


def test_the_first_speech_is_no_silence_and_is_noted_once() -> None:
    way = Way().open()
    for at, is_speech in ((1.0, False), (2.0, True), (3.0, True)):
        way.out.frame(FRAME, at, is_speech=is_speech)
    assert (way.tally.first_speech_at, way.tally.speech_frames_sent, way.tally.frames_sent) == (2.0, 2, 3)


def nothing_was_sent(way: Way) -> bool:
    tally = way.tally
    return (way.socket.sent, tally.bytes_sent, tally.frames_sent, tally.events_sent) == ([], 0, 0, [])


def test_without_a_connection_nothing_is_sent_or_counted() -> None:
    way = Way()
    assert way.send_all() == [False, False]
    assert nothing_was_sent(way)
    way.open().out.end()
    assert way.send_all() == [False, False]
    assert nothing_was_sent(way)


def test_on_a_half_open_connection_neither() -> None:
    class Nobody:
        def on_open(self, transport: Transport, upgrade: Upgrade) -> None: ...
        def on_audio(self, payload: bytes) -> None: ...
        def on_text(self, text: str) -> None: ...
        def on_pong(self, payload: bytes) -> None: ...
        def on_writable(self, writable: bool) -> None: ...
        def on_closed(self, closed: Closed) -> None: ...

    way, clock = Way(), VirtualClock()
    network = Network(Nobody(), clock=clock.time, add=Ticks(clock).add)
    network.on_open(way.socket, UPGRADE)
    way.out.begin(network)
    assert way.out.network is network
    network.half_open()
    assert way.out.is_half_open
    assert way.send_all() == [False, False]
    assert nothing_was_sent(way)


def test_texts_and_garbage_wait_for_no_closing_connection() -> None:
    way = Way().open()
    way.socket.is_closing = True
    assert way.out.ready() is None
    assert not way.out.text("x")
    way.out.audio(b"!")
    way.out.raw(b"?")
    assert nothing_was_sent(way)


@pytest.mark.parametrize(("rate_hz", "queue_bytes"), [(8000, 16000), (16000, 32000), (24000, 48000)])
def test_a_server_that_does_not_read_costs_audio_after_one_second(rate_hz: int, queue_bytes: int) -> None:
    way = Way(rate_hz).open()
    way.socket.write_buffer_bytes = queue_bytes + 1
    way.out.frame(FRAME, 1.0, is_speech=True)
    assert way.tally.frames_sent == 1  # it is still read
    way.out.is_writable = False
    way.socket.write_buffer_bytes = queue_bytes
    way.out.frame(FRAME, 1.0, is_speech=True)
    assert way.tally.frames_dropped == 0
    way.socket.write_buffer_bytes = queue_bytes + 1
    way.out.frame(FRAME, 1.0, is_speech=True)
    assert (way.tally.frames_sent, way.tally.frames_dropped) == (2, 1)


def test_texts_have_a_bound_too() -> None:
    way = Way().open()
    way.out.is_writable = False
    way.socket.write_buffer_bytes = UNSENT_TEXT_BYTES
    assert way.out.text("x")
    way.socket.write_buffer_bytes += 1
    assert not way.out.text("x")
    assert way.tally.events_sent == []


def test_the_next_connection_is_writable() -> None:
    way = Way().open()
    way.out.is_writable = False
    way.open()
    assert way.out.is_writable
