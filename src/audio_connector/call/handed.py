# SPDX-License-Identifier: Apache-2.0
"""What an application was handed lately, so that another one can take up its call."""

from __future__ import annotations

from collections import deque

from audio_connector.intake.items import TextItem

MANY = 1 << 40
"""More messages than there are."""


class Handed:
    """What an application was handed lately: the ``unhandled`` at least, and so much audio as may be asked for."""

    def __init__(self, window: int) -> None:
        self.unhandled = 0
        self._items: deque[bytes | TextItem] = deque()
        self._bytes = 0
        self._window = window
        self.max_bytes = 0

    def add(self, item: bytes | TextItem) -> None:
        """One more."""
        self.unhandled += 1
        self._items.append(item)
        self._bytes += len(item) if isinstance(item, bytes) else 0
        while self._bytes > self.max_bytes and len(self._items) > self._window:
            oldest = self._items.popleft()
            self._bytes -= len(oldest) if isinstance(oldest, bytes) else 0

    def add_all(self, items: list[bytes | TextItem]) -> None:
        """Some more."""
        for item in items:
            self.add(item)

    def take(self, replay_bytes: int) -> list[bytes | TextItem]:
        """Return what was not handled, and before it audio up to so many bytes in all; and forget it all."""
        items = list(self._items)
        at = max(0, len(items) - max(0, self.unhandled))
        taken = items[at:]
        size_bytes = sum(len(item) for item in taken if isinstance(item, bytes))
        for item in reversed(items[:at]):
            if isinstance(item, bytes):
                size_bytes += len(item)
                if size_bytes > replay_bytes:
                    break
                taken.insert(0, item)
        self._items.clear()
        self._bytes = self.unhandled = 0
        return taken
