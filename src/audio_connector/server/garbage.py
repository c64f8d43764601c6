# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collection, of this process: how long it takes, since nothing else of it runs meanwhile."""

from __future__ import annotations

import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

LONG_S = 0.2
"""The lead: where sockets and application share a process, what is longer is heard."""

MAX_KEPT = 100
"""Between two looks, 0.2 s apart, there is one."""

MIDDLE_ONES = 100
"""At least so many come before a whole one in a program that is ours; Python's default is 10. What a call leaves is
no garbage that needs one, and one looks at all that every call holds, while all of them wait."""


@contextlib.contextmanager
def loaded_is_kept() -> Iterator[None]:
    """For a program that is ours: what is there now stays, and until the end no collection has to look at it.

    With it a whole collection takes 40 ms or more, and hundreds of calls that come and go bring one about. Of what is
    left they are rarer, see `MIDDLE_ONES`; who has made them rarer still keeps that. A program of somebody else's
    decides all that by itself.
    """
    before = young, middle, whole = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(young, middle, max(whole, MIDDLE_ONES))
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Collection(NamedTuple):
    """One that took long: when it began, for how many seconds, and of which generation it was."""

    began_at: float
    seconds: float
    generation: int


class GarbageWatch:
    """Notes the long ones between `start` and `stop`; a short one costs two microseconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = 0.0
        self._long: deque[Collection] = deque(maxlen=MAX_KEPT)

    def start(self) -> None:
        """Begin."""
        gc.callbacks.append(self._note)

    def stop(self) -> None:
        """End; again is nothing."""
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def take(self) -> list[Collection]:
        """Return those that took long since this was asked last."""
        return [self._long.popleft() for _ in range(len(self._long))]

    def _note(self, phase: str, info: dict[str, Any]) -> None:
        """In whatever thread it happens; there is one collection at a time."""
        if phase == "start":
            self._began_at = self._clock()
        elif (seconds := self._clock() - self._began_at) >= LONG_S:
            self._long.append(Collection(self._began_at, seconds, int(info.get("generation", 2))))
