# SPDX-License-Identifier: Apache-2.0
"""A process of a supervisor, an I/O process or a worker: a stream to it, its end, and its place."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from audio_connector.port import words
from audio_connector.port.framing import SERVER, Message
from audio_connector.port.stream import Stream
from audio_connector.server.children import BackOff, ChildProcess
from audio_connector.server.load import resident_mb

MAX_MESSAGE_BYTES = 1 << 20

NOT_AWAITED = words.Logged | words.Refused | words.Retired | words.Collect | words.Collected | words.Counted
"""What comes again and again."""

BROKER_KIND = socket.SOCK_STREAM if sys.platform == "darwin" else socket.SOCK_SEQPACKET
"""What is handed over is a message, which macOS has no such socket for. There a stream keeps apart what comes with
descriptors, and nothing comes without."""

REAP_S = 0.5
"""Between the end of a process's stream and its own."""

WordT = TypeVar("WordT", bound=words.Word)


def broker_pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end never blocks: whoever is stopped does not hold up the others."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, BROKER_KIND)
    ours.setblocking(False)
    return ours, theirs


class Member:
    """One of them; on the running loop. ``take`` is given each word of it, ``on_lost`` it once it has ended."""

    def __init__(
        self,
        number: int,
        child: ChildProcess,
        take: Callable[[Member, words.Word], None],
        on_lost: Callable[[Member], None],
        broker: socket.socket | None = None,
    ) -> None:
        self.number = number
        self.broker = broker
        """Over it the process is handed streams."""
        self.is_retiring = self.is_ending = self.was_loaded = self.was_ready = False
        self.has_drained = self.was_killed = False
        self._child = child
        self._take = take
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._stream = Stream(child.sock, self._receive, max_message_bytes=MAX_MESSAGE_BYTES)
        self._said: list[words.Word] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._is_closed = self._is_lost = False
        self._loop.add_reader(child.sock, self._read)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def is_lost(self) -> bool:
        """It has ended, or cannot be understood."""
        return self._stream.is_lost

    def say(self, word: words.Word) -> None:
        """Tell it something."""
        if not self._stream.is_lost:
            self._stream.queue.append((SERVER, word))
            if not self._stream.flush():
                self._loop.add_writer(self._stream.sock, self._flush)

    async def wait_for(
        self, kind: type[WordT], timeout_s: float
    ) -> WordT | words.NotLoaded | words.NotStarted | None:
        """Wait until it says such a word, or that it cannot; None where it ends before, or does neither in time."""
        until = self._loop.time() + timeout_s
        while True:
            for word in self._said:
                if isinstance(word, kind | words.NotLoaded | words.NotStarted):
                    return word
            left_s = until - self._loop.time()
            if self._stream.is_lost or left_s <= 0:
                return None
            await self._wait(left_s)

    async def wait_ended(self, timeout_s: float) -> bool:
        """Wait for its end; False where that does not come in time."""
        until = self._loop.time() + timeout_s
        while not self._stream.is_lost and (left_s := until - self._loop.time()) > 0:
            await self._wait(left_s)
        return self._stream.is_lost

    def how_ended(self) -> str:
        """Say how it ended; it is ended where that is not so yet."""
        return self._child.reap(REAP_S)

    def kill(self) -> None:
        """End it at once."""
        if self._child.is_alive():
            self.was_killed = True
            self._child.kill()

    def close(self) -> None:
        """Leave nothing of it."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._stream.sock)
            self._loop.remove_writer(self._stream.sock)
            self._stream.close()
            if self.broker is not None:
                self.broker.close()
                self.broker = None
            self._child.reap(REAP_S)
            self._wake()

    def used_mb(self) -> float:
        """The memory that it uses, in MiB; 0 where the system does not say."""
        return resident_mb(self.pid)

    async def _wait(self, timeout_s: float) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait((future,), timeout=timeout_s)
        finally:
            self._waiting.remove(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _flush(self) -> None:
        if self._stream.flush():
            self._loop.remove_writer(self._stream.sock)

    def _read(self) -> None:
        self._stream.read()
        if self._stream.is_lost and not self._is_lost:
            self._is_lost = True
            self._loop.remove_reader(self._stream.sock)
            self._wake()
            self._on_lost(self)

    def _receive(self, message: Message) -> None:
        word = message[1]
        if not isinstance(word, NOT_AWAITED):
            self._said.append(word)  # what somebody may wait for: few in its life
        self.was_loaded |= isinstance(word, words.Loaded)
        self.was_ready |= isinstance(word, words.Ready)
        self._take(self, word)
        self._wake()


@dataclass(eq=False)
class IoPlace:
    """An I/O process and what it listens on."""

    sockets: list[socket.socket]
    back_off: BackOff
    member: Member | None = None
    broker: socket.socket | None = None
    serial: int = 0
    is_started: bool = False
    """It listens, so that whoever sees it end starts another one."""
    retired: set[int] = field(default_factory=set)
    """The numbers of workers that retire and have no call there."""

    def close(self) -> None:
        """Let go of the process; the sockets stay."""
        if self.member is not None:
            self.member.close()
            self.member = None
        if self.broker is not None:
            self.broker.close()
            self.broker = None


@dataclass(eq=False)
class Seat:
    """The place of one worker that serves; ``worker`` is None from its death until another one is ready."""

    back_off: BackOff
    worker: Member | None
