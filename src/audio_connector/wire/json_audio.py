# SPDX-License-Identifier: Apache-2.0
"""Audio as base64 in JSON: stands between a socket and whoever knows audio as bytes (PROTOCOL 4b).

Towards the socket it is a receiver, towards the wrapped receiver a transport, and both in between believe that
audio crosses the wire in binary messages. A text is audio if one of the audio fields is a string and no ``event``
begins with ``websocket:`` (PROTOCOL 4.35); every other text passes unchanged.

Which side the two field names are seen from is contradictory (PROTOCOL 4.32). So the server's end takes audio under
either, and sends it under the one that the documentation means. The router's end is what servers are tested with,
and takes and sends what the documentation says and nothing else.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.errors import ProtocolError
from audio_connector.wire.audio_transport import EVENT_PREFIX, AudioTransport
from audio_connector.wire.codec import encode_json, parse_object
from audio_connector.wire.transport import Closed, ClosedBy, Receiver, Transport, Upgrade

Role: TypeAlias = Literal["server", "router"]
"""Whose end of the wire it is."""

_SHOWN_CHARS: Final = 24

_ADVICE: Final = {
    "server": "the text was handed on as it came. Compare audio_transport with audioTransport of the REST call",
    "router": "it was not played. Send each frame as the server's audio_transport says",
}


class JsonAudio:
    """One end of a WebSocket whose audio is in JSON; a `Receiver` of its socket and a `Transport` of its receiver.

    Args:
        receiver: Is told of audio as bytes, and of everything else as it is.
        audio_transport: The names of the fields.
        role: Whose end this is.
        on_fault: Told of each message that should be audio and is none. Its text reaches the receiver's ``on_text``,
            so nothing is lost.
    """

    def __init__(
        self,
        receiver: Receiver,
        audio_transport: AudioTransport,
        *,
        role: Role,
        on_fault: Callable[[ProtocolError], None],
    ) -> None:
        self._receiver = receiver
        self._on_fault = on_fault
        self._role = role
        self._transport: Transport = None  # type: ignore[assignment]  # set by on_open, before any use
        to_server, to_router = audio_transport.to_server_field, audio_transport.to_router_field
        self._is_server = role == "server"
        # Each once, in the order in which they are looked for.
        self._fields = tuple(dict.fromkeys((to_server, to_router) if self._is_server else (to_router,)))
        outer = {to_router: ""} if self._is_server else {**audio_transport.static_fields, to_server: ""}
        self._prefix = encode_json(outer).removesuffix('"}')
        """All of a message up to the base64, which comes last."""

    # The socket calls these.

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""
        self._transport = transport
        self._receiver.on_open(self, upgrade)

    def on_audio(self, payload: bytes) -> None:
        """A binary message: audio at the server's end, where it can mean nothing else; a fault at the router's."""
        if self._is_server:
            self._receiver.on_audio(payload)
        else:
            self._complain(f"a binary message of {len(payload)} bytes", self._fields[0])

    def on_text(self, text: str) -> None:
        """The path of every incoming frame, and of events."""
        pcm = self._audio_of(text)
        if pcm is None:
            self._receiver.on_text(text)
        else:
            self._receiver.on_audio(pcm)

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""
        self._receiver.on_pong(payload)

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up (False) or drained (True)."""
        self._receiver.on_writable(writable)

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
        self._receiver.on_closed(closed)

    def _audio_of(self, text: str) -> bytes | None:
        found = find_audio(text, self._fields)
        return None if found is None else self._read(*found)

    def _read(self, encoded: str, field: str) -> bytes | None:
        pcm = decode_base64(encoded)
        if pcm is None:
            shown = encoded if len(encoded) <= _SHOWN_CHARS else encoded[:_SHOWN_CHARS] + "..."
            self._complain(f"{shown!r} of {len(encoded)} characters, which is not base64,", field)
        elif len(pcm) % SAMPLE_BYTES:
            self._complain(f"base64 of an odd number of bytes, {len(pcm)},", field)
            pcm = None
        return pcm

    def _complain(self, what: str, field: str) -> None:
        self._on_fault(
            ProtocolError(
                f"got {what} as audio; expected base64 of whole 16-bit samples under {field!r} in a JSON text; "
                f"{_ADVICE[self._role]}"
            )
        )

    # The wrapped receiver calls these.

    def send_audio(self, frame: bytes) -> None:
        """Send one frame as one text message."""
        encoded = binascii.b2a_base64(frame, newline=False).decode("ascii")
        self._transport.send_text(f'{self._prefix}{encoded}"}}')

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._transport.send_text(text)

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self._transport.send_ping(payload)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake."""
        self._transport.close(code, reason)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def reset(self) -> None:
        """End it with a TCP reset."""
        self._transport.reset()

    def disown(self) -> None:
        """Tell the receiver nothing more."""
        self._transport.disown()

    def pause_reading(self) -> None:
        """Read nothing more."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def write_raw(self, data: bytes) -> None:
        """Put bytes into the stream outside any frame."""
        self._transport.write_raw(data)

    @property
    def write_buffer_bytes(self) -> int:
        """Bytes that the kernel has not taken yet, a third more than the audio in them."""
        return self._transport.write_buffer_bytes

    @property
    def is_closing(self) -> bool:
        """True from the first close frame, or the end, on."""
        return self._transport.is_closing

    @property
    def closed_by(self) -> ClosedBy:
        """Who has sent the first close frame; "network" where nobody has."""
        return self._transport.closed_by


def find_audio(text: str, fields: Sequence[str]) -> tuple[str, str] | None:
    """Find the audio in a text (PROTOCOL 4.35).

    Args:
        text: A text message.
        fields: The names that audio may have; the first one that is a string counts.

    Returns:
        The audio as it was sent, read or not, and its name; None where the text is something else.
    """
    values = parse_object(text)
    if values is None:
        return None
    event = values.get("event")
    if isinstance(event, str) and event.startswith(EVENT_PREFIX):
        return None
    for field in fields:
        encoded = values.get(field)
        if isinstance(encoded, str):
            return encoded, field
    return None


def decode_base64(text: str) -> bytes | None:
    """Read base64 with its padding (RFC 4648 4); None for anything else.

    The decoder passes over what is not in the alphabet, and its strict mode came with Python 3.11. But whatever it
    passes over is missing in the end: with a length that is a multiple of four, each character less is a byte less.
    """
    if len(text) % 4:
        return None
    try:
        data = binascii.a2b_base64(text)
    except ValueError:  # binascii.Error is one; also for what is not ASCII
        return None
    return data if len(data) == len(text) // 4 * 3 - text.count("=", -2) else None
