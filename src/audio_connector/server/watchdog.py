# SPDX-License-Identifier: Apache-2.0
"""Notices, from the I/O thread, that the application's loop is blocked, and says by which handler.

The audio does not suffer from that, but the application hears everything late, and nothing else would tell. It speaks
while the loop is blocked, for it may never run again.
"""

from __future__ import annotations

import logging
import sys
from itertools import pairwise
from types import FrameType
from typing import Any, NamedTuple, Protocol

from audio_connector.intake.episodes import Episodes

logger = logging.getLogger("audio_connector.server")

CHECK_S = 0.2
BLOCKED_S = 0.5
"""25 frames: the point from which a caller notices that a reply is late."""

BLOCKED = "the application's event loop was blocked"

WORDS_S = (BLOCKED_S, 5.0, 30.0)
"""So long after the beginning of a block something is said of it, and from then on every `LATER_WORDS_S`."""

LATER_WORDS_S = 60.0

TOLD_IN_FULL = 3
"""After so many, the further times of the same handler are counted, if they follow within a minute."""

STOOD_STILL_S = 2.0
"""So long a busy machine makes a thread wait now and then; the lead covers most of it."""

HANDED_OVER_BY = ("intake/dispatch.py", "server/session.py", "validation/handlers.py")
RUN_BY = ("/asyncio/",)


class Watched(Protocol):
    """What is known of an application's loop by the messages that it is sent; from any thread, at once."""

    def pending_since(self) -> float | None:
        """When the oldest message was posted that the loop has not looked at; None where it has seen all."""

    def drained_at(self) -> float:
        """When the loop last looked at its messages."""

    def post_heartbeat(self) -> None:
        """Post a message that does nothing."""

    def is_closed(self) -> bool:
        """Whether the loop is closed, and never looks at anything again."""

    def give_up(self) -> None:
        """It is closed: let go what waits for it."""


class Place(NamedTuple):
    """Where a thread is.

    Attributes:
        name: What is called there; the same however far it has come.
        text: That and the line that it is at.
    """

    name: str
    text: str


class _Block:
    """One time of being blocked."""

    __slots__ = ("is_told", "place", "since", "words")

    def __init__(self, since: float, place: Place) -> None:
        self.since = since
        self.place = place
        self.words = 0
        self.is_told = False

    def next_word_s(self) -> float:
        """When there is something to say of it, from its beginning."""
        further = self.words - len(WORDS_S)
        return WORDS_S[self.words] if further < 0 else WORDS_S[-1] + LATER_WORDS_S * (further + 1)


class LoopWatchdog:
    """Watches one application loop; a `playback.pacer.Paced`.

    Args:
        loop: What is known of it. Its times are of the clock by which `wake` is called.
        thread_id: The thread that it runs in.
    """

    def __init__(self, loop: Watched, thread_id: int) -> None:
        self.armed_at: float | None = None
        self.id = 0
        self._loop = loop
        self._thread_id = thread_id
        self._looked_at: float | None = None
        self._watched_from = float("-inf")
        self._block: _Block | None = None
        self._episodes: Episodes[str] = Episodes(f"{BLOCKED} elsewhere", in_full=TOLD_IN_FULL)

    def wake(self, now: float) -> float:
        """Look; called every `CHECK_S` on the I/O thread."""
        if self._loop.is_closed():
            self._loop.give_up()
            return now + CHECK_S
        self._mind_own_delay(now)
        since = self._loop.pending_since()
        if self._block is not None and since != self._block.since:
            self._end(self._block, self._loop.drained_at())
            self._block = None
        if since is None:
            self._loop.post_heartbeat()
        elif now - max(since, self._watched_from) >= BLOCKED_S:
            self._speak_of(since, now)
        for said in self._episodes.due(now):
            logger.warning(
                "%s %d more time%s in %.3g s",
                said.kind,
                said.times,
                "" if said.times == 1 else "s",
                said.seconds,
            )
        return now + CHECK_S

    def _mind_own_delay(self, now: float) -> None:
        """Where this thread did not run either, that is not the loop's fault, and it gets another chance."""
        late_s = 0.0 if self._looked_at is None else now - self._looked_at - CHECK_S
        self._looked_at = now
        if late_s >= BLOCKED_S:
            self._watched_from = now
            if late_s >= STOOD_STILL_S and self._episodes.note("the process stood still", now):
                logger.warning(
                    "nothing of this process ran for %.1f s, audio included: it was suspended, the machine is too "
                    "busy, or a call into C kept Python's lock. The application's thread is in %s",
                    late_s,
                    self._look().text,
                )

    def _speak_of(self, since: float, now: float) -> None:
        block = self._block
        if block is None:
            block = self._block = _Block(since, self._look())
        blocked_s = now - since
        if blocked_s < block.next_word_s():
            return
        is_first = not block.words
        while blocked_s >= block.next_word_s():
            block.words += 1
        is_new = not is_first or self._episodes.note(f"{BLOCKED} in {block.place.name}", now)
        if not is_new and block.words == 1:
            return  # it is counted: a handler that blocks each time must not fill the log
        if not is_first:
            block.place = self._look()
        logger.warning(
            "the application's event loop is %sblocked, for %.1f s so far, in %s. Incoming audio is kept and "
            "playback goes on, but every handler waits: await slow work, or run it with asyncio.to_thread()",
            "still " if block.is_told else "",
            blocked_s,
            block.place.text,
        )
        block.is_told = True

    def _end(self, block: _Block, ended_at: float) -> None:
        if block.is_told:
            logger.warning(
                "%s for %.1f s, in %s; it runs again",
                BLOCKED,
                ended_at - block.since,
                block.place.text,
            )

    def _look(self) -> Place:
        return where_is(sys._current_frames().get(self._thread_id))


def where_is(frame: FrameType | None) -> Place:
    """Name the handler that a thread is in, or else the task or callback of its loop, and the line it is at."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    if not stack:
        return Place("a thread that has ended", "a thread that has ended")
    handler = _first_below(stack, HANDED_OVER_BY)
    outermost = handler or _first_below(stack, RUN_BY) or stack[0]
    what = "the handler " if handler else ""
    text = f"{what}{_name(outermost)}"
    if stack[0] is not outermost:
        text += f", at {_name(stack[0])}"
    return Place(f"{what}{_called(outermost)}", text if handler else f"{text}, outside of handlers")


def _first_below(stack: list[FrameType], files: tuple[str, ...]) -> FrameType | None:
    """The innermost call that one of these files makes into another file."""
    for inner, outer in pairwise(stack):
        if _is_in(outer, files) and not _is_in(inner, files):
            return inner
    return None


def _is_in(frame: FrameType, files: tuple[str, ...]) -> bool:
    filename = frame.f_code.co_filename.replace("\\", "/")
    return any(file in filename if file.endswith("/") else filename.endswith(file) for file in files)


def _called(frame: FrameType) -> str:
    code: Any = frame.f_code
    return str(getattr(code, "co_qualname", code.co_name))


def _name(frame: FrameType) -> str:
    return f"{_called(frame)} ({frame.f_code.co_filename}:{frame.f_lineno})"
