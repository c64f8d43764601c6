# SPDX-License-Identifier: Apache-2.0
"""A listening socket of ours in a thread of its own, and blocking peers that write whatever a test makes up."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop
from support.ends import End
from support.peers import CLOSE, PONG, UPGRADE, Frame, close_frame, request
from support.serving import DEADLINE_S

from audio_connector.wire.listening import Listening
from audio_connector.wire.picows import listen
from audio_connector.wire.transport import Closed, WireLimits

HEAD = request(UPGRADE)
_ENDED = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


@dataclass
class Seen:
    """What came of a stream.

    Attributes:
        messages: What the receiver was handed.
        pongs: What the peer got as answers to its pings.
        close: The server's close frame.
        rest: What the peer got after it, or what is no frame.
        told: What the receiver was told of the end, once.
    """

    messages: list[bytes | str]
    pongs: list[bytes]
    close: Frame | None
    rest: bytes
    told: list[Closed]


class Rig:
    """What listens; each exchange is a connection of its own.

    Args:
        limits: Of each connection.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._ends: list[End] = []
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.failures: list[object] = []
        """What the loop was told of: nothing a peer writes may be one."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="frame-rig", daemon=True)
        self._thread.start()
        self._listening: Listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(
            DEADLINE_S
        )

    def close(self) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._listening.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def exchange(self, pieces: Iterable[bytes], *, ends_stream: bool = True) -> Seen:
        """Write pieces after an upgrade; read until the server ends it.

        Args:
            pieces: What is written, each with a system call of its own.
            ends_stream: Close the writing half after it.
        """
        with socket.create_connection(self._listening.address, DEADLINE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(HEAD)
            got = b""
            while b"\r\n\r\n" not in got:
                got += sock.recv(4096)
            end = self._ends.pop()
            try:
                for piece in pieces:
                    sock.sendall(piece)
                if ends_stream:
                    sock.shutdown(socket.SHUT_WR)
                got += _read_all(sock)
            except OSError as error:  # the server has ended it in the middle, as it may after a fault
                if error.errno not in _ENDED:
                    raise
                got += _read_all(sock)
        give_up_at_s = time.monotonic() + DEADLINE_S
        while not end.closed and time.monotonic() < give_up_at_s:
            time.sleep(0.0005)  # on_closed is called on the other thread
        return _seen(end, got.partition(b"\r\n\r\n")[2])

    def ask(self, pieces: Iterable[bytes]) -> bytes:
        """Write pieces of a request, then nothing more, and return all that is answered."""
        with socket.create_connection(self._listening.address, DEADLINE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno not in _ENDED:
                    raise
            return _read_all(sock)

    def greets(self) -> bool:
        """Whether a well-behaved peer is served as ever."""
        seen = self.exchange([Frame(2, b"hello").encode(), close_frame(1000).encode()])
        return seen.messages == [b"hello"] and seen.close == close_frame(1000)

    async def _listen(self) -> Listening:
        return await listen(
            self._accept, host="127.0.0.1", port=0, limits=self._limits, handshake_timeout_s=DEADLINE_S
        )

    def _accept(self, *_: object) -> End:
        end = End()
        self._ends.append(end)
        return end


@contextmanager
def frame_rig(limits: WireLimits) -> Iterator[Rig]:
    """One that is closed at the end."""
    rig = Rig(limits)
    try:
        yield rig
        assert rig.failures == []
    finally:
        rig.close()


def _read_all(sock: socket.socket) -> bytes:
    got = b""
    try:
        while piece := sock.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        pass
    return got


def _seen(end: End, data: bytes) -> Seen:
    pongs: list[bytes] = []
    close: Frame | None = None
    while close is None and len(data) >= 2 and data[1] <= 125 and len(data) >= 2 + data[1]:
        frame = Frame(data[0] & 15, data[2 : 2 + data[1]], bool(data[0] & 0x80), data[0] >> 4 & 7)
        if frame.opcode == CLOSE:
            close = frame
        elif frame.opcode == PONG:
            pongs.append(frame.payload)
        else:
            break  # a server that only listens sends nothing else
        data = data[2 + data[1] :]
    return Seen(end.messages, pongs, close, data, end.closed)
