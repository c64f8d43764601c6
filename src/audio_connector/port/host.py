# SPDX-License-Identifier: Apache-2.0
"""What a server needs of whatever runs its I/O side, in a thread, on the application's own loop, or elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from audio_connector.call.asks import Ask
from audio_connector.call.tells import Figures, Tell
from audio_connector.port.meters import Meters

Deliver = Callable[[tuple[int, Tell]], None]
"""Takes a tell of the connection of that number, on the application's loop, in the order of events."""

Note = Callable[[int, Tell | Figures], None]
"""Takes at once what somebody may wait for, in any loop: answers, ends, figures. In any thread; must not block."""


class Block(NamedTuple):
    """A time in which the application's loop, or its whole process, was kept from running.

    ``cause`` is that of the metric `loop_blocked_seconds`, ``place`` where the code stood, and ``began_at`` a time of
    the I/O side's clock.
    """

    cause: str
    place: str
    began_at: float
    seconds: float


def tell_nobody(_: Block) -> None:
    """For who does not want to know."""


class NoProcess(Exception):
    """No process can be started here."""


def can_start_process() -> bool:
    """Whether this program has an interpreter to start a process with, and a system that hands it sockets."""
    return os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)


class IoHost(Protocol):
    """The I/O side, as the application sees it."""

    id_prefix: str
    """What the numbers of connections are an identity behind; each server has its own, also where servers fork."""

    meters: Meters
    """What the application has counted."""

    is_virtual: bool
    """It is in virtual time, which cannot wait for a thread."""

    worker: int | None
    """The number of the worker that this is, where several share the calls."""

    on_block: Callable[[Block], None]
    """Told of each time that the application's loop was blocked; in any thread. Whoever has this may set it."""

    ended: Future[None]
    """Done once nothing of it runs any more, for whatever reason."""

    def start(self) -> None:
        """Make it run; on the application's loop."""

    async def listen(self) -> tuple[str, int]:
        """Open the listening socket; on the application's loop. Returns its address."""

    def post(self, ask: tuple[int, Ask]) -> None:
        """Ask something of the connection of that number; from any thread, never blocking."""

    def owes_work(self) -> bool:
        """Whether the application's loop should run first, before whoever keeps it goes on; from any thread."""

    def clock(self) -> float:
        """Seconds of the I/O side's monotonic clock; from any thread."""

    def refusals(self) -> Mapping[str, int]:
        """How many were refused so far, by `wire.refusals.Refusal.name`, or ended by a bound; from any thread."""

    def refuse_calls(self) -> None:
        """Answer every upgrade with 503 from now on."""

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, abort what is left at the deadline; on the application's loop."""

    def shut_down(self) -> None:
        """Have it end at once, and then ``ended`` done; from any thread."""

    def join(self, timeout_s: float) -> bool:
        """Wait, blocking, until nothing of it is left; True where that is so."""
