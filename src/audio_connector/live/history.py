# SPDX-License-Identifier: Apache-2.0
"""What a page has shown, for who opens it later. No clock and no I/O.

The rules:

1. An event has a number; who has seen all up to one gets what came after it.
2. An event with a key takes the place of the one before with that key: a partial that becomes a final is one line,
   where its latest form was shown.
3. At most ``max_events`` are kept, the newest; what has left is counted.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from audio_connector.errors import UsageError


class Shown(NamedTuple):
    """One event as it goes to a page: its number, and its JSON."""

    number: int
    text: str


class History:
    """The events of one page, bounded."""

    def __init__(self, max_events: int) -> None:
        self._max_events = max_events
        self._events: OrderedDict[object, Shown] = OrderedDict()
        self.dropped = 0
        self.latest = 0
        """The number of the newest event; 0 before the first."""

    def __len__(self) -> int:
        return len(self._events)

    def add(self, kind: str, key: str | None, at_s: float, data: dict[str, Any]) -> Shown:
        """Take one.

        Raises:
            UsageError: The data is nothing that JSON can hold.
        """
        try:
            text = json.dumps(
                {"kind": kind, "key": key, "at_s": round(at_s, 3), "data": data}, allow_nan=False
            )
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"got data for {kind!r} that is no JSON ({error}); expected str, int, finite float, bool, None, "
                "and lists and dicts of these"
            ) from error
        self.latest += 1
        shown = Shown(self.latest, text)
        place = (kind, key) if key is not None else self.latest
        self._events.pop(place, None)
        self._events[place] = shown
        if len(self._events) > self._max_events:
            self._events.popitem(last=False)
            self.dropped += 1
        return shown

    def since(self, number: int) -> Iterator[Shown]:
        """Those that came after the one with that number, in order; all of them after 0."""
        return (shown for shown in self._events.values() if shown.number > number)
