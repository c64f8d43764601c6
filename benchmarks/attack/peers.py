# SPDX-License-Identifier: Apache-2.0
"""What attackers are made of: sockets that ask for an upgrade, frames byte by byte, and floods of them.

Standard library only, so that an attacker is there at once.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
FIRST_TEXT = b'{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}'
MIB = 1 << 20

DIAL_LIMIT_S = 2.0
"""For a dial, an answer included: what takes longer is no dial that worked."""

REDIAL_S = 0.1
"""After the server has ended a connection of a flood, which is dialled again: who means harm comes back."""

HARMFUL, HARMLESS = "127.0.0.2", "127.0.0.3"
"""Whence one peer dials that means harm, and whence one that only wants to call. The calls beside an attack come from
127.0.0.1: what is limited by address must not spare or hit all of them alike."""

_KEY = b"AAECAwQFBgcICQoLDA0ODw=="
_DISCARD_BYTES = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)


def address_of(number: int) -> str:
    """Whence one of many peers dials."""
    return f"127.0.1.{1 + number % 250}"


class Target(NamedTuple):
    """Whom to attack.

    Attributes:
        host: Of the server.
        port: Of the server.
        is_tls: Whether it expects TLS.
    """

    host: str
    port: int
    is_tls: bool

    @classmethod
    def of(cls, address: str) -> Target:
        """Return that of an address as `ws://host:port`."""
        parts = urlsplit(address)
        return cls(str(parts.hostname), int(parts.port or 0), parts.scheme == "wss")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attacker did, and saw.

    Attributes:
        did: In a few words.
        faults: What the server should not have let it see.
    """

    did: str
    faults: tuple[str, ...] = ()


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a frame of a client; its mask is zero, so that it costs the attacker nothing."""
    size = len(payload)
    first = bytes([fin << 7 | opcode])
    if size < 126:
        head = bytes([0x80 | size])
    elif size < 1 << 16:
        head = b"\xfe" + struct.pack("!H", size)
    else:
        head = b"\xff" + struct.pack("!Q", size)
    return first + head + bytes(4) + payload


def head(*, path: bytes = b"/", more: bytes = b"") -> bytes:
    """Return an upgrade request; `more` are whole header lines."""
    return (
        b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n%b\r\n" % (path, _KEY, more)
    )


def connect(target: Target, *, source: str = HARMFUL) -> socket.socket:
    """Open a TCP connection from an address of the loopback."""
    sock = socket.create_connection((target.host, target.port), DIAL_LIMIT_S, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def call(target: Target, request: bytes | None = None, *, source: str = HARMFUL) -> socket.socket:
    """Open a WebSocket, over TLS where the target has it.

    Raises:
        OSError: The server did not take it, or not in time.
    """
    sock = connect(target, source=source)
    try:
        if target.is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        sock.sendall(head() if request is None else request)
        answer = sock.recv(_DISCARD_BYTES)
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError(f"answered with {answer[:20]!r}")
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Drop a connection, so that the server is told of a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def repeatedly(act: Callable[[], None], *, a_second: float, seconds: float) -> int:
    """Do something at a rate, by an absolute clock, and return how often; what the server refuses counts too."""
    began_s = time.monotonic()
    times = 0
    while (now_s := time.monotonic()) < began_s + seconds:
        due_s = began_s + times / a_second
        if now_s < due_s:
            time.sleep(due_s - now_s)
        with suppress(OSError):
            act()
        times += 1
    return times


class _Flooding:
    """One connection of a flood: how much of its bytes it has written."""

    def __init__(self, sock: socket.socket, now_s: float) -> None:
        self.sock = sock
        self.began_s = now_s
        self.is_begun = False
        self.at_bytes = 0
        self.chunks = 0


class Flood:
    """Some peers that write the same bytes again and again, as fast as they are read, and discard every answer.

    Args:
        target: Whom.
        chunk: Whole frames.
        peers: How many connections.
        first: What each writes before.
        limit: Chunks that each connection writes; it is held open then.
        every_s: Between the chunks of one connection; 0 for as fast as it goes.
    """

    def __init__(
        self,
        target: Target,
        chunk: bytes,
        *,
        peers: int = 1,
        first: bytes = b"",
        limit: int | None = None,
        every_s: float = 0.0,
    ) -> None:
        self._target = target
        self._first, self._chunk = first, chunk
        self._peers = peers
        self._limit = limit
        self._every_s = every_s
        self._selector = selectors.DefaultSelector()
        self._live: dict[socket.socket, _Flooding] = {}
        self._redial_at_s = 0.0
        self.written_bytes = 0
        self.dials = 0

    def run(self, seconds: float) -> None:
        """Dial all, write for so long, and reset what is left."""
        for _ in range(
            self._peers
        ):  # before the time begins: on a busy machine there would be nothing left of it
            self._dial(time.monotonic())
        until_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < until_s:
            while len(self._live) < self._peers and now_s >= self._redial_at_s:
                self._dial(now_s)
            is_writing = False
            for key, events in self._selector.select(0.01):
                flooding: _Flooding = key.data
                if events & selectors.EVENT_READ and not self._discard(flooding):
                    continue
                if self._write(flooding, now_s):
                    is_writing = True
            if not is_writing:
                time.sleep(0.002)  # all wait, for their time or for nothing: no reason to spin
        for flooding in list(self._live.values()):
            self._drop(flooding)

    def _dial(self, now_s: float) -> None:
        self.dials += 1
        try:
            sock = call(self._target, source=address_of(self.dials % self._peers))
        except OSError:
            self._redial_at_s = now_s + REDIAL_S
            return
        sock.setblocking(False)
        self._live[sock] = flooding = _Flooding(sock, now_s)
        self._selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, flooding)

    def _drop(self, flooding: _Flooding) -> None:
        self._selector.unregister(flooding.sock)
        del self._live[flooding.sock]
        reset(flooding.sock)
        self._redial_at_s = time.monotonic() + REDIAL_S

    def _discard(self, flooding: _Flooding) -> bool:
        """Read what has come; False where the server has ended it."""
        try:
            if flooding.sock.recv(_DISCARD_BYTES):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        self._drop(flooding)
        return False

    def _write(self, flooding: _Flooding, now_s: float) -> bool:
        """Write on; False where there is nothing to be written now."""
        source = self._chunk if flooding.is_begun else self._first
        if flooding.is_begun and flooding.at_bytes == 0:
            if flooding.chunks == self._limit:
                return False
            if now_s < flooding.began_s + flooding.chunks * self._every_s:
                return False
        try:
            written = flooding.sock.send(memoryview(source)[flooding.at_bytes :])
        except BlockingIOError:
            return False
        except OSError:
            self._drop(flooding)
            return False
        self.written_bytes += written
        flooding.at_bytes += written
        if flooding.at_bytes >= len(source):
            flooding.at_bytes = 0
            flooding.chunks += flooding.is_begun
            flooding.is_begun = True
        return True
