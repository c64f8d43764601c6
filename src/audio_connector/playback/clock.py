# SPDX-License-Identifier: Apache-2.0
"""The router's clock: when it hears which frame of the present run. See the rules in ``schedule.py``."""

from __future__ import annotations

from audio_connector.playback.speech import EPSILON_FRAMES, FRAME_S, frames_until


class RunClock:
    """Counts the frames of a run against an anchor, and those of the runs before it.

    A run is *on* from `start` until all that was sent has been heard.
    """

    __slots__ = ("_heard_floor", "anchor_s", "heard_before", "sent")

    def __init__(self) -> None:
        self.anchor_s: float | None = None
        """When the router starts on the run; None while none is on."""
        self.sent = 0
        """Frames sent in the run."""
        self.heard_before = 0
        """Frames heard in the runs before."""
        self._heard_floor = 0  # a corrected clock never takes back what was reported as heard

    @property
    def dry_at_s(self) -> float:
        """When the router has heard all that was sent; only while a run is on."""
        assert self.anchor_s is not None
        return self.anchor_s + self.sent * FRAME_S

    def heard(self, now: float) -> int:
        """Frames of the run that were heard."""
        if self.anchor_s is None:
            return 0
        return min(self.sent, max(self._heard_floor, frames_until(now, self.anchor_s)))

    def due(self, now: float, lead_s: float) -> int:
        """How many further frames are due: frame k is at ``anchor + k * frame - lead``."""
        assert self.anchor_s is not None
        return frames_until(now + lead_s, self.anchor_s) + 1 - self.sent

    def is_dry(self, now: float) -> bool:
        """Whether all that was sent has been heard."""
        return now >= self.dry_at_s - 0.5 * EPSILON_FRAMES * FRAME_S

    def start(self, now: float) -> None:
        """Begin a run: the first frame is sent now."""
        self.anchor_s = now
        self.sent = self._heard_floor = 0

    def end(self, heard: int) -> None:
        """End the run after so many of its frames were heard."""
        self.anchor_s = None
        self.heard_before += heard
        self.sent = self._heard_floor = 0

    def correct(self, now: float, heard: int) -> None:
        """Take the router's word: now, it has heard so many frames of the run."""
        if self.anchor_s is not None and 0 < heard <= self.sent:
            self._heard_floor = self.heard(now)
            self.anchor_s = now - heard * FRAME_S
