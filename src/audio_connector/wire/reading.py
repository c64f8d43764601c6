# SPDX-License-Identifier: Apache-2.0
"""When a connection is read: not while its user says so, nor while its budget is spent.

The rules:

1. What was read already is still delivered, and paid for afterwards.
2. While it is not read, TCP holds what the peer sends, and the peer.
3. An end that dials has no budget: it has chosen whom it listens to.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from aiofastnet.ssl_transport import SSLTransport_Socket  # type: ignore[import-not-found]

from audio_connector.wire.budget import EMPTY_BYTES, EMPTY_COST, READ_COST, ROUND, Backlog, Budget, cost_of
from audio_connector.wire.overhead import Overhead


class Parser(Protocol):
    """What takes the bytes: a buffered protocol of asyncio."""

    def get_buffer(self, size_hint: int) -> memoryview:
        """Give room for bytes."""

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were put there."""


class Reading:
    """That of one connection.

    Args:
        backlog: What it shares with others; None for no budget.

    Attributes:
        left: What may be spent before it is paid for. Every frame takes from it, so that it is an attribute.
    """

    def __init__(self, backlog: Backlog | None) -> None:
        self._budget = None if backlog is None else Budget(backlog)
        self._granted: float = math.inf if backlog is None else ROUND
        self.left = self._granted
        self.overhead = Overhead()
        """Of TLS, where that is spoken."""
        self._empty = 0
        """So many of the frames that are not paid for have brought nothing."""
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._hold: asyncio.TimerHandle | None = None
        self._unread: tuple[Parser, memoryview] | None = None
        """What somebody else had read, as far as it was not delivered."""

    def start(self, transport: asyncio.Transport) -> None:
        """The connection is open."""
        self._transport = transport

    def stop(self) -> None:
        """It is over."""
        if self._hold is not None:
            self._hold.cancel()
        self._transport = self._unread = None

    def pause(self) -> None:
        """Read nothing more."""
        self._is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again, as far as the budget goes."""
        self._is_paused = False
        self._go_on()

    def weigh(self, size_bytes: int, *, is_text: bool = False, is_control: bool = False) -> None:
        """Take from what is left what a frame costs."""
        self.left -= cost_of(size_bytes, is_text=is_text, is_control=is_control)
        self._empty += is_control or size_bytes < EMPTY_BYTES

    def look(self) -> None:
        """Take what it costs to look at the socket; nothing may come of it."""
        self.left -= READ_COST
        if self.left < 0:
            self.pay()

    def note_read(self, read_bytes: int, reads: int) -> bool:
        """Take what TLS costs by itself, see `Overhead.note`. True where the peer floods."""
        excess = self.overhead.note(read_bytes, reads)
        self.left -= excess.messages * EMPTY_COST
        self._empty += excess.void
        return self.left < 0 and self.pay()

    def pay(self) -> bool:
        """Nothing is left: pay, and perhaps wait for it. True where the peer floods."""
        if self._budget is None or self._hold is not None:
            return False
        loop = asyncio.get_running_loop()
        wait_s = self._budget.spend(self._granted - self.left, self._empty, loop.time())
        self._empty = 0
        if not wait_s:
            self._granted = self.left = ROUND
            return False
        self._granted = self.left = 0  # the rest of what was read already comes on top
        self._hold = loop.call_later(wait_s, self._end_hold)
        if self._transport is not None:
            self._transport.pause_reading()
        return self._budget.is_flooded

    def feed(self, parser: Parser, data: memoryview) -> None:
        """Have the parser take bytes that somebody else had read, as far as the budget goes, and the rest later."""
        while data and (self._transport is None or not self._transport.is_closing()):
            if self._hold is not None or self._is_paused:
                self._unread = parser, data
                return
            room = parser.get_buffer(len(data))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            parser.buffer_updated(taken)
            data = data[taken:]

    def _end_hold(self) -> None:
        self._hold = None
        if self.left < 0:
            self.pay()
        if self._hold is None:
            self._granted = self.left = ROUND
            self._go_on()

    def _go_on(self) -> None:
        unread, self._unread = self._unread, None
        if unread is not None:
            self.feed(*unread)
        transport = self._transport
        if transport is None or self._hold is not None or self._is_paused or transport.is_closing():
            return
        transport.resume_reading()
        if isinstance(transport, SSLTransport_Socket):
            try:
                # It goes on with its socket, and fails where it still holds as much of TLS as it has room for.
                transport._do_read()
            except Exception:  # noqa: BLE001 - whatever it is, TLS is broken
                transport.abort()  # as it does itself
