# SPDX-License-Identifier: Apache-2.0
"""Connections that have not asked for anything yet: bounded in all, and fair among addresses. No clock and no I/O.

Whoever opens connections and says nothing must not keep those out that come with a request. So where there are too
many, the oldest goes of the address that has the most: who floods the port pushes out connections of their own. There
is no bound of a number for each address, since all calls may come through one proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Waiting(Generic[ItemT]):
    """Those that wait, by address.

    Args:
        most: So many may wait; at least 1.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0
        self._by_address: dict[str, dict[ItemT, None]] = {}
        self._by_count: dict[int, dict[str, None]] = {}
        """Addresses by how many each has. Of so many connections there are few different counts: with 1,024, 45."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ItemT]:
        return iter([item for items in self._by_address.values() for item in items])

    def add(self, address: str, item: ItemT) -> ItemT | None:
        """One has come; returns who has to go for it, and waits no longer."""
        items = self._by_address.setdefault(address, {})
        items[item] = None
        self._count += 1
        self._recount(address, len(items) - 1, len(items))
        if self._count <= self.most:
            return None
        crowded = next(iter(self._by_count[max(self._by_count)]))
        oldest = next(iter(self._by_address[crowded]))
        self.remove(crowded, oldest)
        return oldest

    def remove(self, address: str, item: ItemT) -> None:
        """That one waits no longer; no harm where it did not."""
        items = self._by_address.get(address)
        if items is None or item not in items:
            return
        del items[item]
        self._count -= 1
        self._recount(address, len(items) + 1, len(items))
        if not items:
            del self._by_address[address]

    def _recount(self, address: str, before: int, now: int) -> None:
        if before:
            del self._by_count[before][address]
            if not self._by_count[before]:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, {})[address] = None
