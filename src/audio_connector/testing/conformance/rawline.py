# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client that sees and writes every byte: headers as given, frames as they are, right or wrong.

`wire.picows` is the client of the other checks. This one is for what a well-behaved client hides: how the answer
to an upgrade reads, whether messages are fragmented, what a close frame holds; and for what it refuses to send.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final, cast

from audio_connector.wire.addresses import NO_LINGER
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Nobody, Receiver, Upgrade

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

MOST_MESSAGE_BYTES: Final = 1 << 20
"""As much as the other checks' client takes; the connection to a server that sends more is dropped."""

_MOST_HEAD_BYTES: Final = 65536
_MOST_FAULTS: Final = 20
_STATUS_DIGITS: Final = 3
_MOST_CONTROL_BYTES: Final = 125
_SIZE_16, _SIZE_64 = 126, 127
SWITCHING: Final = 101
"""HTTP status of a server that takes the upgrade."""

_CODE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to an HTTP request."""

    status: int
    headers: Headers


def encode_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True
) -> bytes:
    """Write one frame, as a client does or in a way that no client may."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    flag = 0x80 if mask else 0
    if size < _SIZE_16:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", flag | _SIZE_16, size)
    else:
        head += struct.pack("!BQ", flag | _SIZE_64, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stream = int.from_bytes((key * (size // 4 + 1))[:size], "big") ^ int.from_bytes(payload, "big")
    return head + key + stream.to_bytes(size, "big")


def close_payload(code: int | None, reason: str = "") -> bytes:
    """The payload of a close frame; None puts no code into it."""
    return b"" if code is None else struct.pack("!H", code) + reason.encode()


class RawLine(asyncio.Protocol):
    """One connection; a `wire.transport.Transport` that also does what that may not.

    Attributes:
        response: The answer to the upgrade.
        fragmented: Messages of the server that came in more than one frame.
        faults: What of the server's frames RFC 6455 does not allow, up to a bound.
        close_payload: Of the server's close frame; None until there is one.
        close_came_at: When that came, in seconds of the loop's clock.
        is_ended: The server ended its side of the stream.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.response: Response | None = None
        self.fragmented = 0
        self.faults: list[str] = []
        self.close_payload: bytes | None = None
        self.close_came_at = 0.0
        self.is_ended = False
        self.answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._receiver = receiver
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._buffer = bytearray()
        self._message = bytearray()
        self._message_frames = self._message_kind = 0
        self._own_close: Closed | None = None
        self._is_open = False
        self._has_ended_stream = False

    # Transport

    def send_audio(self, frame: bytes) -> None:
        """Send one binary message."""
        self.write_raw(encode_frame(BINARY, frame))

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self.write_raw(encode_frame(TEXT, text.encode()))

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self.write_raw(encode_frame(PING, payload))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, once."""
        if not self.is_closing:
            self.send_close(close_payload(code, reason))

    def send_close(self, payload: bytes) -> None:
        """Send a close frame with any payload."""
        code = int.from_bytes(payload[:_CODE_BYTES], "big") or 1005
        self._own_close = Closed(code, payload[_CODE_BYTES:].decode("utf-8", "replace"), closed_by="us")
        self._transport.write(encode_frame(CLOSE, payload))

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def reset(self) -> None:
        """End it with a TCP reset."""
        if not self._transport.is_closing():  # then the socket may be gone
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._transport.abort()

    def end_stream(self) -> bool:
        """Say that nothing more will be sent, and stay; False where TLS does not know that."""
        if not self._transport.can_write_eof():
            return False
        self._has_ended_stream = True
        self._transport.write_eof()
        return True

    def disown(self) -> None:
        """Tell the receiver nothing more."""
        self._receiver = Nobody()

    def pause_reading(self) -> None:
        """Read nothing more."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def write_raw(self, data: bytes) -> None:
        """Write bytes, while no close frame was sent."""
        if not self.is_closing:
            self._transport.write(data)

    @property
    def write_buffer_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        """True from the first close frame, or the end of the stream, on."""
        is_told = self._own_close is not None or self.close_payload is not None
        return is_told or self._has_ended_stream or self._transport.is_closing()

    @property
    def closed_by(self) -> ClosedBy:
        """Who has sent the first close frame; "network" where nobody has."""
        return self._how_closed().closed_by

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # by name: uvloop's inherit from nothing

    def data_received(self, data: bytes) -> None:
        """Read the answer to the upgrade, then frames."""
        self._buffer += data
        if self.response is None and not self._read_response():
            return
        while not self._transport.is_closing() and self._read_frame():
            pass

    def eof_received(self) -> bool:
        """Stay, where only the server's side ended: the close comes from `connection_lost`."""
        self.is_ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver."""
        self.is_ended = True
        if not self.answered.done():
            self.answered.set_result(None)
        if self._is_open:
            self._receiver.on_closed(self._how_closed())

    def pause_writing(self) -> None:
        """Tell the receiver."""
        self._receiver.on_writable(False)

    def resume_writing(self) -> None:
        """Tell the receiver."""
        self._receiver.on_writable(True)

    def _read_response(self) -> bool:
        head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not end and len(head) < _MOST_HEAD_BYTES:
            return False
        self._buffer = bytearray(rest)
        self.response = _parse_response(head)
        if self.response.status == SWITCHING:
            self._is_open = True
            self._receiver.on_open(self, Upgrade("/", "", Headers(), ("", 0), secure=False))
        if not self.answered.done():
            self.answered.set_result(self.response)
        return self._is_open

    def _read_frame(self) -> bool:
        """Take one whole frame from the buffer; False where there is none."""
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 - the shortest frame
            return False
        first, second = buffer[0], buffer[1]
        size, at = second & 0x7F, 2
        if size >= _SIZE_16:
            size_bytes = 2 if size == _SIZE_16 else 8
            size, at = int.from_bytes(buffer[2 : 2 + size_bytes], "big"), 2 + size_bytes
        if second & 0x80:
            at += 4
        if len(buffer) >= at and len(self._message) + size > MOST_MESSAGE_BYTES:
            self._note_fault(f"a message of more than {MOST_MESSAGE_BYTES:,} bytes")
            self._transport.abort()
            return False
        if len(buffer) < at + size:
            return False
        if second & 0x80:
            self._note_fault("a masked frame")
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        self._take(first & 15, payload, fin=bool(first & 0x80), rsv=first >> 4 & 7)
        return True

    def _take(self, opcode: int, payload: bytes, *, fin: bool, rsv: int) -> None:
        if rsv:
            self._note_fault(f"a frame with the reserved bits {rsv:03b}")
        if opcode >= CLOSE:
            if not fin or len(payload) > _MOST_CONTROL_BYTES:
                self._note_fault("a control frame that is fragmented or too long")
            self._take_control(opcode, payload)
            return
        if opcode == CONTINUATION:
            if not self._message_kind:
                self._note_fault("a continuation of nothing")
        elif opcode > BINARY:
            self._note_fault(f"a frame of the unknown kind {opcode}")
        else:
            self._message_kind = opcode
        self._message += payload
        self._message_frames += 1
        if not fin:
            return
        message, kind = bytes(self._message), self._message_kind
        self.fragmented += self._message_frames > 1
        self._message.clear()
        self._message_frames = self._message_kind = 0
        if kind == TEXT:
            self._receiver.on_text(message.decode("utf-8", "replace"))
        elif kind == BINARY:
            self._receiver.on_audio(message)

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == PONG:
            self._receiver.on_pong(payload)
        elif opcode == PING:
            self.write_raw(encode_frame(PONG, payload))
        elif opcode == CLOSE and self.close_payload is None:
            if not self.is_closing:
                self._transport.write(encode_frame(CLOSE, payload))
            self.close_payload = payload
            self.close_came_at = asyncio.get_running_loop().time()

    def _note_fault(self, fault: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(fault)

    def _how_closed(self) -> Closed:
        if self._own_close is not None:
            return self._own_close
        payload = self.close_payload
        if payload is None:
            return Closed(1006, "", closed_by="network")
        code = int.from_bytes(payload[:_CODE_BYTES], "big") or 1005
        return Closed(code, payload[_CODE_BYTES:].decode("utf-8", "replace"), closed_by="peer")


def _parse_response(head: bytes) -> Response:
    first, *lines = head.decode("latin-1").split("\r\n")
    status = first.split(" ")[1:2]
    is_number = bool(status) and len(status[0]) <= _STATUS_DIGITS and status[0].isdecimal()
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Response(int(status[0]) if is_number else 0, Headers(pairs))
