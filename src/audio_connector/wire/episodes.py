# SPDX-License-Identifier: Apache-2.0
"""What happens again and again, told rarely: at once the first time, and then how often. No clock and no I/O.

After each word on a kind the next one has to wait for an interval that doubles, up to a longest one. What comes
meanwhile is counted, and the next word has the count. Where none has come for the longest interval it begins anew.

So what was noted is what was told, and what `Episodes.finish` tells.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

FIRST_S = 5.0
LONGEST_S = 60.0
"""A handler that fails with every frame for two hours costs 123 lines."""

MAX_KINDS = 20
"""More kinds at a time share one: who makes a new kind of error each time must not fill the memory."""

KindT = TypeVar("KindT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Word(Generic[KindT]):
    """What is to be told now.

    Attributes:
        kind: Of what.
        times: How often since the last word on it, this time included; 1 or more.
        seconds: How long ago that was; 0 for the first.
    """

    kind: KindT
    times: int
    seconds: float


class _Episode:
    __slots__ = ("count", "due_at", "interval_s", "last_at", "told_at")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.interval_s = 0.0
        self.due_at = self.told_at = self.last_at = now


class Episodes(Generic[KindT]):
    """Counts occurrences and says when to tell of them.

    Args:
        others: The kind that stands for all that are too many.
        first_s: The first interval, in seconds.
        longest_s: The longest one.
        max_kinds: So many are told apart.
        at_once: So many words on a kind may come without an interval between them.
    """

    def __init__(
        self,
        others: KindT,
        *,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        max_kinds: int = MAX_KINDS,
        at_once: int = 1,
    ) -> None:
        self._others = others
        self._first_s = first_s
        self._longest_s = longest_s
        self._max_kinds = max_kinds
        self._ahead = at_once - 1
        self._episodes: dict[KindT, _Episode] = {}

    def has(self, kind: KindT) -> bool:
        """Whether it has happened, not too long ago."""
        return kind in self._episodes

    def note(self, kind: KindT, now: float) -> Word[KindT] | None:
        """Something happened; returns what to tell of it, where that is due."""
        if kind not in self._episodes and not self._has_room(now):
            kind = self._others
        episode = self._episodes.setdefault(kind, _Episode(now))
        if now - episode.last_at >= self._longest_s:
            episode.interval_s, episode.due_at = 0.0, now
        episode.last_at = now
        episode.count += 1
        if now < episode.due_at - self._ahead * episode.interval_s:
            return None
        episode.interval_s = min(2 * episode.interval_s or self._first_s, self._longest_s)
        episode.due_at = max(episode.due_at, now) + episode.interval_s
        return self._tell(kind, episode)

    def finish(self) -> list[Word[KindT]]:
        """All that was only counted so far."""
        return [self._tell(kind, episode) for kind, episode in self._episodes.items() if episode.count]

    def _tell(self, kind: KindT, episode: _Episode) -> Word[KindT]:
        word = Word(kind, episode.count, episode.last_at - episode.told_at)
        episode.count, episode.told_at = 0, episode.last_at
        return word

    def _has_room(self, now: float) -> bool:
        if len(self._episodes) >= self._max_kinds:
            for kind, episode in list(self._episodes.items()):
                if not episode.count and now - episode.last_at >= self._longest_s:
                    del self._episodes[kind]
        return len(self._episodes) < self._max_kinds
