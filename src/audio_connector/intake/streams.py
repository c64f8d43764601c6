# SPDX-License-Identifier: Apache-2.0
"""Async iterators over what arrives: `AudioStream` and `EventStream`.

A stream belongs to the loop in which it was made, or else to the one that first awaits it; it may be another one
than the connection's. What is pushed crosses over, and from then on everything happens on that one loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat
from audio_connector.audio.pieces import Pieces
from audio_connector.errors import IntakeOverflow, LimitError, UsageError
from audio_connector.wire.messages import Event

T = TypeVar("T")


class Stream(Generic[T]):
    """What both streams share: items that wait, one consumer that waits, an end."""

    def __init__(self) -> None:
        self.is_over = False
        """Nothing more will be pushed."""
        self._ready: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio._get_running_loop()
        self._error: Exception | None = None

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self.is_over:
                raise StopAsyncIteration
            if self._waiter is not None and not self._waiter.done():
                raise UsageError(
                    "this iterator is awaited twice at a time; give each consumer one of its own, from another "
                    "call of client.audio() or client.events()"
                )
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                if self._waiter is waiter:  # one that was cancelled may have a successor
                    self._waiter = None
        return self._take()

    async def aclose(self) -> None:
        """Stop: nothing more is kept for this stream. Not needed when the connection ends."""
        self._ready.clear()
        self.is_over = True
        self._wake()

    def push(self, item: T) -> None:
        """Take an item; from the connection's loop."""
        self._cross(item, is_last=False)

    def end(self, last: Event | None = None) -> None:
        """The connection is over; what is left is handed out first, and then the last event, among events."""
        self._cross(last, is_last=True)

    def _cross(self, item: object, *, is_last: bool) -> None:
        loop = self._loop
        if loop is None or loop is asyncio._get_running_loop():
            self._receive(item, is_last)
            return
        try:
            loop.call_soon_threadsafe(self._receive, item, is_last)
        except RuntimeError:
            self.is_over = True  # the consumer's loop is gone, and the consumer with it

    def _receive(self, item: Any, is_last: bool) -> None:  # noqa: ANN401 - of T, or the last event
        if not self.is_over:
            self._add(item, is_last)
            self.is_over |= is_last
            if self._ready or self.is_over:
                self._wake()

    def _add(self, item: T, is_last: bool) -> None:
        raise NotImplementedError

    def _take(self) -> T:
        return self._ready.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AudioStream(Stream[bytes]):
    """The incoming audio of one connection, piece by piece, until it ends; made by ``client.audio()``.

    Each piece is ``bytes``: whole 16-bit samples, mono, little-endian. Half a sample at a message's end is left out.
    The format is asked for when audio arrives, for it may change. Beyond ``max_buffer_ms`` the oldest audio is
    dropped, and ``on_overflow`` is told once per episode.
    """

    def __init__(
        self,
        get_format: Callable[[], AudioFormat],
        *,
        chunk_ms: float | None,
        sample_rate: int | None,
        max_buffer_ms: float,
        on_overflow: Callable[[IntakeOverflow], None],
    ) -> None:
        super().__init__()
        self._get_format = get_format
        self._pieces = Pieces(chunk_ms=chunk_ms, rate_hz=sample_rate)
        self._max_buffer_ms = max_buffer_ms
        self._on_overflow = on_overflow
        self._ready_bytes = 0
        self._is_dropping = False
        self.dropped_bytes = 0

    def _add(self, item: bytes, is_last: bool) -> None:
        pieces = self._pieces.finish() if is_last else self._pieces.push(item, self._get_format().rate_hz)
        if not pieces:
            return
        self._ready += pieces
        self._ready_bytes += sum(map(len, pieces))
        max_bytes = SAMPLE_BYTES * self._pieces.rate_hz * self._max_buffer_ms / 1000
        while self._ready_bytes > max_bytes and len(self._ready) > 1:
            self.dropped_bytes += len(self._take())
            if not self._is_dropping:
                self._is_dropping = True
                text = (
                    f"more than {self._max_buffer_ms:g} ms of audio waited in client.audio(), so the oldest is being "
                    "dropped: read it faster, or raise Intake.max_buffer_ms"
                )
                self._on_overflow(IntakeOverflow(text))

    def _take(self) -> bytes:
        piece = self._ready.popleft()
        self._ready_bytes -= len(piece)
        if not self._ready:
            self._is_dropping = False
        return piece


class EventStream(Stream[Event]):
    """The events of one connection, until it ends; the last one is `Disconnected`. Made by ``client.events()``.

    A consumer that lets more than ``max_events`` wait is told so with a `LimitError`, since no event is dropped.
    """

    def __init__(self, *, max_events: int) -> None:
        super().__init__()
        self._max_events = max_events

    def _add(self, item: Event, is_last: bool) -> None:
        if is_last or len(self._ready) < self._max_events:
            self._ready.append(item)
            return
        self.is_over = True
        self._error = LimitError(
            f"{self._max_events} events were not read from client.events(), so it ends here: read it in a loop "
            "of its own, or raise Intake.max_texts"
        )
