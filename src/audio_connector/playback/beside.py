# SPDX-License-Identifier: Apache-2.0
"""What the router is sent that belongs to no utterance: a background, and the last breath of what was cut.

The rules:

1. Every frame of an utterance carries the background under it. Where the router is about to run out of them, frames
   with the background alone follow, so that it never runs out of that.
2. What is said next is heard behind these, so they are sent no further ahead than is safe: `AHEAD_S`.
3. Behind an utterance they come at the last moment, `LAST_MOMENT_S` before the router runs dry, since one that goes
   on after them has a gap.
4. Where the router is told to drop what it has, the background goes on from where it was heard.
5. None of it counts as played, queued or in flight, and nobody waits for it but who stops it.
6. Of two that are asked for, the later one is played, however their pieces come.
7. Where another application takes the call, it goes on for `TAKEOVER_S`, in which that may have one of its own take
   its place.
"""

from __future__ import annotations

import math
from typing import Final

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.mixing import fade_out
from audio_connector.playback.background import ATTACK_S, Background
from audio_connector.playback.schedule import DRAIN_BEFORE_DRY_S, MIN_LEAD_S, Schedule
from audio_connector.playback.speech import EPSILON_FRAMES, FRAME_S, Answered, Beside

AHEAD_S: Final = 0.08
"""Twice the latest that a frame was measured to be (docs/design/playback.md): it delays all that is said under a
background, so no more than that."""

LAST_MOMENT_S: Final = MIN_LEAD_S

TAKEOVER_S: Final = 5.0
"""An application that takes a call asks for what it wants within a fraction of that; then nobody could end it."""


class BesideSpeech:
    """Beside the utterances of one schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.is_on = False
        """There is something to be sent, or to be mixed."""
        self.answers: list[Answered] = []
        """Whoever drives this takes them."""
        self._tail = b""
        self._background: Background | None = None
        self._coming: Background | None = None  # whose pieces are not all there
        self._newest = 0  # the number of the latest that was asked for
        self._ends_at_s = math.inf  # nobody is there who could end it

    # What is asked.

    def add(self, background: Background, pcm: bytes, *, is_last: bool) -> None:
        """Take a piece of a background; with the last one it takes the place of the one before."""
        if background.number < self._newest:
            return
        self._newest = background.number
        if self._coming is None or self._coming.number != background.number:
            self._coming = background
        coming = self._coming
        coming.add(pcm)
        if is_last:
            coming.settle(self._schedule.format)
            coming.finish(self._background)
            self._end_background()
            self._background, self._coming = coming, None
            self._schedule.drain_before_s = LAST_MOMENT_S
            self.is_on = True

    def change(self, number: int, volume: float, duck: float) -> None:
        """Make that one louder or quieter, where it is there."""
        for one in (self._background, self._coming):
            if one is not None and one.number == number:
                one.set_volume(volume, duck)

    def stop(self, number: int, fade_s: float, token: int) -> None:
        """End that one, and answer once nothing more of it is sent."""
        if self._coming is not None and self._coming.number == number:
            self._coming = None
        if self._background is None or self._background.number != number or self._schedule.is_held:
            if self._background is not None and self._background.number == number:
                self._end_background()
            self.answers.append(Answered(token, True))
        else:
            self._background.stop_tokens.append(token)
            self._background.stop(fade_s)

    def abandon(self, now: float) -> None:
        """Whoever asked for it is gone, and nobody else can stop it."""
        self._coming = None
        self._ends_at_s = now + TAKEOVER_S
        if self._background is not None:
            self._background.stop_tokens.clear()

    def leave(self, token: int) -> None:
        """Whoever waits under this number waits no more."""
        if self._background is not None and token in self._background.stop_tokens:
            self._background.stop_tokens.remove(token)

    # What comes to pass.

    def settle(self, audio_format: AudioFormat) -> None:
        """The format is known, or another one."""
        self._tail = b""
        if self._background is not None:
            self._background.settle(audio_format)

    def go_back(self, now: float) -> None:
        """The router is told to drop what it has, and has not done so yet."""
        if self._background is not None:
            self._background.go_back(self._schedule.clock.not_begun(now))

    def fade(self, cut_off: bytes, samples: int) -> None:
        """Let a frame that the router was about to play, and drops, die away instead."""
        if cut_off and samples:
            self._tail, self.is_on = fade_out(cut_off, samples), True

    def take_tail(self, now: float, limit: int) -> list[bytes | Beside]:
        """Return what is sent ahead of any utterance."""
        tail, self._tail = self._tail, b""
        if not tail or not limit or self._schedule.is_held:
            return []
        at = self._schedule.clock.pass_by(now)
        return [Beside(at, tail if self._background is None else self._under(self._background, tail))]

    def cover(
        self, tail: list[bytes | Beside], frames: list[bytes], now: float, limit: int
    ) -> list[bytes | Beside]:
        """Put the background under frames of utterances, and behind them where they come to an end."""
        sent: list[bytes | Beside] = tail
        background = self._background
        if background is None:
            self.is_on = False
            sent += frames
            return sent
        if now >= self._ends_at_s:
            self._ends_at_s = math.inf
            background.stop(ATTACK_S)
        for frame in frames:
            sent.append(frame if background.is_over else self._under(background, frame))
        while len(sent) < limit and not background.is_over and now >= self._fill_at():
            at = self._schedule.clock.pass_by(now)
            sent.append(Beside(at, self._under(background, b"")))
        if background.is_over:
            self._end_background()
        return sent

    def next_deadline(self) -> float:
        """When `cover` has something to do, whatever is said."""
        return self._fill_at() if self._background is not None else math.inf

    def _under(self, background: Background, spoken: bytes) -> bytes:
        schedule = self._schedule
        keeps = (schedule.flown.maxlen or 0) + int(AHEAD_S / FRAME_S) + 1
        return background.under(spoken, schedule.frame_bytes, keeps)

    def _fill_at(self) -> float:
        """When a frame with the background alone is to be sent; infinity while others are."""
        schedule, clock = self._schedule, self._schedule.clock
        if schedule.is_held:
            return math.inf
        if clock.anchor_s is None or clock.is_passed:
            ends_at_s = max(clock.busy_until_s, clock.dry_at_s)
            return max(0.0, ends_at_s - AHEAD_S - EPSILON_FRAMES * FRAME_S)
        return math.inf if schedule.goes_on else clock.dry_at_s - LAST_MOMENT_S

    def _end_background(self) -> None:
        if self._background is not None:
            self.answers += [Answered(token, True) for token in self._background.stop_tokens]
        self._background, self.is_on = None, bool(self._tail)
        self._ends_at_s = math.inf
        self._schedule.drain_before_s = DRAIN_BEFORE_DRY_S
