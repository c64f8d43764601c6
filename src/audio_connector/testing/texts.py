# SPDX-License-Identifier: Apache-2.0
"""Notes every text message that a server sends, between the socket and the simulated call."""

from __future__ import annotations

from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.json_audio import find_audio
from audio_connector.wire.transport import Closed, Receiver, Transport, Upgrade


class TextTap:
    """A `Receiver` that passes everything on.

    Args:
        receiver: To this one.
        audio_transport: Tells texts that are audio, which are not noted.
        texts: Where the others are noted.
    """

    def __init__(self, receiver: Receiver, audio_transport: AudioTransport, texts: list[str]) -> None:
        self._receiver = receiver
        self._texts = texts
        self._fields = (audio_transport.to_router_field,) if audio_transport.is_json else ()

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""
        self._receiver.on_open(transport, upgrade)

    def on_audio(self, payload: bytes) -> None:
        """A binary message."""
        self._receiver.on_audio(payload)

    def on_text(self, text: str) -> None:
        """A text message."""
        if not self._fields or find_audio(text, self._fields) is None:
            self._texts.append(text)
        self._receiver.on_text(text)

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""
        self._receiver.on_pong(payload)

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up or drained."""
        self._receiver.on_writable(writable)

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
        self._receiver.on_closed(closed)
