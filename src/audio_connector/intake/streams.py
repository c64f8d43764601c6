# SPDX-License-Identifier: Apache-2.0
"""Async iterators over what arrives: `AudioStream` and `EventStream`.

A stream belongs to the loop in which it was made, or else to the one that first awaits it; it may be another one
than the connection's. What is pushed crosses over, and from then on everything happens on that one loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat
from audio_connector.audio.pieces import Pieces
from audio_connector.errors import IntakeOverflow, LimitError, UsageError
from audio_connector.intake.buffer import MAX_TEXT_BYTES
from audio_connector.intake.gaps import Gap
from audio_connector.intake.items import TextItem
from audio_connector.wire.codec import held_bytes
from audio_connector.wire.messages import Event

T = TypeVar("T")


class Watch(Protocol):
    """Something that goes on while somebody waits."""

    def cancel(self) -> None:
        """Nobody waits any more."""


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
            timer = self._watch(self._loop)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
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

    def _watch(self, loop: asyncio.AbstractEventLoop) -> Watch | None:
        """Somebody begins to wait: watch what happens meanwhile, until it is cancelled."""
        return None

    def _take(self) -> T:
        return self._ready.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AudioStream(Stream[bytes]):
    """The incoming audio of one connection, piece by piece, until it ends; made by ``client.audio()``.

    Each piece is ``bytes``: whole 16-bit samples, mono, little-endian. Half a sample at a message's end is left out.
    The format is asked for when audio arrives, for it may change. Beyond ``max_buffer_ms`` the oldest audio is
    dropped: ``on_drop`` is told how many milliseconds, and whether an episode begins with them, and ``on_overflow``
    once per episode. With ``gap_s`` it goes on with silence where no audio came for so long, see `intake.gaps`.
    """

    def __init__(
        self,
        get_format: Callable[[], AudioFormat],
        *,
        chunk_ms: float | None,
        sample_rate: int | None,
        max_buffer_ms: float,
        on_overflow: Callable[[IntakeOverflow], None],
        on_drop: Callable[[float, bool], None],
        gap_s: float | None = None,
    ) -> None:
        super().__init__()
        self._gap = None if gap_s is None else Gap(gap_s, max_buffer_ms / 1000)
        self._get_format = get_format
        self._pieces = Pieces(chunk_ms=chunk_ms, rate_hz=sample_rate)
        self._max_buffer_ms = max_buffer_ms
        self._on_overflow, self._on_drop = on_overflow, on_drop
        self._ready_bytes = 0
        self._is_dropping = False
        self.dropped_bytes = 0

    def _receive(self, item: Any, is_last: bool) -> None:  # noqa: ANN401 - as above
        if self._gap is not None and self._loop is not None and not is_last:
            self._gap.note_audio(self._loop.time())
        super()._receive(item, is_last)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> Watch | None:
        return None if self._gap is None else _GapWatch(loop, self._gap, self._be_silent)

    def _be_silent(self, frames: int) -> bool:
        """Go on with so much silence, as if it had come; True where somebody still waits then."""
        super()._receive(bytes(frames * self._get_format().frame_bytes), False)
        return self._waiter is not None and not self._waiter.done()

    def _add(self, item: bytes, is_last: bool) -> None:
        pieces = self._pieces.finish() if is_last else self._pieces.push(item, self._get_format().rate_hz)
        if not pieces:
            return
        self._ready += pieces
        self._ready_bytes += sum(map(len, pieces))
        bytes_per_ms = SAMPLE_BYTES * self._pieces.rate_hz / 1000
        dropped_bytes = 0
        while self._ready_bytes > bytes_per_ms * self._max_buffer_ms and len(self._ready) > 1:
            dropped_bytes += len(self._take())
        if dropped_bytes:
            self.dropped_bytes += dropped_bytes
            is_first, self._is_dropping = not self._is_dropping, True
            self._on_drop(dropped_bytes / bytes_per_ms, is_first)
            if is_first:
                text = (
                    f"more than {self._max_buffer_ms:g} ms of audio waited in client.audio(), so the oldest is being "
                    "dropped: read it faster, or raise Intake.max_buffer_ms. statistics() counts the rest"
                )
                self._on_overflow(IntakeOverflow(text))

    def _take(self) -> bytes:
        piece = self._ready.popleft()
        self._ready_bytes -= len(piece)
        if not self._ready:
            self._is_dropping = False
        return piece


class _GapWatch:
    """Wakes at the deadlines of a gap while somebody waits for audio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gap: Gap, be_silent: Callable[[int], bool]) -> None:
        self._loop = loop
        self._gap = gap
        self._be_silent = be_silent
        self._arm(gap.begin_to_wait(loop.time()))

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._timer.cancel()

    def _arm(self, at: float) -> None:
        self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        frames = self._gap.frames_due(self._loop.time())
        if not frames or self._be_silent(frames):
            self._arm(self._gap.next_deadline())


class EventStream(Stream[Event]):
    """The events of one connection, until it ends; the last one is `Disconnected`. Made by ``client.events()``.

    A consumer that lets more than ``max_events`` wait is told so with a `LimitError`, since no event is dropped.
    """

    def __init__(self, *, max_events: int) -> None:
        super().__init__()
        self._max_events = max_events
        self._sizes: deque[int] = deque()
        """Of the memory that each of those that wait takes."""
        self._bytes = 0

    def push(self, item: TextItem | Event) -> None:
        """Take an event, with the text that it came in; from the connection's loop."""
        self._cross(item, is_last=False)

    def _add(self, item: TextItem | Event, is_last: bool) -> None:
        event, size_bytes = (item.event, held_bytes(item.text)) if isinstance(item, TextItem) else (item, 0)
        count, is_full = len(self._ready), self._bytes + size_bytes > MAX_TEXT_BYTES
        if is_last or not count or (count < self._max_events and not is_full):
            self._ready.append(event)
            self._sizes.append(size_bytes)
            self._bytes += size_bytes
            return
        self.is_over = True
        what = f"{count} events{f' of {self._bytes} bytes' if is_full else ''}"
        advice = "" if is_full else ", or raise Intake.max_texts"
        self._error = LimitError(
            f"{what} were not read from client.events(), so it ends here: read it in a loop of its own{advice}"
        )

    def _take(self) -> Event:
        self._bytes -= self._sizes.popleft()
        return super()._take()
