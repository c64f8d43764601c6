# SPDX-License-Identifier: Apache-2.0
"""How long a call has gone on, and without a message: bounds for who has forgotten to hang up. No clock and no I/O.

The rules:

1. *Silent* is a peer that has sent no message at all for ``no_message_s`` after it has dialled; a ping is none.
2. *Idle* is one that has sent none for ``idle_s``. While the stream is muted nothing comes (PROTOCOL 2.7), so that
   this is for who never mutes, or for hours.
3. A call is over ``session_s`` after its beginning, whatever is being said. A router that dials again begins none.
"""

from __future__ import annotations

import math


class Ages:
    """Of one call; each of the three may be None, for any time.

    ``last_message_at`` is set by whoever takes the messages: with every frame, so that a call would cost too much.
    """

    def __init__(
        self,
        *,
        no_message_s: float | None = None,
        idle_s: float | None = None,
        session_s: float | None = None,
    ) -> None:
        self._no_message_s = math.inf if no_message_s is None else no_message_s
        self._idle_s = math.inf if idle_s is None else idle_s
        self._session_s = math.inf if session_s is None else session_s
        self.last_message_at: float | None = None
        """None before the first one of this socket."""
        self.ended_by: str | None = None
        """The name of the bound that was met."""
        self._began_at: float | None = None
        self._opened_at = math.inf
        self.looks_at = math.inf
        """When there may be something to say; infinity for never."""

    def start(self, now: float) -> None:
        """The connection is open; for the first time, or again."""
        if self._began_at is None:
            self._began_at = now
        self._opened_at, self.last_message_at = now, None
        self._plan()

    def pause(self) -> None:
        """There is no socket: only the length of the call counts until `start`."""
        self._opened_at = math.inf
        self._plan()

    def stop(self) -> None:
        """The call ends for another reason."""
        self._began_at, self._opened_at, self.looks_at = math.inf, math.inf, math.inf

    def overrun(self, now: float) -> tuple[str, float] | None:
        """Return which bound was met, by name and seconds; None for none, and only once another one.

        Legal at any time, and right from `looks_at` on.
        """
        self._plan()
        if now < self.looks_at:
            return None
        if now >= self._session_at():
            met = "session_s", self._session_s
        elif self.last_message_at is None and now >= self._opened_at + self._no_message_s:
            met = "no_message_s", self._no_message_s
        else:
            met = "idle_s", self._idle_s
        self.ended_by = met[0]
        self.stop()
        return met

    def _plan(self) -> None:
        heard_at = self.last_message_at
        if self._opened_at == math.inf:
            self.looks_at = self._session_at()
        elif heard_at is None:
            self.looks_at = min(self._session_at(), self._opened_at + min(self._no_message_s, self._idle_s))
        else:
            self.looks_at = min(self._session_at(), heard_at + self._idle_s)

    def _session_at(self) -> float:
        return math.inf if self._began_at is None else self._began_at + self._session_s
