# SPDX-License-Identifier: Apache-2.0
"""Hands what arrived to the application: in order, one at a time, on the application's loop.

One task per connection, not one per frame: it sleeps on a future while there is nothing to do, which is
cheaper than a new task each time. The reader is never blocked by it. It can take a *window* of messages ahead;
each batch that was handled gives the other side credit for as many more, and what exceeds the window waits
over there, in the bounded buffer.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from types import CoroutineType

from audio_connector.intake.faults import GOES_ON, FaultLog, excerpt
from audio_connector.intake.handlers import Handler, call_handler, forgive_cancelling
from audio_connector.intake.items import Item, TextItem
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.wire.messages import Disconnected, Event


class Dispatcher:
    """The application's side of one connection's intake.

    Args:
        connection_id: Names the connection in the log.
        credit_batch: After so many handled messages the other side is told that there is room.
        want: Told what is wanted (audio, texts), for how many further messages there is room, and whether the
            application has settled: what it does not want then need not be kept.
    """

    def __init__(
        self, connection_id: str, *, credit_batch: int, want: Callable[[bool, bool, int, bool], None]
    ) -> None:
        self.faults = FaultLog(connection_id)
        self._credit_batch = credit_batch
        self._want = want
        self._items: deque[Item | Exception] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._is_ended = False
        self._wants_audio = self._wants_texts = self._is_settled = False
        self._last: Disconnected | None = None
        self._lock = threading.Lock()
        """For what any thread may change; a frame's path does not take it."""
        self._audio_streams: list[weakref.ref[AudioStream]] = []
        self._event_streams: list[weakref.ref[EventStream]] = []
        self.on_message: Handler | None = None
        self.on_audio: Handler | None = None
        self.on_event: Handler | None = None
        self.on_error: Handler | None = None
        self.on_disconnect: Handler | None = None
        self.handled = 0
        """Messages handled so far, for whoever watches over the progress."""
        self.is_cancelled = False
        """Set by whoever cancels the task, to tell it from a handler that was cancelled inside."""
        self.has_taker = False
        """Whether anything was ever asked for, or nothing will be any more."""

    # From any thread.

    def add_audio_stream(self, stream: AudioStream) -> None:
        """Hand audio to a stream too, as long as somebody holds it."""
        with self._lock:
            self._audio_streams = [*self._audio_streams, weakref.ref(stream)]
        self.update_wants()
        if self._last is not None:
            stream.end()

    def add_event_stream(self, stream: EventStream) -> None:
        """Hand events to a stream too, as long as somebody holds it."""
        with self._lock:
            self._event_streams = [*self._event_streams, weakref.ref(stream)]
        self.update_wants()
        if self._last is not None:
            stream.end(self._last)

    def update_wants(self) -> None:
        """Ask for what somebody takes. Once wanted it stays wanted: without a taker it is then discarded."""
        with self._lock:
            audio = bool(self._wants_audio or self.on_message or self.on_audio or self._audio_streams)
            texts = bool(self._wants_texts or self.on_message or self.on_event or self._event_streams)
            if (audio, texts) != (self._wants_audio, self._wants_texts):
                self._wants_audio, self._wants_texts = audio, texts
                self.has_taker = True
                self._want(audio, texts, 0, self._is_settled)
        if self._items and self._loop is not None:
            if self._loop is asyncio._get_running_loop():
                self._wake()
            else:
                self._loop.call_soon_threadsafe(self._wake)

    # On the application's loop.

    @property
    def wants_all(self) -> bool:
        """Whether audio and texts are both wanted, so that there is nothing to let go."""
        return self._wants_audio and self._wants_texts

    def settle(self) -> None:
        """on_connect is over: what was handed over and is not wanted by now is discarded, and errors are told."""
        self.has_taker = True
        self._wake()

    def let_go(self) -> None:
        """Nobody is expected to ask for more: what is not wanted by now is not kept on the other side either."""
        with self._lock:
            if not self._is_settled:
                self._is_settled = True
                self._want(self._wants_audio, self._wants_texts, 0, True)

    def feed(self, item: Item) -> None:
        """Take a message."""
        self._items.append(item)
        wakeup = self._wakeup
        if wakeup is not None and not wakeup.done():
            wakeup.set_result(None)

    def feed_error(self, error: Exception) -> None:
        """Take an error, ahead of the messages that wait and behind the errors that do."""
        errors = sum(isinstance(item, Exception) for item in self._items)
        self._items.insert(errors, error)
        self._wake()

    def end(self) -> None:
        """Nothing more comes; what waits is still handed over."""
        self._is_ended = True
        self._wake()

    async def run(self) -> None:
        """Hand over until the end."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._hand_over()
        finally:
            self.faults.close()

    async def _hand_over(self) -> None:
        items = self._items
        unreported = 0
        while True:
            while items and (self.has_taker or self._may_tell(items[0])):
                item = items.popleft()
                if type(item) is bytes:
                    # The path of every incoming frame.
                    if self._audio_streams:
                        self._push_audio(item)
                    if self.on_message is not None:
                        await self._call("on_message", self.on_message, item)
                    if self.on_audio is not None:
                        await self._call("on_audio", self.on_audio, item)
                elif isinstance(item, TextItem):
                    await self._hand_over_text(item)
                else:
                    await self._report(item)  # type: ignore[arg-type]  # what remains is an exception
                    continue
                self.handled += 1
                unreported += 1
                if unreported >= self._credit_batch:
                    with self._lock:  # or it could take back what another thread has just asked for
                        self._want(self._wants_audio, self._wants_texts, unreported, self._is_settled)
                    unreported = 0
            if self._is_ended and not items:
                return
            await self._sleep()

    def end_streams(self, last: Disconnected) -> None:
        """End the iterators, after what they were handed; one that is made later ends at once."""
        self._last = last
        for audio in self._audio_streams:
            if (stream := audio()) is not None:
                stream.end()
        for events in self._event_streams:
            if (event_stream := events()) is not None:
                event_stream.end(last)

    async def _report(self, error: Exception, name: str = "", handler: Handler | None = None) -> None:
        """Tell the application of an error: on_error, or else the log. The handler is the one that raised it."""
        on_error = self.on_error
        if on_error is None:
            if handler is None:
                self.faults.told(error)
            else:
                self.faults.raised(name, handler, error)
            return
        try:
            await call_handler(on_error, error)
        except Exception as worse:
            self.faults.raised("on_error", on_error, worse, f"it was told of {excerpt(error)}; {GOES_ON}")
        except asyncio.CancelledError:
            if self.is_cancelled:
                raise
            forgive_cancelling()
            self.faults.was_cancelled("on_error", on_error)

    def _may_tell(self, item: Item | Exception) -> bool:
        """Before anything was asked for, only an error is handed over, and only to on_error.

        Messages wait here then only after the end, which hands over what nobody has asked for yet.
        """
        return self.on_error is not None and isinstance(item, Exception)

    async def _sleep(self) -> None:
        wakeup = self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await wakeup
        except asyncio.CancelledError as error:
            # A handler cancelled the task that runs it, and returned; the connection goes on.
            await self._forgive(error)
            await self._report(RuntimeError(f"the task of the handlers was cancelled: {error!r}"))
        self._wakeup = None

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def _call(self, name: str, handler: Handler, argument: object) -> None:
        try:
            result = handler(argument)
            # The type first: asking an abstract class is much slower.
            if type(result) is CoroutineType or (result is not None and isinstance(result, Awaitable)):
                await result
        except Exception as error:
            await self._report(error, name, handler)
        except asyncio.CancelledError as error:
            # A handler that awaited something cancelled; the connection goes on.
            await self._forgive(error)
            if self.on_error is None:
                self.faults.was_cancelled(name, handler)
            else:
                await self._report(RuntimeError(f"a handler was cancelled: {name}, {error!r}"))

    async def _forgive(self, error: asyncio.CancelledError) -> None:
        """Go on, unless it was the owner who cancelled."""
        forgive_cancelling()
        await asyncio.sleep(0)  # a loop that ends cancels all its tasks: the owner then says so in this round
        if self.is_cancelled:
            raise error

    async def _hand_over_text(self, item: TextItem) -> None:
        if self._event_streams:
            self._push_event(item.event)
        if self.on_message is not None:
            await self._call("on_message", self.on_message, item.text)
        if self.on_event is not None:
            await self._call("on_event", self.on_event, item.event)

    def _push_audio(self, payload: bytes) -> None:
        for reference in self._audio_streams:
            stream = reference()
            if stream is None or stream.is_over:
                with self._lock:
                    self._audio_streams = [ref for ref in self._audio_streams if ref is not reference]
                continue
            try:
                stream.push(payload)
            except Exception as error:
                self.feed_error(error)

    def _push_event(self, event: Event) -> None:
        for reference in self._event_streams:
            stream = reference()
            if stream is None or stream.is_over:
                with self._lock:
                    self._event_streams = [ref for ref in self._event_streams if ref is not reference]
                continue
            try:
                stream.push(event)
            except Exception as error:
                self.feed_error(error)
