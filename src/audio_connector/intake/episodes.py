# SPDX-License-Identifier: Apache-2.0
"""What happens again and again, told rarely: the first time in full, and then how often. No clock and no I/O.

A kind's episode begins with its first occurrence, which is told at once. Further ones are counted, and the count is
told after `WORDS_S`. It ends where none has come for `QUIET_S`; the next one is told in full again.

So what was noted is what was told in full, plus the counts that were told, plus those that wait.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

WORDS_S = (5.0, 30.0, 60.0)
"""From one word on a kind to the next; the last one goes on. A handler that fails with every frame for two hours
costs 122 lines."""

QUIET_S = 60.0

MAX_KINDS = 20
"""More kinds at a time share one: who makes a new kind of error each time must not fill the memory."""

KindT = TypeVar("KindT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Repeats(Generic[KindT]):
    """A count to tell.

    Attributes:
        kind: Of what.
        times: How often since the last word on it; 1 or more.
        seconds: How long ago that was.
    """

    kind: KindT
    times: int
    seconds: float


class _Episode:
    __slots__ = ("count", "in_full", "last_at", "told_at", "words")

    def __init__(self, now: float) -> None:
        self.count = self.in_full = 0
        self.words = 0
        self.told_at = self.last_at = now

    @property
    def due_at(self) -> float:
        return self.told_at + WORDS_S[min(self.words, len(WORDS_S) - 1)]


class Episodes(Generic[KindT]):
    """Counts occurrences and says when to tell of them.

    Args:
        others: The kind that stands for all that are too many.
        in_full: So many of the first ones of an episode are told in full.
    """

    def __init__(self, others: KindT, *, in_full: int = 1) -> None:
        self._others = others
        self._in_full = in_full
        self._episodes: dict[KindT, _Episode] = {}

    def note(self, kind: KindT, now: float) -> bool:
        """Something happened; True where that is to be told in full."""
        episode = self._episodes.get(kind)
        if episode is None and len(self._episodes) >= MAX_KINDS:
            self._forget_ended(now)
            if len(self._episodes) >= MAX_KINDS:
                kind = self._others
                episode = self._episodes.get(kind)
        if episode is None or (not episode.count and now - episode.last_at >= QUIET_S):
            episode = self._episodes[kind] = _Episode(now)
        episode.last_at = now
        if episode.in_full < self._in_full:
            episode.in_full += 1
            episode.told_at = now
            return True
        episode.count += 1
        return False

    def next_deadline(self) -> float | None:
        """When `due` has something, unless more happens; None where nothing waits."""
        return min((episode.due_at for episode in self._episodes.values() if episode.count), default=None)

    def due(self, now: float) -> list[Repeats[KindT]]:
        """The counts to tell now."""
        return self._tell(
            [kind for kind, episode in self._episodes.items() if episode.count and now >= episode.due_at], now
        )

    def finish(self, now: float) -> list[Repeats[KindT]]:
        """All counts that were not told yet."""
        return self._tell([kind for kind, episode in self._episodes.items() if episode.count], now)

    def _tell(self, kinds: list[KindT], now: float) -> list[Repeats[KindT]]:
        repeats = []
        for kind in kinds:
            episode = self._episodes[kind]
            repeats.append(Repeats(kind, episode.count, now - episode.told_at))
            episode.count, episode.told_at = 0, now
            episode.words += 1
        return repeats

    def _forget_ended(self, now: float) -> None:
        for kind, episode in list(self._episodes.items()):
            if not episode.count and now - episode.last_at >= QUIET_S:
                del self._episodes[kind]
