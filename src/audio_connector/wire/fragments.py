# SPDX-License-Identifier: Apache-2.0
"""Joins the frames of a fragmented message, under one total limit (RFC 6455 5.4)."""

from __future__ import annotations

from typing import NamedTuple

from audio_connector.wire.closing import BAD_TEXT, PROTOCOL_FAULT, TOO_BIG

CONTINUATION = 0
TEXT = 1
BINARY = 2
"""Opcodes of data frames."""


class Message(NamedTuple):
    """A whole message.

    Attributes:
        opcode: That of its first frame: `TEXT` or `BINARY`.
        payload: All of it.
        text: What it says, of a text.
    """

    opcode: int
    payload: bytes
    text: str = ""


class Fault(NamedTuple):
    """Why the connection has to be closed.

    Attributes:
        code: The close code.
        reason: The text of the close frame.
    """

    code: int
    reason: str


MESSAGE_TOO_BIG = Fault(TOO_BIG, "message too big")
TEXT_TOO_BIG = Fault(TOO_BIG, "text too big")
NO_TEXT = Fault(BAD_TEXT, "text is not valid UTF-8")


class Fragments:
    """What has come of a message so far; no more than its bytes are kept, into however many frames it was cut.

    Args:
        max_message_bytes: A longer message is a fault, as soon as its frames are longer in sum.
        max_text_bytes: The same of a text, where that is less.
    """

    def __init__(self, max_message_bytes: int, max_text_bytes: int | None = None) -> None:
        self._max_message_bytes = max_message_bytes
        self._max_text_bytes = min(max_message_bytes, max_text_bytes or max_message_bytes)
        self._opcode: int | None = None
        self._payload = bytearray()
        # No property, because every audio frame asks for it.
        self.is_open = False
        """True between the first frame of a fragmented message and its last."""

    def clear(self) -> None:
        """Forget what has come."""
        self._opcode = None
        self._payload = bytearray()
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
            opcode = self._opcode
        elif self._opcode is not None:
            return Fault(PROTOCOL_FAULT, "a new message inside a fragmented one")
        fault = self.fault_of(opcode, len(self._payload) + len(payload))
        if fault is not None:
            return fault
        if fin:
            whole = bytes(self._payload) + payload if self._payload else payload
            if self.is_open:
                self.clear()
            return Message(opcode, whole) if opcode != TEXT else _read(whole)
        self._opcode = opcode
        self._payload += payload
        self.is_open = True
        return None

    def fault_of(self, opcode: int, size_bytes: int) -> Fault | None:
        """What is wrong with a message of this kind and size, if anything."""
        if size_bytes > self._max_message_bytes:
            return MESSAGE_TOO_BIG
        return TEXT_TOO_BIG if opcode == TEXT and size_bytes > self._max_text_bytes else None


def _read(payload: bytes) -> Message | Fault:
    try:
        return Message(TEXT, payload, payload.decode("utf-8"))
    except UnicodeDecodeError:
        return NO_TEXT
