# SPDX-License-Identifier: Apache-2.0
"""Who may open a call: by how many there are, and how fast they come. No clock and no I/O.

What it keeps is bounded, whoever dials: a count for each address and session that has a connection, and for the rate
one number for each address that has come within the last second or so, `MAX_ADDRESSES` at most; likewise for the
calls that each of them goes on with.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from audio_connector.call.settings import Limits
from audio_connector.wire.forwarded import site_of
from audio_connector.wire.refusals import (
    LAGGING,
    NO_MEMORY,
    TOO_FAST,
    TOO_MANY,
    TOO_MANY_OF_ADDRESS,
    TOO_MANY_OF_SESSION,
    Refusal,
)

MAX_ADDRESSES = 10_000
"""Whose rate is known at a time; those that are more share one. With 100 bytes each it is 1 MB."""

REDIALS_AT_ONCE, REDIALS_PER_S = 10, 0.2
"""Of one call, once there is a rate for calls: a network that fails again and again for some seconds ends none, and a
thousand calls that do nothing but break off come again 200 times a second, as one address may by default."""

SHARED = ""
"""What the rate of these is known under."""


class Caller(NamedTuple):
    """Who dials.

    Attributes:
        address: Of the client; an IPv6 address stands for its /64.
        session: What the request says of it; None where it says nothing.
    """

    address: str
    session: str | None = None


class Rates:
    """Upgrades of each address: so many at once, and so many a second (a generic cell rate algorithm).

    Args:
        per_second: So many.
        at_once: So many; None for as many as in a second, and one at least.
    """

    def __init__(self, per_second: float, at_once: float | None = None) -> None:
        self._interval_s = 1 / per_second
        self._burst_s = max((per_second if at_once is None else at_once) - 1, 0.0) * self._interval_s
        self._free_at: dict[str, float] = {}
        """When an address has nothing against it; in the order of the latest upgrade."""

    def __len__(self) -> int:
        return len(self._free_at)

    def take(self, address: str, now: float) -> bool:
        """Whether another one of this address is within the rate; one that is not counts for nothing."""
        self._forget(now)
        if address not in self._free_at and len(self._free_at) >= MAX_ADDRESSES:
            address = SHARED
        free_at = max(self._free_at.get(address, now), now)
        if free_at - now > self._burst_s + 1e-9:  # of rounding
            return False
        self._free_at.pop(address, None)
        self._free_at[address] = free_at + self._interval_s
        return True

    def _forget(self, now: float) -> None:
        """Those that have nothing against them: two for each upgrade, so that it costs little and keeps up."""
        for address in list(self._oldest()):
            if self._free_at[address] <= now:
                del self._free_at[address]

    def _oldest(self) -> list[str]:
        return [address for address, _ in zip(self._free_at, range(2), strict=False)]


class Admission:
    """Decides on the upgrades of one I/O side.

    Args:
        limits: Those of the configuration.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        rate = limits.upgrades_per_second_per_address
        self._rates = None if rate is None else Rates(rate)
        self._redials = None if rate is None else Rates(REDIALS_PER_S, REDIALS_AT_ONCE)
        self._open: dict[int, Caller] = {}
        self._addresses: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()

    def arrive(
        self, caller: Caller, now: float, *, lag_ms: float = 0.0, memory_mb: float = 0.0
    ) -> Refusal | None:
        """Judge an upgrade before anything costly is done for it; the cheapest reason first.

        Args:
            caller: Who it is.
            now: Seconds of a monotonic clock.
            lag_ms: How late the I/O loop is.
            memory_mb: How much the process has.
        """
        if self._rates is not None and not self._rates.take(site_of(caller.address), now):
            return TOO_FAST
        return self.why_overloaded(lag_ms, memory_mb) or self.why_full(caller)

    def redial(self, caller: Caller, link_id: int, now: float) -> Refusal | None:
        """Judge one that goes on with a call, and is no new one.

        Where a network has failed, all calls come again at once, perhaps through one proxy, and so they do when it
        fails again a moment later. So each call has a rate of its own; of each address, since whoever knows of a call
        could keep its router out with bad tokens.
        """
        redials = self._redials
        if redials is None or redials.take(f"{site_of(caller.address)} {link_id}", now):
            return None
        return TOO_FAST

    def why_overloaded(self, lag_ms: float, memory_mb: float) -> Refusal | None:
        """Judge whether the machine can bear one more."""
        limits = self._limits
        if limits.max_loop_lag_ms is not None and lag_ms > limits.max_loop_lag_ms:
            return LAGGING
        if limits.max_memory_mb is not None and memory_mb > limits.max_memory_mb:
            return NO_MEMORY
        return None

    @property
    def is_full(self) -> bool:
        """Whether there is room for nobody, whoever it is."""
        return _is_reached(self._limits.max_connections, len(self._open))

    def why_full(self, caller: Caller) -> Refusal | None:
        """Judge whether there is room for one more."""
        limits = self._limits
        if self.is_full:
            return TOO_MANY
        if _is_reached(limits.max_connections_per_address, self._addresses[site_of(caller.address)]):
            return TOO_MANY_OF_ADDRESS
        if caller.session and _is_reached(limits.max_connections_per_session, self._sessions[caller.session]):
            return TOO_MANY_OF_SESSION
        return None

    def open(self, link_id: int, caller: Caller) -> None:
        """A connection has been taken."""
        self._open[link_id] = caller = caller._replace(address=site_of(caller.address))
        self._addresses[caller.address] += 1
        if caller.session:
            self._sessions[caller.session] += 1

    def end(self, link_id: int) -> None:
        """It is over; no harm where it was none."""
        caller = self._open.pop(link_id, None)
        if caller is not None:
            _decrease(self._addresses, caller.address)
            if caller.session:
                _decrease(self._sessions, caller.session)


def _is_reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit


def _decrease(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
