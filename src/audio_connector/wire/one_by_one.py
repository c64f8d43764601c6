# SPDX-License-Identifier: Apache-2.0
"""Work that is not pressing is done one by one, so that much of it at once keeps nobody else from the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class OneByOne:
    """Does one thing in each round of a loop, in the order in which they came; one that comes alone does not wait.

    The end of a call takes up to half a millisecond: 200 that end at once, because a peer has opened them for nothing
    else, would keep the audio of the others waiting for 100 ms. Between two of them the loop does all that is ready.

    Args:
        call_soon: Has something called in the loop's next round.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_armed = False
        """Something was done in this round, and the next one is for what waits."""
        self._is_over = False

    def do(self, work: Callable[[], None]) -> None:
        """Do it now, or in its turn; what it raises is the loop's to report."""
        if self._is_armed and not self._is_over:
            self._waiting.append(work)
            return
        if not self._is_over:
            self._is_armed = True
            self._call_soon(self._go_on)
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
            self._call_soon(self._go_on)
            self._waiting.popleft()()
