# SPDX-License-Identifier: Apache-2.0
"""Has the figures of calls told when they have grown old, without a timer for each of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Protocol

from audio_connector.playback.pacer import Pacer

FIGURES_S = 0.1
"""How old the figures of an undisturbed call may be. What is played is worked out from them, so only what was sent
since then is missing: half of the usual lead."""


class Refreshed(Protocol):
    """Something with figures."""

    def refresh(self, now: float) -> None:
        """Tell them; called once for each time that it was added."""


class Refresher:
    """Tells the figures of each that was added, `FIGURES_S` later; a `playback.pacer.Paced`."""

    def __init__(self, pacer: Pacer) -> None:
        self.armed_at: float | None = None
        self._pacer = pacer
        self._due: OrderedDict[Refreshed, float] = OrderedDict()

    def add(self, item: Refreshed, now: float) -> None:
        """Its figures have changed; on the path of every frame only where they had not before."""
        at = now + FIGURES_S
        self._due[item] = at
        if self.armed_at is None:
            self._pacer.arm(self, at)

    def remove(self, item: Refreshed) -> None:
        """Tell nothing more of it, and forget it."""
        self._due.pop(item, None)

    def wake(self, now: float) -> float:
        """Tell those that are due; they come in the order in which they were added."""
        due = self._due
        while due:
            item, at = next(iter(due.items()))
            if at > now:
                return at
            del due[item]
            item.refresh(now)
        return math.inf
