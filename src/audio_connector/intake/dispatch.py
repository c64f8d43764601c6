# SPDX-License-Identifier: Apache-2.0
"""Hands what arrived to the application: in order, one at a time, on the application's loop.

One task per connection, not one per frame: it sleeps on a future while there is nothing to do, which is cheaper.
It never blocks the reader. It takes a *window* of messages ahead; each batch that was handled gives the other side
credit for as many more, and what exceeds the window waits over there, in the bounded buffer.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from types import CoroutineType
from typing import Any, TypeVar

from audio_connector.intake.faults import GOES_ON, CommonFaults, FaultLog, excerpt
from audio_connector.intake.items import Item, TextItem
from audio_connector.intake.streams import AudioStream, EventStream, Stream
from audio_connector.validation.handlers import Handler
from audio_connector.wire.messages import Disconnected

Streams = list[weakref.ref[Stream[Any]]]
StreamT = TypeVar("StreamT", AudioStream, EventStream)


class _State(IntEnum):
    """How far it has come; it never goes back."""

    OPEN = 0
    """Messages come."""
    ENDED = 1
    """Nothing more comes, and what waits is handed over."""
    OVER = 2
    """Nothing is handed over any more."""
    FORGOTTEN = 3
    """The handlers are gone, and none are taken."""


class Dispatcher:
    """The application's side of one connection's intake.

    ``want`` is told what is wanted (audio, texts), for how many further messages there is room, ``credit_batch`` at a
    time, and whether the application has settled: what it does not want then need not be kept. Where ``owes_work``
    says that the loop is kept from others they run before the next message. ``count_error`` is given the class of
    each error; ``common_faults`` are those of all connections.
    """

    def __init__(
        self,
        connection_id: str,
        *,
        credit_batch: int,
        want: Callable[[bool, bool, int, bool], None],
        owes_work: Callable[[], bool],
        count_error: Callable[[str], None] = lambda _: None,
        common_faults: CommonFaults | None = None,
    ) -> None:
        self.faults = FaultLog(connection_id, count_error, common_faults)
        self._credit_batch = credit_batch
        self._want = want
        self._owes_work = owes_work
        self._items: deque[Item | Exception] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._state = _State.OPEN
        self._wants_audio = self._wants_texts = self._is_settled = False
        self._last: Disconnected | None = None
        self._lock = threading.Lock()
        """For what is wanted, which any thread may change; a frame's path does not take it."""
        self._audio_streams: Streams = []
        self._event_streams: Streams = []
        self.on_message: Handler | None = None
        self.on_audio: Handler | None = None
        self.on_event: Handler | None = None
        self.on_error: Handler | None = None
        self.on_disconnect: Handler | None = None
        self.on_fault: Callable[[str, BaseException], None] | None = None
        """Told of what a handler raises, besides."""
        self.handled = 0
        """Messages so far, for whoever watches over the progress."""
        self.is_cancelled = False
        """Set by whoever cancels the task, to tell it from a handler that was cancelled inside."""
        self.has_taker = False
        """Whether anything was ever asked for, or nothing will be any more."""

    # From any thread.

    def add(self, stream: StreamT) -> StreamT:
        """Hand audio or events to a stream too, as long as somebody holds it."""
        streams = self._audio_streams if isinstance(stream, AudioStream) else self._event_streams
        streams.append(weakref.ref(stream))
        self.update_wants()
        if self._last is not None:
            stream.end(self._last)
        return stream

    def set(self, **handlers: Handler | None) -> None:
        """Set what is called, by its name."""
        if self._state < _State.FORGOTTEN:
            for name, handler in handlers.items():
                setattr(self, name, handler)
        self.update_wants()

    def update_wants(self) -> None:
        """Ask for what somebody takes. Once wanted it stays wanted: without a taker it is then discarded."""
        with self._lock:
            audio = bool(self._wants_audio or self.on_message or self.on_audio or self._audio_streams)
            texts = bool(self._wants_texts or self.on_message or self.on_event or self._event_streams)
            if (audio, texts) != (self._wants_audio, self._wants_texts):
                self._wants_audio, self._wants_texts = audio, texts
                self.has_taker = True
                self._want(audio, texts, 0, self._is_settled)
        if self._items and self._loop is asyncio._get_running_loop():
            self._wake()
        elif self._items and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    # On the application's loop.

    def settle(self) -> None:
        """on_connect is over: what was handed over and is not wanted by now is discarded, and errors are told."""
        self.has_taker = True
        self._wake()

    def let_go(self) -> None:
        """Nobody is expected to ask for more: what is not wanted by now is not kept on the other side either."""
        with self._lock:
            if not self._is_settled and not (self._wants_audio and self._wants_texts):
                self._is_settled = True
                self._want(self._wants_audio, self._wants_texts, 0, True)

    def feed(self, item: Item) -> None:
        """Take a message."""
        self._items.append(item)
        wakeup = self._wakeup
        if wakeup is not None and not wakeup.done():
            wakeup.set_result(None)

    def feed_error(self, error: Exception) -> None:
        """Take an error, ahead of the messages that wait and behind the errors that do; after the end for the log."""
        if self._state >= _State.OVER:
            self._log(error)
            return
        errors = sum(isinstance(item, Exception) for item in self._items)
        self._items.insert(errors, error)
        self._wake()

    def end(self) -> None:
        """Nothing more comes; what waits is still handed over."""
        self._come_to(_State.ENDED)
        self._wake()

    def forget(self) -> None:
        """All is told: let go of the handlers, and take no others.

        Most hold their connection, as a function within ``on_connect`` does, and it holds them: both would be there
        until a garbage collection, and enough of them bring about one that takes longer than a frame.
        """
        self._come_to(_State.FORGOTTEN)
        self.on_message = self.on_audio = self.on_event = self.on_error = self.on_disconnect = None
        self.on_fault = None

    def end_streams(self, last: Disconnected) -> None:
        """End the iterators, after what they were handed; one that is made later ends at once."""
        self._last = last
        for reference in (*self._audio_streams, *self._event_streams):
            if (stream := reference()) is not None:
                stream.end(last)

    async def run(self) -> None:
        """Hand over until the end."""
        loop = self._loop = asyncio.get_running_loop()
        try:
            while True:
                gives_way = await self._hand_over()
                if self._state >= _State.ENDED and not self._items:
                    break
                self._wakeup = loop.create_future()
                try:
                    await (asyncio.sleep(0) if gives_way else self._wakeup)
                except asyncio.CancelledError as error:  # a handler cancelled its own task, and returned
                    await self._survive(error, "the task of the handlers", None)
        finally:
            self._come_to(_State.OVER)
            self.faults.close()

    async def _hand_over(self) -> bool:
        """Hand over what is there; True where more is, and others should run first."""
        items = self._items
        # Before anything was asked for, only errors are handed over; messages come then only with the end.
        while items and (self.has_taker or (self.on_error and isinstance(items[0], Exception))):
            item = items.popleft()
            for name, handler, argument in self._calls_for(item):
                if handler is None:
                    continue
                try:
                    reply = handler(argument)
                    # The type first: asking an abstract class is much slower.
                    if type(reply) is CoroutineType or (reply is not None and isinstance(reply, Awaitable)):
                        await reply
                except Exception as error:
                    self._report(error, name, handler, argument)
                except asyncio.CancelledError as error:  # of something that the handler awaited
                    await self._survive(error, name, handler)
            if not isinstance(item, Exception):
                self._note_handled()
            if items and self._owes_work():
                return True
        return False

    def _calls_for(self, item: Item | Exception) -> tuple[tuple[str, Handler | None, object], ...]:
        """Who is called with what; the streams have it then."""
        if isinstance(item, bytes):  # the path of every incoming frame
            if self._audio_streams:
                self._push(self._audio_streams, item)
            return ("on_message", self.on_message, item), ("on_audio", self.on_audio, item)
        if isinstance(item, TextItem):
            self._push(self._event_streams, item)
            return ("on_message", self.on_message, item.text), ("on_event", self.on_event, item.event)
        if self.on_error is None:
            self._log(item)
        else:
            self.faults.count(item)
        return (("on_error", self.on_error, item),)

    def _note_handled(self) -> None:
        self.handled += 1
        if not self.handled % self._credit_batch:
            with self._lock:  # or it could take back what another thread has just asked for
                self._want(self._wants_audio, self._wants_texts, self._credit_batch, self._is_settled)

    def _push(self, streams: Streams, item: object) -> None:
        for reference in tuple(streams):
            stream = reference()
            if stream is None or stream.is_over:
                streams.remove(reference)
                continue
            try:
                stream.push(item)
            except Exception as error:
                self.feed_error(error)

    def _report(self, error: BaseException, name: str, handler: Handler | None, given: object = None) -> None:
        """Tell the application of an error, and which handler raised it: on_error next, or else the log."""
        if self.on_fault is not None:
            self.on_fault(name, error)
        if self.on_error is not None and name != "on_error":
            if not isinstance(error, Exception):
                error = RuntimeError(f"{name} was cancelled: {error!r}")
            self._items.appendleft(error)
        else:
            told_of = f"it was told of {excerpt(given)}; " if isinstance(given, Exception) else ""
            self.faults.raised(name, handler, error, f"{told_of}{GOES_ON}")

    async def _survive(self, error: asyncio.CancelledError, name: str, handler: Handler | None) -> None:
        """Go on although the task was cancelled, unless it was the owner who did it."""
        if sys.version_info >= (3, 11):
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
        await asyncio.sleep(0)  # a loop that ends cancels all its tasks: the owner then says so in this round
        if self.is_cancelled:
            for item in self._items:
                if isinstance(item, Exception):
                    self._log(item)
            raise error
        self._report(error, name, handler)

    def _log(self, error: Exception) -> None:
        """There is no on_error to tell."""
        self.faults.count(error)
        self.faults.told(error)

    def _come_to(self, state: _State) -> None:
        # A stop may cut the handlers short before the end of the connection is told.
        self._state = max(self._state, state)

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
