# SPDX-License-Identifier: Apache-2.0
"""The router's clock: when it hears which frame of the present run. See the rules in ``schedule.py``."""

from __future__ import annotations

import math

from audio_connector.playback.speech import EPSILON_FRAMES, FRAME_S, frames_until


class RunClock:
    """Counts the frames of a run against an anchor, and those of the runs before it.

    A run is *on* from `start` until all that was sent has been heard.
    """

    __slots__ = ("anchor_s", "busy_until_s", "dry_at_s", "floor", "heard_before", "is_passed", "sent")

    def __init__(self) -> None:
        self.anchor_s: float | None = None  # when the router starts on the run; None while none is on
        self.dry_at_s = -math.inf
        """When it has heard all that was sent, within the rounding: always in the past while no run is on."""
        self.sent = 0  # frames, in the run
        self.heard_before = 0  # frames, in the runs before
        self.floor = 0
        """Frames of the run that were reported as heard, which a corrected clock never takes back."""
        self.busy_until_s = -math.inf
        """Until then the router has audio that is no utterance's; a run that starts is heard behind that."""
        self.is_passed = False
        """Such audio was sent behind the run, so that nothing can go on with it."""

    @property
    def sent_in_all(self) -> int:
        """Frames heard in the runs before, and sent in this one."""
        return self.heard_before + self.sent

    def heard_in_all(self, now: float) -> int:
        """Frames heard in the runs before, and in this one."""
        return self.heard_before + self.heard(now)

    def time_of(self, heard_in_all: int) -> float:
        """When so many frames will have been heard; only while a run is on."""
        return self.anchor_s + (heard_in_all - self.heard_before) * FRAME_S  # type: ignore[operator]  # see above

    def heard(self, now: float) -> int:
        """Frames of the run that were heard."""
        if self.anchor_s is None:
            return 0
        return min(self.sent, max(self.floor, frames_until(now, self.anchor_s)))

    def due(self, now: float, lead_s: float) -> int:
        """How many further frames are due: frame k is at ``anchor + k * frame - lead``."""
        if self.is_passed:
            return 0
        # Not by `frames_until`, since it is asked once per frame; int() rounds as floor() does from 0 on, and what is
        # less than that, where the router has other audio first, is none.
        return int((now + lead_s - self.anchor_s) / FRAME_S + EPSILON_FRAMES + 1) - self.sent  # type: ignore[operator]

    def start(self, now: float) -> None:
        """Begin a run: the first frame is sent now, and heard at once, or behind what the router has."""
        self.anchor_s = now if now > self.busy_until_s else self.busy_until_s
        self.send(0)

    def send(self, count: int) -> None:
        """Note that so many further frames are sent; only while a run is on."""
        self.sent += count
        self.dry_at_s = self.anchor_s + (self.sent - 0.5 * EPSILON_FRAMES) * FRAME_S  # type: ignore[operator]

    def end(self, heard: int) -> None:
        """End the run after so many of its frames were heard."""
        self.anchor_s, self.dry_at_s = None, -math.inf
        self.heard_before += heard
        self.sent = self.floor = 0
        self.is_passed = False

    def ends_at(self, now: float) -> float:
        """When the router has heard all that it has, of whatever kind; now where it has nothing."""
        return max(now, self.busy_until_s, self.dry_at_s)

    def pass_by(self, now: float) -> float:
        """One frame that is no utterance's is sent behind all others; returns when it is heard."""
        at = self.ends_at(now)
        self.is_passed = self.anchor_s is not None
        self.busy_until_s = at + FRAME_S
        return at

    def not_begun(self, now: float) -> int:
        """Frames of whatever kind that the router has, and of which it has played nothing."""
        ends_at = self.ends_at(now)
        return max(0, math.ceil((ends_at - now) / FRAME_S - EPSILON_FRAMES) - 1)

    def drop(self, now: float) -> None:
        """The router drops all that it has not begun to play, as `not_begun` counts; no run is on."""
        self.busy_until_s = self.ends_at(now) - self.not_begun(now) * FRAME_S

    def correct(self, now: float, heard_in_all: int) -> None:
        """Take the router's word: now, it has heard so many frames, in this run and those before."""
        heard = heard_in_all - self.heard_before
        if self.anchor_s is not None and not self.is_passed and 0 < heard <= self.sent:
            self.floor = self.heard(now)
            self.anchor_s = now - heard * FRAME_S
            self.send(0)
