# SPDX-License-Identifier: Apache-2.0
"""Which worker takes too much memory, and when that is a reason to replace it. No I/O but the system's figure.

One that has grown is replaced at once: a new one is small. One that takes too much as soon as it serves is not, for
whoever took its place would as well: the limit is too low for the application, which is said once. Since it may grow
all the same, it is replaced now and then, after a pause that doubles.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from audio_connector.cluster.member import Member, Seat

logger = logging.getLogger("audio_connector.cluster")

LOOK_S = 2.0
"""How often the memory of the workers is looked at."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 600.0
"""How long one that is too big from its start serves at least."""


@dataclass(slots=True)
class _Place:
    """What is known of a seat; ``worker`` is the one that was looked at last."""

    worker: Member | None = None
    since: float = 0.0
    pause_s: float = 0.0


class MemoryLimit:
    """The limit of ``--worker-memory-mb``."""

    def __init__(self, limit_mb: float) -> None:
        self._limit_mb = limit_mb
        self._places: dict[Seat, _Place] = {}
        self._is_told = False

    def is_exceeded(self, seat: Seat, now: float) -> bool:
        """Whether its worker is to be replaced; says so. To be asked every `LOOK_S`."""
        worker = seat.worker
        if worker is None:
            return False
        place = self._places.setdefault(seat, _Place())
        used_mb = worker.used_mb()
        if place.worker is not worker:
            place.worker, place.since = worker, now
            place.pause_s = self._pause_s(worker, used_mb, place.pause_s)
        is_due = used_mb > self._limit_mb and now - place.since >= place.pause_s
        if is_due:
            logger.warning("worker %d takes %.0f MiB and is replaced", worker.number, used_mb)
        return is_due

    def _pause_s(self, worker: Member, used_mb: float, before_s: float) -> float:
        """It is looked at for the first time: how long it serves at least."""
        if used_mb <= self._limit_mb:
            return 0.0
        if not self._is_told:
            self._is_told = True
            logger.error(
                "worker %d takes %.0f MiB as soon as it serves, which is more than the %g of --worker-memory-mb, and "
                "so would the one in its place: it is replaced rarely. Give each worker room to grow, %.0f for "
                "instance",
                worker.number,
                used_mb,
                self._limit_mb,
                3 * used_mb,
            )
        return min(LONGEST_PAUSE_S, 2 * before_s or FIRST_PAUSE_S)
