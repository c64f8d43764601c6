# SPDX-License-Identifier: Apache-2.0
"""Async iterators over what arrives: `AudioStream` and `EventStream`.

A stream belongs to the loop in which it was made, or else to the one that first awaits it; it may be another
one than the connection's. What is pushed crosses over with ``call_soon_threadsafe``; from then on everything
happens on that one loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat
from audio_connector.audio.resample import LIVE_QUALITY, Resampler
from audio_connector.errors import IntakeOverflow, LimitError, UsageError
from audio_connector.wire.messages import Event

T = TypeVar("T")


class _Stream(Generic[T]):
    """What both streams share: items that wait, one consumer that waits, an end."""

    def __init__(self) -> None:
        self._ready: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._loop = _running_loop()
        self._is_over = False
        self._error: Exception | None = None

    def __aiter__(self) -> _Stream[T]:
        return self

    async def __anext__(self) -> T:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._is_over:
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
        item = self._ready.popleft()
        self._taken(item)
        return item

    async def aclose(self) -> None:
        """Stop: nothing more is kept for this stream. Not needed when the connection ends."""
        self._is_over = True
        self._ready.clear()
        self._wake()

    @property
    def is_over(self) -> bool:
        """True where nothing more will be pushed."""
        return self._is_over

    def _taken(self, item: T) -> None:
        """An item leaves."""

    def _wake(self) -> None:
        """Wake the consumer; on its loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _on_own_loop(self, action: Callable[..., None], *arguments: object) -> None:
        loop = self._loop
        if loop is None or loop is _running_loop():
            action(*arguments)
            return
        try:
            loop.call_soon_threadsafe(action, *arguments)
        except RuntimeError:
            self._is_over = True  # the consumer's loop is gone, and the consumer with it


class AudioStream(_Stream[bytes]):
    """The incoming audio of one connection, piece by piece, until it ends.

    Args:
        get_format: The connection's format, asked when audio arrives: it may change.
        chunk_ms: Length of the pieces in milliseconds; None hands each message on as it came, one frame, without the
            half of a sample that may be left over at its end.
        sample_rate: Rate of the pieces in Hz; None keeps the connection's.
        max_buffer_ms: Beyond it the oldest audio is dropped.
        on_overflow: Told once per episode of dropping.
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
        self._chunk_ms = chunk_ms
        self._sample_rate = sample_rate
        self._max_buffer_ms = max_buffer_ms
        self._on_overflow = on_overflow
        self._source_hz = 0
        self._resampler: Resampler | None = None
        self._half_sample = b""
        self._piece_bytes = 0
        self._rest = b""
        self._ready_bytes = 0
        self._max_bytes = 0
        self._is_dropping = False
        self.dropped_bytes = 0

    def push(self, payload: bytes) -> None:
        """Take a message; from the connection's loop."""
        self._on_own_loop(self._push, payload)

    def end(self) -> None:
        """The connection is over; what is left is handed out first."""
        self._on_own_loop(self._end)

    def _push(self, payload: bytes) -> None:
        if self._is_over:
            return
        source_hz = self._get_format().rate_hz
        if source_hz != self._source_hz:
            self._start(source_hz)
        if self._resampler is not None:
            payload = self._half_sample + payload
            whole = len(payload) - len(payload) % SAMPLE_BYTES
            self._half_sample = payload[whole:]
            payload = self._resampler.push(payload[:whole])
        elif len(payload) % SAMPLE_BYTES:
            # A message that was cut off: half a sample would shift all that follows, or raise in the application.
            payload = payload[:-1]
        self._cut(payload)

    def _cut(self, payload: bytes) -> None:
        if self._piece_bytes:
            payload = self._rest + payload
            whole = len(payload) - len(payload) % self._piece_bytes
            self._rest = payload[whole:]
            for at in range(0, whole, self._piece_bytes):
                self._add(payload[at : at + self._piece_bytes])
        elif payload:
            self._add(payload)

    def _start(self, source_hz: int) -> None:
        """Set up for a rate. What is left of the one before goes ahead, as a short piece where sizes change."""
        if self._resampler is not None:
            self._cut(self._resampler.finish())
        self._source_hz = source_hz
        self._resampler, self._half_sample = None, b""
        rate_hz = self._sample_rate or source_hz
        if rate_hz != source_hz:
            self._resampler = Resampler(source_hz, rate_hz, quality=LIVE_QUALITY)
        piece_bytes = 0
        if self._chunk_ms is not None or self._resampler is not None:
            piece_bytes = 2 * max(1, round(rate_hz * (self._chunk_ms or 20) / 1000))
        if piece_bytes != self._piece_bytes and self._rest:
            self._add(self._rest)
            self._rest = b""
        self._piece_bytes = piece_bytes
        self._max_bytes = max(self._piece_bytes, round(rate_hz * self._max_buffer_ms / 500))

    def _add(self, piece: bytes) -> None:
        self._ready.append(piece)
        self._ready_bytes += len(piece)
        self._wake()
        while self._ready_bytes > self._max_bytes and len(self._ready) > 1:
            oldest_bytes = len(self._ready.popleft())
            self._ready_bytes -= oldest_bytes
            self.dropped_bytes += oldest_bytes
            if not self._is_dropping:
                self._is_dropping = True
                self._on_overflow(
                    IntakeOverflow(
                        f"more than {self._max_buffer_ms:g} ms of audio waited in client.audio(), so the oldest is "
                        "being dropped: read it faster, or raise Intake.max_buffer_ms"
                    )
                )

    def _taken(self, item: bytes) -> None:
        self._ready_bytes -= len(item)
        if not self._ready:
            self._is_dropping = False

    def _end(self) -> None:
        if self._is_over:
            return
        tail = self._rest + (self._resampler.finish() if self._resampler is not None else b"")
        while tail:
            piece, tail = tail[: self._piece_bytes], tail[self._piece_bytes :]
            self._ready.append(piece)
            self._ready_bytes += len(piece)
        self._is_over = True
        self._wake()


class EventStream(_Stream[Event]):
    """The events of one connection, until it ends; the last one is `Disconnected`.

    Args:
        max_events: A consumer that lets more wait is told so with a `LimitError`, since no event is dropped.
    """

    def __init__(self, *, max_events: int) -> None:
        super().__init__()
        self._max_events = max_events

    def push(self, event: Event) -> None:
        """Take an event; from the connection's loop."""
        self._on_own_loop(self._push, event)

    def end(self, last: Event) -> None:
        """The connection is over."""
        self._on_own_loop(self._end, last)

    def _push(self, event: Event) -> None:
        if self._is_over:
            return
        if len(self._ready) >= self._max_events:
            self._is_over = True
            self._error = LimitError(
                f"{self._max_events} events were not read from client.events(), so it ends here: read it in a loop "
                "of its own, or raise Intake.max_texts"
            )
        else:
            self._ready.append(event)
        self._wake()

    def _end(self, last: Event) -> None:
        if not self._is_over:
            self._ready.append(last)
            self._is_over = True
        self._wake()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
