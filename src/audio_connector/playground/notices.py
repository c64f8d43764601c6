# SPDX-License-Identifier: Apache-2.0
"""What every page should know of: an application's failures, which no call tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

KEPT: Final = 20
"""Latest notices that a page gets which is opened later."""


class Notices:
    """Hands lines to the pages that are open, on the loop that made this."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Callable[[str], None]] = set()
        self._latest: deque[str] = deque(maxlen=KEPT)

    def tell(self, text: str) -> None:
        """Tell every page."""
        self._latest.append(text)
        for listener in list(self._listeners):
            listener(text)

    def tell_from_any_thread(self, text: str) -> None:
        """Tell every page, from wherever it happened."""
        with contextlib.suppress(RuntimeError):  # the program ends: nobody listens any more
            self._loop.call_soon_threadsafe(self.tell, text)

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Tell ``listener`` what is kept and what comes; return what ends that."""
        for text in self._latest:
            listener(text)
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)
