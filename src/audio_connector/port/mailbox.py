# SPDX-License-Identifier: Apache-2.0
"""The carrier within one process: messages from one side to the other, in order and in batches; posting never blocks.

The mailboxes are bounded by what feeds them: to the application by the window of each connection and by what it has
asked, from it by the room that it is granted. A batch costs one wake-up, however many messages it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from audio_connector.call.tells import Tell
from audio_connector.port.host import Deliver, Note

logger = logging.getLogger("audio_connector.server")

APART_S = 0.002
"""So far apart, at least, are the wake-ups of the application: each hands the interpreter over and back, which costs
more than a frame does. What comes after a quiet time does not wait."""

BUSY_S = 0.005
"""An application that posts again within this is amid a round of many; these share a wake-up at its end."""

LOOK_AGAIN_S = 0.01
"""More than `BUSY_S`: whatever is put off was posted by then."""

LOOP_TURN_S = 0.01
"""Who has kept the application's loop for longer lets it run before going on; half a frame."""

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Messages for one loop, from any thread; in order. ``on_lost`` is told that the loop is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[T], None],
        *,
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._on_lost = on_lost
        self._clock = clock
        self._messages: deque[T] = deque()
        self.is_armed = False
        """A wake-up is on its way, or will be at the end of the sender's round."""
        self._woken_at = 0.0
        self.batches = self.messages = 0
        """Delivered so far."""

    def post(self, message: T) -> None:
        """Send a message; never blocks, takes no lock, and may be called in a finalizer."""
        self._messages.append(message)
        if not self.is_armed:
            # Two threads may both get here; the second wake-up then finds nothing.
            self.is_armed = True
            self._arm()

    def wake(self) -> None:
        """Have the receiving loop look, now; from any thread."""
        self._woken_at = self._clock()
        try:
            self._loop.call_soon_threadsafe(self.drain)
        except RuntimeError:
            self.give_up()

    def _arm(self) -> None:
        """Something was posted while nothing was on its way."""
        self.wake()

    @property
    def waiting(self) -> int:
        """Messages that are not delivered yet."""
        return len(self._messages)

    def is_closed(self) -> bool:
        """Whether the receiving loop is closed: a wake-up that was pending in it never comes."""
        return self._loop.is_closed()

    def give_up(self) -> None:
        """The receiving loop is closed: drop what it has not looked at."""
        # Disarm first, as in `drain`: whoever posts later finds the loop closed by itself.
        self.is_armed = False
        self._messages.clear()
        self._on_lost()

    def drain(self) -> None:
        """Deliver what is there; on the receiving loop."""
        # Disarm first: what is posted from here on wakes again, what was posted before is in the deque.
        self.is_armed = False
        messages, deliver = self._messages, self._deliver
        count = len(messages)
        self.batches += bool(count)
        self.messages += count
        for _ in range(count):
            try:
                deliver(messages.popleft())
            except Exception:
                logger.exception("a message was lost; this is an error of the library")


class Inbox(Mailbox[T]):
    """From the application to the I/O side.

    A message wakes the I/O side at once, unless the application is in the middle of a round of many: then they share
    a wake-up at its end. It may block instead of ending the round, so the I/O side looks again by itself after each
    batch: what was put off then waits for `LOOK_AGAIN_S` at most.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[T], None],
        *,
        application_loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(loop, deliver, on_lost=on_lost)
        self._application_loop = application_loop
        self._application_thread = threading.get_ident()
        self._looks_again = False

    def _arm(self) -> None:
        if threading.get_ident() == self._application_thread and self._clock() - self._woken_at < BUSY_S:
            with contextlib.suppress(RuntimeError):  # it is closed: then nothing is gathered
                self._application_loop.call_soon(self.wake)
                return
        self.wake()

    def drain(self) -> None:
        """Deliver what is there, and look again a little later; on the I/O side's loop."""
        super().drain()
        if not self._looks_again:
            self._looks_again = True
            self._loop.call_later(LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._looks_again = False
        if self._messages:
            self.drain()


class Outbox(Mailbox[tuple[int, Tell]]):
    """From the I/O side to the application: tells, by the number of their connection.

    ``note`` is called at once, in the sender's thread, for each tell but audio and texts. ``call_later`` is that of
    the sender's loop: what one of its rounds brings shares a wake-up, and so do rounds that follow closely.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        *,
        call_later: Callable[[float, Callable[[], None]], object],
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(loop, deliver, on_lost=on_lost, clock=clock)
        self.note = note
        self.hold = self._messages.append
        """Post without a wake-up, for who lets the loop look, or is on it."""
        self._call_later = call_later
        self.pending_since: float | None = None
        """When the oldest message came that the application's loop has not looked at; None where there is none."""
        self.drained_at = 0.0
        """When it looked last."""

    def post_heartbeat(self) -> None:
        """Have that loop look, whatever there is; on the sender's loop."""
        if not self.is_armed:
            self.is_armed = True
            self._arm()

    def _arm(self) -> None:
        now = self.pending_since = self._clock()
        self._call_later(max(0.0, self._woken_at + APART_S - now), self.wake)

    def drain(self) -> None:
        """Deliver what is there; on the application's loop."""
        self.pending_since = None
        self.drained_at = self._clock()
        super().drain()

    def owes_work(self) -> bool:
        """Whether the application's loop should run before whoever keeps it goes on; from any thread."""
        return self.is_armed or self._clock() - self.drained_at > LOOP_TURN_S
