# SPDX-License-Identifier: Apache-2.0
"""When silence takes the place of audio that does not come. Time is an argument.

A router sends nothing while a stream is muted or silent (PROTOCOL 2.7, 2.8), and what is lost never comes. Whoever
counts time by audio, as voice activity detectors do, then waits for ever: a turn whose speaker mutes has no end.

The rules:

1. Where no audio came for ``gap_s`` that is a gap. The silence up to now is due at once, so that what is read is as
   long as the time that has passed, and from then on a frame each 20 ms, until audio comes.
2. A loop that was blocked knows nothing of the router: what came meanwhile is behind it in the queue. So a deadline
   that is met more than a frame late is put off once, by a frame.
3. Nothing is due but to who waits: silence is not stored. Who comes late is owed ``max_s`` of it at most.
"""

from __future__ import annotations

import math

from audio_connector.audio.format import FRAME_MS

FRAME_S = FRAME_MS / 1000
EPSILON_S = 1e-6


class Gap:
    """Of one reader of audio."""

    def __init__(self, gap_s: float, max_s: float) -> None:
        self._gap_s = gap_s
        self._max_s = max_s
        self._reaches_to = -math.inf
        """Until when there was audio, or silence in its place; before the first, since when somebody has waited."""
        self._is_gap = False
        self._deadline = math.inf
        self._is_put_off = False

    def note_audio(self, now: float) -> None:
        """Audio came."""
        self._reaches_to = now
        self._is_gap = False
        self._deadline = now + self._gap_s

    def begin_to_wait(self, now: float) -> float:
        """Somebody waits for audio; returns when to ask for `frames_due`."""
        if self._reaches_to == -math.inf:
            self._reaches_to = now
        self._is_put_off = False
        self._set_deadline()
        return self._deadline

    def next_deadline(self) -> float:
        """When to ask for `frames_due`."""
        return self._deadline

    def frames_due(self, now: float) -> int:
        """How many frames of silence are due."""
        if now < self._deadline - EPSILON_S:
            return 0
        if now > self._deadline + FRAME_S and not self._is_put_off:
            self._is_put_off = True
            self._deadline = now + FRAME_S
            return 0
        self._is_put_off = False
        self._is_gap = True
        self._reaches_to = max(self._reaches_to, now - self._max_s)
        frames = int((now + EPSILON_S - self._reaches_to) / FRAME_S)
        self._reaches_to += frames * FRAME_S
        self._set_deadline()
        return frames

    def _set_deadline(self) -> None:
        self._deadline = self._reaches_to + (FRAME_S if self._is_gap else self._gap_s)
