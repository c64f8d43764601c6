# SPDX-License-Identifier: Apache-2.0
"""What TLS takes that brings nothing: messages of its own, which no budget of frames counts. No clock and no I/O.

A record is up to 16 KiB long and handed on when all of it is there, so that much may have been read that nobody was
handed yet. What is more than that can only be messages, of 27 bytes at least.
"""

from __future__ import annotations

MESSAGE_BYTES = 27
"""A record with the shortest message of TLS (RFC 8446 4.6.3, 5.2), such as asks for new keys."""

RECORD_BYTES = 16 * 1024 + 256
"""The longest record (RFC 8446 5.2)."""

FRAMING_BYTES = 64
"""Of what is read at once and brings something: two records, of 29 bytes each with the older ciphers."""


class Overhead:
    """Sets what was read of a socket against what was handed on. No clock and no I/O.

    Attributes:
        handed_bytes: Of what was decrypted, so many, all in all.
    """

    def __init__(self) -> None:
        self.handed_bytes = 0
        self._spare_bytes = RECORD_BYTES
        self._known: tuple[int, int] | None = None

    def note(self, read_bytes: int, reads: int = 1) -> int:
        """Take what was read of the socket so far; the first figure says where it begins.

        Args:
            read_bytes: So many, all in all.
            reads: In so many reads since the last time.

        Returns:
            For so many messages of TLS there is no other explanation.
        """
        if self._known is not None:
            before, handed_before = self._known
            handed = self.handed_bytes - handed_before
            self._spare_bytes += handed + (reads * FRAMING_BYTES if handed else 0) - (read_bytes - before)
        self._known = read_bytes, self.handed_bytes
        self._spare_bytes = min(self._spare_bytes, RECORD_BYTES)
        messages = max(0, -self._spare_bytes) // MESSAGE_BYTES
        self._spare_bytes += messages * MESSAGE_BYTES
        return messages
