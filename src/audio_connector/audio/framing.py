# SPDX-License-Identifier: Apache-2.0
"""Chunks of any size in, whole frames out.

Rules:

1. Bytes in = bytes out + pending bytes + bytes dropped by `Framer.clear`. Nothing else loses audio.
2. Every frame that comes out is exactly one frame long: a router that gets another size cuts it, shifts what
   follows, or ends the call (PROTOCOL 4.6 to 4.10).
3. The frames do not depend on how the input was cut into chunks.
"""

from __future__ import annotations

from audio_connector.errors import UsageError


class Framer:
    """Cuts a byte stream into frames and keeps the remainder for the next chunk.

    Args:
        frame_bytes: Size of a frame, for example `AudioFormat.frame_bytes`; 1 or more.

    Raises:
        UsageError: ``frame_bytes`` is not a positive ``int``.
    """

    __slots__ = ("_frame_bytes", "_rest")

    def __init__(self, frame_bytes: int) -> None:
        if not isinstance(frame_bytes, int) or isinstance(frame_bytes, bool) or frame_bytes < 1:
            raise UsageError(
                f"got frame_bytes={frame_bytes!r}; expected a positive int; use AudioFormat.frame_bytes"
            )
        self._frame_bytes = frame_bytes
        self._rest = b""

    @property
    def frame_bytes(self) -> int:
        """Size of every frame."""
        return self._frame_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the rest of their frame; always less than ``frame_bytes``."""
        return len(self._rest)

    def push(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the frames that it completes.

        A chunk of exactly one frame, with nothing pending, is handed through without a copy.

        Args:
            chunk: Any number of bytes, none included.

        Returns:
            Frames of exactly ``frame_bytes`` each, in order; empty where none is complete yet.
        """
        rest = self._rest
        frame_bytes = self._frame_bytes
        if not rest and len(chunk) == frame_bytes:
            return [chunk]
        start = 0
        frames: list[bytes] = []
        if rest:
            start = frame_bytes - len(rest)
            if len(chunk) < start:
                self._rest = rest + chunk
                return frames
            frames.append(rest + chunk[:start])
        end = len(chunk) - (len(chunk) - start) % frame_bytes
        frames += [chunk[at : at + frame_bytes] for at in range(start, end, frame_bytes)]
        self._rest = chunk[end:]
        return frames

    def finish(self) -> bytes | None:
        """End the utterance: return the remainder, padded with silence to one whole frame.

        Returns:
            One frame, or None where nothing was pending. Afterwards the framer is as new.
        """
        rest = self.take_rest()
        return rest.ljust(self._frame_bytes, b"\0") if rest else None

    def take_rest(self) -> bytes:
        """Return the remainder as it is, possibly nothing. Afterwards the framer is as new."""
        rest, self._rest = self._rest, b""
        return rest

    def clear(self) -> int:
        """Drop the remainder.

        Returns:
            The number of bytes dropped.
        """
        return len(self.take_rest())
