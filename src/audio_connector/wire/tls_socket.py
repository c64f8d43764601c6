# SPDX-License-Identifier: Apache-2.0
"""The server's end of TLS over a socket, which notes how much comes that nobody is told of.

Messages of TLS itself, such as those that ask for new keys, reach no protocol: 27 bytes of them take as long as a
ping, and no budget of frames counts them. So the protocol is told how many bytes were read in all, after some reads,
and sets them against what it was handed. The rules:

1. Until the handshake is done the reader stays new (`wire.gathering`): a signature costs as much as an opening.
2. Then the protocol decides what of it is too much.
3. A connection that is closing is read all the same, for the other side's goodbye, but for `MAX_VOID_BYTES` at most.

Only Linux tells how much has come; elsewhere only the first rule holds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import suppress
from typing import Protocol

from aiofastnet.ssl_transport import SSLTransport_Socket  # type: ignore[import-not-found]

from audio_connector.wire.loop import keep_new
from audio_connector.wire.overhead import READ_BYTES

WRITE_BUFFER_BYTES = 16 * 1024 + 64
"""Of each connection: one TLS record. The default of 16 records holds 8 s of audio that count as sent while the peer
does not read, and 0.5 MB for each connection."""

LOOK_EVERY = 8
"""Reads: to ask the system takes 3 µs, a tenth of what a frame costs. None of them goes uncounted."""

MAX_VOID_BYTES = 128 * 1024
"""What the kernels of both sides hold of a call in full, when we say goodbye."""

if sys.platform == "linux":
    import fcntl
    import termios

    _INFO_BYTES = 136
    _RECEIVED_AT = 128
    """``tcpi_bytes_received`` of ``struct tcp_info``, since Linux 4.1."""

    def read_bytes_of(sock: socket.socket) -> int | None:
        """How many bytes were read of a connection so far; None where nobody says so, or more comes just now."""
        received = _received_bytes_of(sock)
        waiting = int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)
        # Between the two this thread may have had to wait for another one, or the process was stopped.
        if received is None or received != _received_bytes_of(sock):
            return None
        return received - waiting

    def _received_bytes_of(sock: socket.socket) -> int | None:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        return int.from_bytes(info[_RECEIVED_AT:], sys.byteorder) if len(info) == _INFO_BYTES else None
else:

    def read_bytes_of(sock: socket.socket) -> int | None:
        """How many bytes were read of a connection so far; None where nobody says so."""
        del sock
        return None


class Told(Protocol):
    """What is told of it."""

    def on_read(self, read_bytes: int, reads: int) -> None:
        """So many bytes were read of the socket so far, in so many reads since the last time."""


class TlsSocket(SSLTransport_Socket):  # type: ignore[misc]  # which is Any to mypy
    """The transport; it has the socket from now on.

    Args:
        protocol: A `Told`, as is any that takes its place.
        context: Of a server.
        sock: Non-blocking.
        handshake_s: For the handshake.
        goodbye_s: For the other side's goodbye.
        opened: Is done when the handshake is, or has the error.
    """

    def __init__(
        self,
        protocol: asyncio.BaseProtocol,
        context: ssl.SSLContext,
        sock: socket.socket,
        *,
        handshake_s: float,
        goodbye_s: float,
        opened: asyncio.Future[None],
    ) -> None:
        self._watched = sock
        self._opened = opened
        self._reads = 0
        self._void_from: int | None = None
        super().__init__(
            asyncio.get_running_loop(),
            protocol,
            context,
            True,
            handshake_s,
            goodbye_s,
            READ_BYTES,
            WRITE_BUFFER_BYTES,
            sock,
            waiter=opened,
        )

    def _read_ready(self) -> None:
        super()._read_ready()
        if not self._opened.done():
            keep_new(self)
            return
        self._reads += 1
        if self._reads >= LOOK_EVERY:
            with suppress(OSError):  # it has been closed
                self._note(read_bytes_of(self._watched))

    def _note(self, read_bytes: int | None) -> None:
        if read_bytes is None:
            return
        reads, self._reads = self._reads, 0
        if not self.is_closing():
            self.get_protocol().on_read(read_bytes, reads)
        else:
            if self._void_from is None:
                self._void_from = read_bytes
            if read_bytes - self._void_from > MAX_VOID_BYTES:
                self.abort()
