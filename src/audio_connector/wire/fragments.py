# SPDX-License-Identifier: Apache-2.0
"""Joins the frames of a fragmented message, under one total limit (RFC 6455 5.4)."""

from __future__ import annotations

from typing import NamedTuple

from audio_connector.wire.closing import PROTOCOL_FAULT, TOO_BIG

CONTINUATION = 0
TEXT = 1
BINARY = 2
"""Opcodes of data frames."""


class Message(NamedTuple):
    """A whole message.

    Attributes:
        opcode: That of its first frame: `TEXT` or `BINARY`.
        payload: All of it.
    """

    opcode: int
    payload: bytes


class Fault(NamedTuple):
    """Why the connection has to be closed.

    Attributes:
        code: The close code.
        reason: The text of the close frame.
    """

    code: int
    reason: str


class Fragments:
    """What has come of a message so far.

    Args:
        max_message_bytes: A longer message is a fault, as soon as its frames are longer in sum.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._opcode: int | None = None
        self._parts: list[bytes] = []
        self._bytes = 0
        # No property, because every audio frame asks for it.
        self.is_open = False
        """True between the first frame of a fragmented message and its last."""

    def clear(self) -> None:
        """Forget what has come."""
        self._opcode = None
        self._parts = []
        self._bytes = 0
        self.is_open = False

    def add(self, opcode: int, payload: bytes, *, fin: bool) -> Message | Fault | None:
        """Take the next data frame.

        Args:
            opcode: `CONTINUATION`, or what begins a message.
            payload: Of this frame.
            fin: Whether the message ends with it.

        Returns:
            The message, once it is whole; a fault, after which nothing more may be added; else None.
        """
        if opcode == CONTINUATION:
            if self._opcode is None:
                return Fault(PROTOCOL_FAULT, "a continuation without a message")
        elif self._opcode is not None:
            return Fault(PROTOCOL_FAULT, "a new message inside a fragmented one")
        elif fin and len(payload) <= self._max_message_bytes:
            return Message(opcode, payload)
        else:
            self._opcode = opcode
            self.is_open = True
        self._bytes += len(payload)
        if self._bytes > self._max_message_bytes:
            return Fault(TOO_BIG, "message too big")
        if payload:  # frames without a byte would pile up beyond every limit
            self._parts.append(payload)
        if not fin:
            return None
        message = Message(self._opcode, b"".join(self._parts))
        self.clear()
        return message
