# SPDX-License-Identifier: Apache-2.0
"""What the router says in answer once it has played so far: by it the clock of the playout is corrected."""

from __future__ import annotations

from collections import deque

MAX_WAITING = 1024
"""Answers that are waited for; who sends more without an answer forgoes the oldest."""


class Notifies:
    """The payloads of those that were sent, each with the number of frames before it."""

    def __init__(self) -> None:
        self._sent: deque[tuple[object, int]] = deque(maxlen=MAX_WAITING)

    def add(self, payload: object, frame_index: int) -> None:
        """One was sent."""
        self._sent.append((payload, frame_index))

    def clear(self) -> None:
        """The router forgets them: none is answered."""
        self._sent.clear()

    def take(self, payload: object) -> int | None:
        """The router answers; returns the frames before that one, None where there is none such.

        Those before it are not answered any more.
        """
        while self._sent:
            sent, frame_index = self._sent.popleft()
            if sent == payload:
                return frame_index
        return None
