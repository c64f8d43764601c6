# SPDX-License-Identifier: Apache-2.0
"""How much of a loop's time the frames of one peer may take. No clock and no I/O.

A router sends 50 frames of audio a second, and now and then a text or a ping (PROTOCOL 2, 4.2). A peer that sends as
fast as it can would keep the loop from all the others, since whatever was read is handled in one go. So a frame has a
cost, and a peer that has spent more than is its own is not read for a while; meanwhile TCP holds what it sends, and
nothing is lost. The rules:

1. A frame of audio costs one. One that is longer costs more, and so does a text, which is decoded, and a frame that
   brings nothing: a ping, a pong, or a few bytes; as much as these costs a message of TLS itself (`wire.overhead`).
   Each time that something is read costs a part of one.
2. A connection has `OWN_PER_S`, and saves up what it does not use for `SAVED_S`.
3. What it spends beyond that is paid from a backlog that all connections of a loop share, first come, first served,
   so that many of them take no more of the loop than one; or, where that is sooner, by waiting for its own.
4. Whoever was stalled, and now sends what has gathered, is read at the pace of rule 3, and that is all. Whoever sends
   frames that bring nothing, at that pace, floods: after `MAX_EMPTY` of them it is to be closed.
"""

from __future__ import annotations

OWN_PER_S = 200.0
"""Four times what a call costs; audio in JSON at 24 kHz costs 150."""

SAVED_S = 1.0
"""What one lost segment holds up, a second of audio at most, comes at once and is read at once."""

BACKLOG_PER_S = 3000.0
"""Of all connections of a loop together: a minute of audio in a second, and the cost of 60 more calls."""

ROUND = 32
"""So much is spent before it is paid for: less than a millisecond of the loop."""

EMPTY_BYTES = 64
"""A data frame of less brings no audio to speak of: 4 ms at 8 kHz."""

EMPTY_COST = 4

READ_COST = 0.25
"""Of each look at the socket, some 10 µs: who sends a frame byte by byte has the server look 600 times for it."""

MAX_EMPTY = 2000
"""Beyond its own. A router has no reason for any; even at the shared pace these take a peer three seconds."""

LONG_BYTES = 1024
"""What a frame of audio has at most (PROTOCOL 4.2); one that is longer costs as much as the frames it could be."""

TEXT_BYTES = 512
"""So much of a text costs one: the worst takes 20 µs to be decoded, as long as a frame of audio takes in all."""


def cost_of(size_bytes: int, *, is_text: bool = False, is_control: bool = False) -> int:
    """What one frame costs, by the size of its payload."""
    if is_control or size_bytes < EMPTY_BYTES:
        return EMPTY_COST
    return 1 + size_bytes // (TEXT_BYTES if is_text else LONG_BYTES)


class Backlog:
    """What the connections of one loop share."""

    def __init__(self) -> None:
        self._paid_until = 0.0

    def wait_s(self, cost: float, now: float) -> float:
        """How long it would take until so much is paid for, behind all others."""
        return max(self._paid_until - now, 0.0) + cost / BACKLOG_PER_S

    def pay(self, cost: float, now: float) -> None:
        """Pay it."""
        self._paid_until = max(self._paid_until, now) + cost / BACKLOG_PER_S


class Budget:
    """That of one connection."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._paid_until = 0.0
        self._empty = 0

    @property
    def is_flooded(self) -> bool:
        """Whether the peer floods."""
        return self._empty > MAX_EMPTY

    def spend(self, cost: float, empty: int, now: float) -> float:
        """Pay for what was read.

        Args:
            cost: Of all frames since the last time.
            empty: How many of them have brought nothing.
            now: Seconds of a monotonic clock.

        Returns:
            For how many seconds nothing more is to be read; 0 for none.
        """
        until = max(self._paid_until, now - SAVED_S) + cost / OWN_PER_S
        if until <= now:
            self._paid_until = until
            return 0.0
        self._empty += empty
        own_s, shared_s = until - now, self._backlog.wait_s(cost, now)
        if own_s <= shared_s:
            self._paid_until = until
            return own_s
        self._backlog.pay(cost, now)
        return shared_s
