# SPDX-License-Identifier: Apache-2.0
"""Texts on their way to the router, and who waits to send more. No clock and no I/O.

A text is one piece, so whoever stands in line is granted once. Only the one in front is, so that the line's length
does not matter: at most one text more than the bound waits here.
"""

from __future__ import annotations

from collections import deque

MAX_WAITING_CHARS = 64 * 1024
"""Texts that wait while the router does not read: some hundred of the usual size."""


class TextQueue:
    """The texts of one connection."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.line: deque[int] = deque()  # whoever waits for room stands behind the others
        self.taken = 0  # characters that have left
        self._waiting_chars = 0
        self._is_granted = False

    def push(self, text: str, token: int | None) -> None:
        """Take a text; of who stood in line for it, or of who had room."""
        self.waiting.append(text)
        self._waiting_chars += len(text)
        if token is not None:
            self.leave(token)

    def take(self) -> list[str]:
        """Let the texts go."""
        texts, self.waiting = self.waiting, []
        self.taken += self._waiting_chars
        self._waiting_chars = 0
        return texts

    def abandon(self) -> None:
        """Whoever asked so far is gone: what was handed over is sent, and nobody is waited for."""
        self.line.clear()
        self._is_granted = False
        self.taken = -self._waiting_chars  # of what others hand over from now on

    def leave(self, token: int) -> None:
        """Wait no more."""
        if token in self.line:
            self._is_granted = self._is_granted and self.line[0] != token
            self.line.remove(token)

    def grant(self) -> int | None:
        """Return whoever may send now and was not told so yet."""
        if self._is_granted or not self.line or self._waiting_chars >= MAX_WAITING_CHARS:
            return None
        self._is_granted = True
        return self.line[0]
