# SPDX-License-Identifier: Apache-2.0
"""What TLS takes that brings nothing: messages of its own, which no budget of frames counts. No clock and no I/O.

A record is up to 16 KiB long and handed on when all of it is there, so that much may have been read that nobody was
handed yet, and with it what came in the same read. What is more than that are messages, of 27 bytes at least, or the
framing of many short records: audio that has gathered, and of which several frames are read at once, has up to 85
bytes of it for each, twice where somebody writes the head and the payload apart. Both take as long, so that both are
paid for. But only who sends less audio than the rest is said to send nothing.
"""

from __future__ import annotations

from typing import NamedTuple

MESSAGE_BYTES = 27
"""A record with the shortest message of TLS (RFC 8446 4.6.3, 5.2), such as asks for new keys."""

RECORD_BYTES = 16 * 1024 + 256
"""The longest record (RFC 8446 5.2)."""

READ_BYTES = 2048
"""At once: two frames of audio, or 75 messages of TLS, which take a millisecond. OpenSSL keeps the part of a record
itself that has come."""

SPARE_BYTES = RECORD_BYTES + READ_BYTES
"""A whole record that is not handed on yet since nothing more is read at the moment, and what came behind it."""

FRAMING_BYTES = 64
"""Of what is read at once and brings something: two records, of 29 bytes each with the older ciphers."""


class Excess(NamedTuple):
    """What was read beyond what was handed on, as messages of TLS: all, and those that no framing explains."""

    messages: int
    void: int


class Overhead:
    """Sets what was read of a socket against what was handed on. No clock and no I/O.

    Attributes:
        handed_bytes: Of what was decrypted, so many, all in all.
    """

    def __init__(self) -> None:
        self.handed_bytes = 0
        self._of_all, self._of_void = _Balance(), _Balance()
        self._known: tuple[int, int] | None = None

    def note(self, read_bytes: int, reads: int = 1) -> Excess:
        """Take what was read of the socket so far; the first figure says where it begins.

        Args:
            read_bytes: So many, all in all.
            reads: In so many reads since the last time.
        """
        came = handed = 0
        if self._known is not None:
            came, handed = read_bytes - self._known[0], self.handed_bytes - self._known[1]
        self._known = read_bytes, self.handed_bytes
        left_bytes = handed + (reads * FRAMING_BYTES if handed else 0) - came
        return Excess(self._of_all.add(left_bytes), self._of_void.add(left_bytes + handed))


class _Balance:
    def __init__(self) -> None:
        self._spare_bytes = SPARE_BYTES

    def add(self, size_bytes: int) -> int:
        """So much more was handed on than read, or less; returns how many messages that makes."""
        self._spare_bytes = min(self._spare_bytes + size_bytes, SPARE_BYTES)
        messages = max(0, -self._spare_bytes) // MESSAGE_BYTES
        self._spare_bytes += messages * MESSAGE_BYTES
        return messages
