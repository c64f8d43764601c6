# SPDX-License-Identifier: Apache-2.0
"""Is the router still there: does it speak, does it read? Time is an argument; nothing is sent from here.

The rules:

1. A ping is due every ``ping_interval_s``, unless the answer to the one before is still awaited.
2. A pong waits behind the audio that the router has not read yet (PROTOCOL 1.25), so the time that this audio
   plays is added to ``ping_timeout_s``.
3. Whatever arrived after a ping shows that the router lives, and the next ping asks again. One that was silent
   since the ping is gone.
4. While the write buffer is full no ping is held against it. It is given up where it reads nothing for
   ``stall_s``. One that reads slowly does read: with a long lead it may take minutes (PROTOCOL 4.14).

One that lives may have been there for too long all the same: see `wire.ages`.
"""

from __future__ import annotations

import math

from audio_connector.wire.ages import Ages


class Liveness:
    """Watches one router.

    Args:
        ping_interval_s: From one ping to the next; None for none.
        ping_timeout_s: A router that is silent for so long after a ping is gone; None never gives up.
        stall_s: One that reads nothing for so long is given up.
        ages: For how long it may be there; for any time by default.
    """

    def __init__(
        self,
        *,
        ping_interval_s: float | None,
        ping_timeout_s: float | None,
        stall_s: float,
        ages: Ages | None = None,
    ) -> None:
        self.ages = ages or Ages()
        self._interval_s = ping_interval_s
        self._timeout_s = ping_timeout_s
        self._stall_s = stall_s
        self.last_received_at = 0.0
        """Set on everything that arrives."""
        self.is_blocked = False
        """The write buffer is full."""
        self._ping_at = self._answer_by = self._stall_at = math.inf
        self._ping_sent_at: float | None = None
        self._unsent_bytes = 0

    def start(self, now: float) -> None:
        """The connection is open."""
        self.last_received_at = now
        self.ages.start(now)
        if self._interval_s is not None:
            self._ping_at = now + self._interval_s

    def next_deadline(self) -> float:
        """When there is something to look at; infinity for never."""
        return min(self._ping_at, self._answer_by, self._stall_at, self.ages.looks_at)

    # Pings.

    def ping_is_due(self, now: float) -> bool:
        """Whether to send a ping now."""
        if now < self._ping_at or self._interval_s is None:
            return False
        self._ping_at = now + self._interval_s
        return self._ping_sent_at is None or self._timeout_s is None

    def note_ping(self, now: float, in_flight_s: float) -> None:
        """A ping was sent, behind so many seconds of audio that were not heard yet."""
        self._ping_sent_at = now
        if self._timeout_s is not None:
            self._answer_by = now + self._timeout_s + in_flight_s

    def note_pong(self, now: float) -> float | None:
        """A pong came; return the round trip in milliseconds, or None where no ping was awaited."""
        sent_at, self._ping_sent_at = self._ping_sent_at, None
        return None if sent_at is None else (now - sent_at) * 1000

    def is_silent(self, now: float) -> bool:
        """Whether a ping was not answered in time, and nothing else came."""
        if now < self._answer_by:
            return False
        self._answer_by = math.inf
        if self._ping_sent_at is None or self._timeout_s is None:
            return False
        if self.is_blocked:
            self._answer_by = now + self._timeout_s
            return False
        if self.last_received_at > self._ping_sent_at:
            self._ping_sent_at = None
            return False
        return True

    def stop(self) -> None:
        """There is no socket: nothing is awaited until `start`."""
        self.unblock()
        self.ages.pause()
        self._ping_sent_at = None
        self._answer_by = self._ping_at = math.inf

    # Reading.

    def block(self, now: float, unsent_bytes: int) -> None:
        """The write buffer has filled up."""
        self.is_blocked = True
        self._stall_at = now + self._stall_s
        self._unsent_bytes = unsent_bytes

    def unblock(self) -> None:
        """The write buffer has drained."""
        self.is_blocked = False
        self._stall_at = math.inf

    def note_unsent(self, unsent_bytes: int) -> None:
        """More was written to the full buffer."""
        self._unsent_bytes = unsent_bytes

    def is_stalled(self, now: float, unsent_bytes: int) -> bool:
        """Whether nothing was read for too long."""
        if now < self._stall_at:
            return False
        if unsent_bytes < self._unsent_bytes:
            self._stall_at = now + self._stall_s
            self._unsent_bytes = unsent_bytes
            return False
        self._stall_at = math.inf
        return True
