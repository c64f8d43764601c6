# SPDX-License-Identifier: Apache-2.0
"""Notes every text message that a server sends, between the socket and the simulated call."""

from __future__ import annotations

import json

from audio_connector.wire.audio_transport import EVENT_PREFIX, AudioTransport
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
        self._audio_field = audio_transport.to_router_field if audio_transport.is_json else None

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""
        self._receiver.on_open(transport, upgrade)

    def on_audio(self, payload: bytes) -> None:
        """A binary message."""
        self._receiver.on_audio(payload)

    def on_text(self, text: str) -> None:
        """A text message."""
        if self._audio_field is None or not self._is_audio(text):
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

    def _is_audio(self, text: str) -> bool:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return (
            isinstance(values, dict)
            and isinstance(values.get(self._audio_field), str)
            and not str(values.get("event")).startswith(EVENT_PREFIX)
        )
