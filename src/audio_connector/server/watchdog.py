# SPDX-License-Identifier: Apache-2.0
"""Notices, from the thread beside it, that the application's loop is blocked, and by what.

The audio does not suffer from that, unless the whole process stands still and it is in there; but the application
hears everything late, and nothing else would tell. It speaks while the loop is blocked, for it may never run again.
The causes:

- ``handler``, ``other_code``: this thread runs, and the loop does not: the code that its thread is in keeps it;
- ``gc``: a garbage collection;
- ``gil``: nor did this thread run, and the process computed meanwhile: a call into C that keeps Python's lock;
- ``machine``: nor did it compute: it was suspended, or the machine is too busy. A call into C that waits with the
  lock looks the same.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from audio_connector.port.host import Block
from audio_connector.port.mailbox import Outbox
from audio_connector.port.meters import Meters
from audio_connector.server.garbage import Collection, GarbageWatch
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

COMPUTING = 0.1
"""A process that had so much of a CPU while this thread waited was computing: as much as one has among ten others.
One that is stopped has none, and a thread that waits for nothing but a CPU gets one sooner."""

RUN_HANDLERS = ("intake/dispatch.py", "server/session.py", "validation/handlers.py")
"""Files whose calls into other files are calls of handlers."""

ANOTHER_THREAD = "another thread than the application's"


class Cpu(NamedTuple):
    """CPU seconds so far: of the process, and of the thread of the application's loop."""

    process_s: float
    thread_s: float


def cpu_clock(thread_id: int) -> Callable[[], Cpu]:
    """Return what reads both, without letting go of Python's lock; of the thread 0, where the system does not say."""
    try:
        of_thread = time.pthread_getcpuclockid(thread_id)
    except (AttributeError, OSError):
        return lambda: Cpu(time.process_time(), 0.0)

    def read() -> Cpu:
        try:
            return Cpu(time.process_time(), time.clock_gettime(of_thread))
        except OSError:  # it has ended
            return Cpu(time.process_time(), 0.0)

    return read


class LoopWatchdog:
    """Watches the loop that an outbox delivers to and that runs in this thread; a `playback.pacer.Paced`.

    Args:
        loop: The outbox.
        thread_id: The thread of the loop.
        meters: Where the time is counted, by cause.
        tell: Given each time of being blocked, once it is over.
        has_audio: The sockets are in this process, and stand still with it.
        cpu: Reads the CPU time.
    """

    def __init__(
        self,
        loop: Outbox,
        thread_id: int,
        *,
        meters: Meters,
        tell: Callable[[Block], None],
        has_audio: bool,
        cpu: Callable[[], Cpu] | None = None,
    ) -> None:
        self.armed_at: float | None = None
        self.id = 0
        self._loop = loop
        self._thread_id = thread_id
        self._meters = meters
        self._tell = tell
        self._audio = ", audio included" if has_audio else "; the audio, in a process of its own, went on"
        self._read_cpu = cpu or cpu_clock(thread_id)
        self._cpu = Cpu(0.0, 0.0)
        self._usual_s = 0.0
        """CPU of the process between two looks that were in time."""
        self._garbage = GarbageWatch()
        self._looks_at = float("inf")
        self._watched_from = float("-inf")
        self._since: float | None = None
        self._place = ""
        self._counted_s = 0.0
        """Of the present time of being blocked."""
        self._next_word_s = BLOCKED_S
        self._told_in = ""
        self._episodes = Episodes("other places")

    def start(self) -> None:
        """Note what stops the process from now on; from any thread, as `stop`."""
        self._garbage.start()

    def stop(self) -> None:
        """No more; what was only counted so far is told."""
        self._garbage.stop()
        for word in self._episodes.finish():
            text = "the application was held up %d more times in %.3g s, in %s"
            logger.warning(text, word.times, word.seconds, word.kind)

    def pause(self) -> None:
        """It was not looked for a while, and nobody is to blame for that."""
        self._looks_at = float("inf")

    def wake(self, now: float) -> float:
        """Look; called every `CHECK_S` on the thread beside."""
        self._note_standstill(now - self._looks_at, now)
        self._looks_at = now + CHECK_S
        since = self._loop.pending_since
        if self._loop.is_closed():
            self._loop.give_up()
        elif since != self._since:
            self._end_block()
            self._since = since
        elif since is None:
            self._loop.post_heartbeat()
        else:
            self._follow_block(since, now)
        return self._looks_at

    # The whole process.

    def _note_standstill(self, late_s: float, now: float) -> None:
        """Where this thread did not run either, that is not the loop's fault."""
        before, self._cpu = self._cpu, self._read_cpu()
        collections = self._garbage.take()
        for collection in collections:
            self._tell_collection(collection, now)
        own_s = late_s - sum(collection.seconds for collection in collections)
        if late_s >= BLOCKED_S and own_s >= BLOCKED_S:
            self._tell_standstill(own_s, before, now)
        if late_s >= BLOCKED_S or collections:
            self._watched_from, self._counted_s = now, 0.0
        else:
            self._usual_s = self._cpu.process_s - before.process_s

    def _tell_collection(self, collection: Collection, now: float) -> None:
        began_at, seconds, generation = collection
        place = f"a garbage collection of generation {generation}"
        self._note(Block("gc", place, began_at, seconds))
        word = self._episodes.note(place, now)
        if word is not None:
            text = (
                "%s took %.1f s%s, and nothing of this process ran meanwhile%s. gc.freeze() once everything is "
                "loaded has it look at less, and gc.set_threshold() makes it rarer"
            )
            logger.warning(text, place, seconds, _times(word), self._audio)

    def _tell_standstill(self, late_s: float, before: Cpu, now: float) -> None:
        computed_s = max(0.0, self._cpu.process_s - before.process_s - self._usual_s)
        if computed_s < COMPUTING * late_s:
            self._note(Block("machine", "", now - late_s, late_s))
            if late_s >= STOOD_STILL_S:
                text = (
                    "nothing of this process ran for %.1f s%s: it was suspended, or the machine is too busy; it had "
                    "%.1f s of CPU meanwhile. A call into C that waits with Python's lock looks the same: the "
                    "application's thread is in %s"
                )
                logger.warning(text, late_s, self._audio, computed_s, self._look())
            return
        is_own = self._cpu.thread_s - before.thread_s >= computed_s / 2
        place = self._look() if is_own else ANOTHER_THREAD
        self._note(Block("gil", place, now - late_s, late_s))
        word = self._episodes.note(f"C in {place}", now)
        if word is not None:
            text = (
                "a call into C kept Python's lock for %.1f s%s, and nothing else of this process ran%s. It was made "
                "by %s. Have it let go of the lock, do less at a time, or run it in another process"
            )
            where = f"the application's thread, which a moment later was in {place}" if is_own else place
            logger.warning(text, late_s, _times(word), self._audio, where)

    # The loop alone.

    def _follow_block(self, since: float, now: float) -> None:
        blocked_s = now - max(since, self._watched_from)
        if not self._place and blocked_s >= BLOCKED_S - CHECK_S:  # before one of `BLOCKED_S` has ended
            self._place = self._look()
        if blocked_s >= BLOCKED_S:
            self._count(blocked_s)
            if now - since >= self._next_word_s:
                self._speak(now - since, now)

    def _end_block(self) -> None:
        if self._since is not None:
            began_at = max(self._since, self._watched_from)
            blocked_s = self._loop.drained_at - began_at
            if blocked_s >= BLOCKED_S and self._place:
                self._count(blocked_s)
                self._tell(Block(_cause(self._place), self._place, began_at, blocked_s))
            if self._told_in:
                text = "the application's event loop was blocked for %.1f s, in %s; it runs again"
                logger.warning(text, self._loop.drained_at - self._since, self._told_in)
        self._next_word_s, self._told_in, self._place, self._counted_s = BLOCKED_S, "", "", 0.0

    def _count(self, blocked_s: float) -> None:
        """Count it while it goes on: it may never end."""
        added_s = max(0.0, blocked_s - self._counted_s)
        self._meters.add("loop_blocked_seconds", added_s, _cause(self._place))
        self._counted_s = blocked_s

    def _note(self, block: Block) -> None:
        self._meters.add("loop_blocked_seconds", block.seconds, block.cause)
        self._tell(block)

    def _speak(self, blocked_s: float, now: float) -> None:
        is_first = self._next_word_s == BLOCKED_S
        self._next_word_s = max(NEXT_WORD_S, LATER * self._next_word_s)
        place = self._place = self._look()
        word = self._episodes.note(place, now) if is_first else Word(place, 1, 0.0)
        if word is None:
            return  # it is counted: a handler that blocks each time must not fill the log
        logger.warning(
            "the application's event loop is %sblocked, for %.1f s so far, in %s%s. Incoming audio is kept and "
            "playback goes on, but every handler waits: await slow work, or run it with asyncio.to_thread()",
            "still " if self._told_in else "",
            blocked_s,
            place,
            _times(word),
        )
        self._told_in = place

    def _look(self) -> str:
        return where_is(sys._current_frames().get(self._thread_id), RUN_HANDLERS)


def _cause(place: str) -> str:
    return "handler" if place.startswith("the handler ") else "other_code"


def _times(word: Word[str]) -> str:
    return f", {word.times} times in {word.seconds:.3g} s" if word.times > 1 else ""
