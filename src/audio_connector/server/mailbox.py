# SPDX-License-Identifier: Apache-2.0
"""Messages from one side to the other: in order, in batches, never blocking who posts.

The mailboxes are bounded by what feeds them: to the application by the window of each connection, from it by
``Playback.max_buffer_s`` and by `link.MAX_UNSENT_BYTES`. A batch costs one wake-up, however many messages it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

logger = logging.getLogger("audio_connector.server")

REST_S = 0.004
"""How long the I/O thread rests after a round with arrivals, while it is busy.

What arrives meanwhile shares the next round and the next wake-up of the application, instead of costing a round
and a wake-up each. It adds at most as much delay, a fifth of a frame, and the lead and the priming cover that.
"""

LONG_REST_S = 0.008
LONG_REST_MESSAGES = 16
"""After a round with so many arrivals, as from a hundred calls on, it rests for longer."""

BUSY_ROUND_S = 0.012
"""Rounds with arrivals that follow each other within this make the thread busy: two calls and more. With one it
never rests."""

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Messages from one thread, or many, to one loop; in order.

    Args:
        loop: The loop that receives.
        deliver: Called on that loop for each message.
        gather_on: The sender's own loop, where waking is put off to the end of its round, so that all that is
            posted in a round shares it. None wakes at once, which a sender needs that may block its loop right
            after it has posted.
        on_lost: Given what cannot be delivered, because the receiving loop is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[T], None],
        *,
        gather_on: asyncio.AbstractEventLoop | None,
        on_lost: Callable[[list[T]], None],
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._gather_on = gather_on
        self._on_lost = on_lost
        self._messages: deque[T] = deque()
        self._is_armed = False
        self._woken_at = 0.0
        self.armed_since: float | None = None
        """When the oldest message that nobody has looked at was posted; for the watchdog."""
        self.drained_at = 0.0
        self.peak_messages = 0

    def post(self, message: T) -> None:
        """Send a message, never blocking; from any thread, but where the mailbox gathers from that loop's alone."""
        self._messages.append(message)
        if self._is_armed:
            return
        # Two threads may both get here; the second wake-up then finds nothing.
        self._is_armed = True
        now = time.monotonic()
        self.armed_since = now
        if self._gather_on is None:
            self._wake()
        else:
            self._gather_on.call_soon(self._end_round)

    @property
    def is_receiver_closed(self) -> bool:
        """True where the receiving loop is closed: a wake-up that was pending in it never comes."""
        return self._loop.is_closed()

    def _end_round(self) -> None:
        is_busy = time.monotonic() - self._woken_at < BUSY_ROUND_S
        rest_s = LONG_REST_S if len(self._messages) >= LONG_REST_MESSAGES else REST_S
        self._wake()
        if is_busy:
            time.sleep(rest_s)

    def _wake(self) -> None:
        self._woken_at = time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            self.give_up()

    def give_up(self) -> None:
        """The receiving loop is closed: hand back what it has not looked at, and from now on every message."""
        # Disarm first, as in `_drain`: whoever posts later finds the loop closed by itself.
        self._is_armed = False
        lost: list[T] = []
        while self._messages:
            with contextlib.suppress(IndexError):  # another thread does the same
                lost.append(self._messages.popleft())
        self._on_lost(lost)

    def _drain(self) -> None:
        # Disarm first: what is posted from here on wakes again, what was posted before is in the deque.
        self._is_armed = False
        self.armed_since = None
        self.drained_at = time.monotonic()
        messages, deliver = self._messages, self._deliver
        count = len(messages)
        self.peak_messages = max(self.peak_messages, count)
        for _ in range(count):
            try:
                deliver(messages.popleft())
            except Exception:
                logger.exception("a message was lost; this is an error of the library")
