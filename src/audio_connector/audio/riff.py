# SPDX-License-Identifier: Apache-2.0
"""Where the samples of a WAV file are, and how they are laid out.

Python's wave module believes what the header says. A program that streams does not know the size when it writes the
header, and writes 0, 0xFFFFFFFF, or what it had by then. So:

1. The audio ends where the header says, if the file ends there, or if nothing but whole chunks follows up to the end
   of the file: that is metadata (LIST, id3, bext).
2. Otherwise all up to the end of the file is audio.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

_CHUNK_HEADER_BYTES: Final = 8
_CHUNK_NAME: Final = re.compile(rb"[A-Za-z0-9_ ]{4}")
PCM: Final = 1
"""The number of integer PCM among the formats of WAV."""

FLOAT: Final = 3
"""The number of floats."""

_EXTENSIBLE: Final = 0xFFFE
_EXTENSIBLE_BYTES: Final = 26  # up to the format proper, the first bytes of a GUID
_FORMAT_BYTES: Final = 16
_MAX_FORMAT_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Layout:
    """The samples of a WAV file.

    Attributes:
        kind: The number of the format, for example `PCM`.
        channels: Samples in a group.
        rate_hz: Groups per second.
        bits: Bits of a sample.
        start: Place of the first byte of audio in the file.
        size_bytes: Bytes of audio from there on.
    """

    kind: int
    channels: int
    rate_hz: int
    bits: int
    start: int
    size_bytes: int


class SampleFile(io.RawIOBase):
    """The samples of a WAV file, as a file of their own.

    Args:
        file: The WAV file, open and seekable; it has to be closed elsewhere.
        layout: Where its samples are.
    """

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file = file
        self._start = layout.start
        self._size_bytes = layout.size_bytes
        file.seek(self._start)

    def seekable(self) -> bool:  # noqa: D102 - as in the base class, like those that follow
        return True

    def readable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:  # noqa: D102
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size_bytes}[whence]
        return self._file.seek(self._start + base + offset) - self._start

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401, D102
        view = memoryview(buffer).cast("B")
        data = self._file.read(max(0, min(len(view), self._size_bytes - self.tell())))
        view[: len(data)] = data
        return len(data)


def layout_of(file: BinaryIO) -> Layout:
    """Look through the chunks of a WAV file.

    Args:
        file: Open and seekable.

    Raises:
        ValueError: It is no WAV file; the text says why.
        OSError: It cannot be read.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not end:
        raise ValueError("it is empty")
    riff = file.read(12)
    if not b"RIFF".startswith(riff[:4]):
        raise ValueError("file does not start with RIFF id")
    if not b"WAVE".startswith(riff[8:]):
        raise ValueError("it is RIFF, but no WAVE")
    form: tuple[int, int, int, int] | None = None
    while True:
        header = file.read(_CHUNK_HEADER_BYTES)
        if len(header) < _CHUNK_HEADER_BYTES:
            raise ValueError("it ends too early")
        name, size = header[:4], int.from_bytes(header[4:], "little")
        start = file.tell()
        if name == b"fmt ":
            form = _form(file.read(min(size, _MAX_FORMAT_BYTES)))
        elif name == b"data":
            if form is None:
                raise ValueError("its format does not come before its audio")
            return Layout(*form, start, _size_bytes(file, start, size, end))
        file.seek(start + size + size % 2)


def chunk_of(file: BinaryIO, name: bytes, max_bytes: int) -> bytes | None:
    """Return the body of the first chunk of a WAV file that is called so; None for none, or one that is longer."""
    end = file.seek(0, os.SEEK_END)
    at = 12
    while at + _CHUNK_HEADER_BYTES <= end:
        file.seek(at)
        header = file.read(_CHUNK_HEADER_BYTES)
        size = int.from_bytes(header[4:], "little")
        if header[:4] == name:
            body = file.read(size) if size <= max_bytes else b""
            return body if size and len(body) == size else None
        at += _CHUNK_HEADER_BYTES + size + size % 2
    return None


def append_chunk(file: BinaryIO, name: bytes, body: bytes) -> None:
    """Add a chunk at the end of a complete WAV file, open for reading and writing."""
    file.seek(0, os.SEEK_END)
    file.write(name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2))
    riff_bytes = file.tell() - _CHUNK_HEADER_BYTES
    file.seek(4)
    file.write(riff_bytes.to_bytes(4, "little"))


def _form(chunk: bytes) -> tuple[int, int, int, int]:
    if len(chunk) < _FORMAT_BYTES:
        raise ValueError("it ends too early")
    kind = int.from_bytes(chunk[:2], "little")
    if kind == _EXTENSIBLE and len(chunk) >= _EXTENSIBLE_BYTES:
        kind = int.from_bytes(chunk[24:26], "little")
    channels, rate_hz = int.from_bytes(chunk[2:4], "little"), int.from_bytes(chunk[4:8], "little")
    return kind, channels, rate_hz, int.from_bytes(chunk[14:16], "little")


def _size_bytes(file: BinaryIO, start: int, size: int, end: int) -> int:
    at = start + size + size % 2
    if at >= end:
        return max(0, min(size, end - start))
    while at < end:
        file.seek(at)
        header = file.read(_CHUNK_HEADER_BYTES)
        if len(header) < _CHUNK_HEADER_BYTES or not _CHUNK_NAME.match(header):
            return end - start
        at += _CHUNK_HEADER_BYTES + int.from_bytes(header[4:], "little")
        if at < end:
            at += at % 2
    return size if at == end else end - start
