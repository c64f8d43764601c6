# SPDX-License-Identifier: Apache-2.0
"""Notices, from the I/O thread, that the application's loop is blocked, and says by which handler.

The audio does not suffer from that, but the application hears everything late, and nothing else would tell. It speaks
while the loop is blocked, for it may never run again.
"""

from __future__ import annotations

import logging
import sys

from audio_connector.port.mailbox import Outbox
from audio_connector.validation.places import where_is
from audio_connector.wire.episodes import Episodes, Word

logger = logging.getLogger("audio_connector.server")

CHECK_S = 0.2
BLOCKED_S = 0.5
"""25 frames: the point from which a caller notices that a reply is late."""

NEXT_WORD_S, LATER = 5.0, 6
"""When the second word on one time of being blocked comes; and each further one, after so many times as long."""

STOOD_STILL_S = 2.0
"""So long a busy machine makes a thread wait now and then; the lead covers most of it."""

RUN_HANDLERS = ("intake/dispatch.py", "server/session.py", "validation/handlers.py")
"""Files whose calls into other files are calls of handlers."""


class LoopWatchdog:
    """Watches the loop that an outbox delivers to and that runs in this thread; a `playback.pacer.Paced`."""

    def __init__(self, loop: Outbox, thread_id: int) -> None:
        self.armed_at: float | None = None
        self.id = 0
        self._loop = loop
        self._thread_id = thread_id
        self._looks_at = float("inf")
        self._watched_from = float("-inf")
        self._since: float | None = None
        self._next_word_s = BLOCKED_S
        self._told_in = ""
        self._episodes = Episodes("other places")

    def wake(self, now: float) -> float:
        """Look; called every `CHECK_S` on the I/O thread."""
        late_s = now - self._looks_at
        if late_s >= BLOCKED_S:
            self._watched_from = now  # this thread did not run either, and that is not the loop's fault
        if late_s >= STOOD_STILL_S:
            logger.warning(
                "nothing of this process ran for %.1f s, audio included: it was suspended, the machine is too busy, "
                "or a call into C kept Python's lock. The application's thread is in %s",
                late_s,
                self._look(),
            )
        self._looks_at = now + CHECK_S
        since = self._loop.pending_since
        if self._loop.is_closed():
            self._loop.give_up()
        elif since != self._since:
            self._end_block()
            self._since = since
        elif since is None:
            self._loop.post_heartbeat()
        elif now - since >= self._next_word_s and now - self._watched_from >= BLOCKED_S:
            self._speak(now - since, now)
        return self._looks_at

    def _end_block(self) -> None:
        if self._told_in and self._since is not None:
            blocked_s = self._loop.drained_at - self._since
            text = "the application's event loop was blocked for %.1f s, in %s; it runs again"
            logger.warning(text, blocked_s, self._told_in)
        self._next_word_s, self._told_in = BLOCKED_S, ""

    def _speak(self, blocked_s: float, now: float) -> None:
        is_first = self._next_word_s == BLOCKED_S
        self._next_word_s = max(NEXT_WORD_S, LATER * self._next_word_s)
        place = self._look()
        word = self._episodes.note(place, now) if is_first else Word(place, 1, 0.0)
        if word is None:
            return  # it is counted: a handler that blocks each time must not fill the log
        count = f", {word.times} times in {word.seconds:.3g} s" if word.times > 1 else ""
        logger.warning(
            "the application's event loop is %sblocked, for %.1f s so far, in %s%s. Incoming audio is kept and "
            "playback goes on, but every handler waits: await slow work, or run it with asyncio.to_thread()",
            "still " if self._told_in else "",
            blocked_s,
            place,
            count,
        )
        self._told_in = place

    def _look(self) -> str:
        return where_is(sys._current_frames().get(self._thread_id), RUN_HANDLERS)
