# SPDX-License-Identifier: Apache-2.0
"""Messages between two processes as a stream of bytes, in pieces of any size; no I/O.

A message is a head, `HEAD` (length of the body, number of the link, kind), and a body. Audio, the most frequent kind,
is its body as it is; `port.codec` makes and reads all others.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from audio_connector.port.codec import NoMessage, encode, read

logger = logging.getLogger("audio_connector.server")

HEAD: Final = struct.Struct("<IQB")
AUDIO: Final = 0

SERVER: Final = 0
"""The number of no link."""

SERIAL_BITS: Final = 40
"""The number of a link has in front of these the serial number of its I/O process: none comes twice."""

Message = tuple[int, Any]
"""The number of a link, and an ask, a tell or a word."""


def encode_all(messages: Iterable[Message]) -> bytes:
    """Make bytes of messages; one that cannot be written costs no other one, which may be of another call."""
    pieces: list[bytes] = []
    for link_id, message in messages:
        if type(message) is bytes:
            pieces.append(HEAD.pack(len(message), link_id, AUDIO))
            pieces.append(message)
        else:
            try:
                number, body = encode(message)
            except Exception:
                logger.exception("a message was lost; this is an error of the library")
                continue
            pieces.append(HEAD.pack(len(body), link_id, number))
            pieces.append(body)
    return b"".join(pieces)


class Decoder:
    """Makes messages of bytes that come in pieces of any size, and hands each to ``deliver``."""

    def __init__(self, deliver: Callable[[Message], None], *, max_body_bytes: int) -> None:
        self._deliver = deliver
        self._max_body_bytes = max_body_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._needed_bytes = HEAD.size
        self.count = 0
        """Messages so far."""

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            NoMessage: It cannot be read; nothing that follows can.
        """
        if self._pieces:
            self._pieces.append(data)
            self._size_bytes += len(data)
            if self._size_bytes < self._needed_bytes:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        deliver, head_bytes = self._deliver, HEAD.size
        at, end = 0, len(data)
        needed_bytes, count = head_bytes, 0
        while at + head_bytes <= end:
            body_bytes, link_id, number = HEAD.unpack_from(data, at)
            body_at = at + head_bytes
            if body_bytes > self._max_body_bytes:
                raise NoMessage(
                    f"got a message of {body_bytes} bytes; expected {self._max_body_bytes} at most"
                )
            if body_at + body_bytes > end:
                needed_bytes = head_bytes + body_bytes
                break
            at = body_at + body_bytes
            body = data[body_at:at]
            count += 1
            deliver((link_id, body if number == AUDIO else read(number, body)))
        self.count += count
        if at < end:
            self._pieces.append(data[at:] if at else data)
        self._size_bytes, self._needed_bytes = end - at, needed_bytes
