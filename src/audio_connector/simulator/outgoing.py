# SPDX-License-Identifier: Apache-2.0
"""What a simulated call sends: frames, events and garbage, each counted, and none where it would reach nobody."""

from __future__ import annotations

from typing import Final

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.network import Network
from audio_connector.simulator.tally import Tally
from audio_connector.wire.codec import encode_event
from audio_connector.wire.messages import Event
from audio_connector.wire.transport import Transport

QUEUE_S: Final = 1.0
"""The router's own queue to a server (PROTOCOL 2.9); audio that does not fit is dropped."""

UNSENT_TEXT_BYTES: Final = 4 << 20
"""Texts are not dropped as audio is; a server that sends commands and reads no answer has this bound."""


class Outgoing:
    """The way from a call to its server, over all of its connections.

    Args:
        audio_format: Of the call.
        tally: Counts.
    """

    def __init__(self, audio_format: AudioFormat, tally: Tally) -> None:
        self._tally = tally
        self._queue_bytes = int(audio_format.bytes_per_second * QUEUE_S)
        self.transport: Transport | None = None
        """The connection, where there is one."""
        self.network: Network | None = None
        """That of the last connection, where it has one."""
        self.socket: Transport | None = None
        """What is behind that."""
        self.is_writable = True

    def begin(self, transport: Transport) -> None:
        """There is a connection."""
        self.transport = transport
        self.network = transport if isinstance(transport, Network) else None
        self.socket = transport if self.network is None else self.network.socket
        self.is_writable = True

    def end(self) -> None:
        """There is none any more."""
        self.transport = self.socket = None

    @property
    def is_half_open(self) -> bool:
        """Whether the router is gone without a word."""
        return self.network is not None and self.network.is_half_open

    def ready(self) -> Transport | None:
        """The connection, where anything can be sent on it."""
        transport = self.transport
        return None if transport is None or transport.is_closing or self.is_half_open else transport

    def frame(self, frame: bytes, now: float, *, is_speech: bool) -> None:
        """Send 20 ms of audio, or drop them where the server does not read."""
        transport, tally = self.transport, self._tally
        if transport is None or (self.network is not None and self.network.is_half_open):
            return
        if not self.is_writable and transport.write_buffer_bytes > self._queue_bytes:
            tally.frames_dropped += 1
            return
        transport.send_audio(frame)
        tally.bytes_sent += len(frame)
        tally.frames_sent += 1
        if is_speech:
            tally.speech_frames_sent += 1
            if tally.first_speech_at is None:
                tally.first_speech_at = now

    def event(self, event: Event) -> bool:
        """Send an event as the router does, leading blank included (PROTOCOL 2.1); as `text`."""
        is_sent = self.text(encode_event(event, leading_blank=True))
        if is_sent:
            self._tally.keep_event(type(event).__name__)
        return is_sent

    def text(self, text: str) -> bool:
        """Send a text as it is; False where nothing is sent."""
        transport = self.ready()
        if transport is None or (not self.is_writable and transport.write_buffer_bytes > UNSENT_TEXT_BYTES):
            return False
        transport.send_text(text)
        self._tally.bytes_sent += len(text)
        return True

    def audio(self, payload: bytes) -> None:
        """Send a binary message of any size."""
        transport = self.ready()
        if transport is not None:
            transport.send_audio(payload)
            self._tally.bytes_sent += len(payload)

    def raw(self, data: bytes) -> None:
        """Send bytes outside any frame."""
        transport = self.ready()
        if transport is not None:
            transport.write_raw(data)
