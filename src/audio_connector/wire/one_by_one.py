# SPDX-License-Identifier: Apache-2.0
"""Work that is not pressing is done one by one, so that much of it at once keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

APART_S = 0.001
"""Twice what the end of a call takes at most: with no pause in between, the loop is busy until all is done, and so is
the other side of the port. Where both share a core, each frame then waits for the slices of both."""


class OneByOne:
    """Does one thing each `APART_S`, in the order in which they came; one that comes alone does not wait.

    The end of a call takes up to half a millisecond: 200 that end at once, because a peer has opened them for nothing
    else, would keep the audio of the others waiting for 100 ms.

    Args:
        call_later: That of a loop.
    """

    def __init__(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = call_later
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_armed = False
        """Something was done lately, and what comes now waits."""
        self._is_over = False

    def do(self, work: Callable[[], None]) -> None:
        """Do it now, or in its turn; what it raises is the loop's to report."""
        if self._is_armed and not self._is_over:
            self._waiting.append(work)
            return
        if not self._is_over:
            self._is_armed = True
            self._call_later(APART_S, self._go_on)
        work()

    async def turn(self) -> None:
        """Wait for one's turn; who is cancelled meanwhile has none."""
        waiting = asyncio.get_running_loop().create_future()
        self.do(lambda: None if waiting.done() else waiting.set_result(None))
        await waiting

    def finish(self) -> None:
        """Do all that waits now, and what comes later at once: the loop does not go on."""
        self._is_over = True
        while self._waiting:
            self._waiting.popleft()()

    def _go_on(self) -> None:
        self._is_armed = bool(self._waiting)
        if self._waiting:
            self._call_later(APART_S, self._go_on)
            self._waiting.popleft()()
