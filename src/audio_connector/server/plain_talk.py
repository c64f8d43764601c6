# SPDX-License-Identifier: Apache-2.0
"""What is heard of plain writes, between silences, worked out from figures that are told anyway. Pure.

A run of the playback is what is heard without a gap. Its beginning is in the figures; its length is by how much the
count of what was heard before grows when the next one begins, or when it is known to be over. Runs that follow within
a pause of the speaker are one talk, as underruns in it are no end. A talk in which a speech was heard is that speech,
which is told by itself; a talk that comes and goes between two figures (0.1 s) is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from audio_connector.call.tells import Figures
from audio_connector.playback.speech import FRAME_S

Talk = tuple[float, float]
"""When it began to be heard, and when it ended, in seconds of the I/O side's clock."""


class PlainTalk:
    """Of one call; a silence of ``pause_s`` ends a talk."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._heard_before = 0
        self._run_began_at: float | None = None
        self._began_at: float | None = None
        self._ended_at = 0.0
        self._is_speech = False

    def follow(self, figures: Figures, now: float) -> Iterator[Talk]:
        """Take the latest figures; yields each talk that is over."""
        progress = figures.progress
        if progress.heard_before != self._heard_before:
            self._end_run(progress.heard_before - self._heard_before)
            self._heard_before = progress.heard_before
        began_at = progress.anchor_s
        if self._run_began_at is None:
            silent_until = now if began_at is None else began_at
            if silent_until - self._ended_at >= self._pause_s:
                yield from self.finish()
            if began_at is not None:
                self._run_began_at = began_at
                self._began_at = began_at if self._began_at is None else self._began_at
        if any(said.heard_before or said.run_sent for _, said in figures.speeches):
            self._is_speech = True

    def finish(self) -> Iterator[Talk]:
        """Yield the one that was not told yet; nothing of it follows."""
        if self._began_at is not None and self._ended_at > self._began_at and not self._is_speech:
            yield self._began_at, self._ended_at
        self._began_at, self._is_speech = None, False

    def _end_run(self, frames: int) -> None:
        if self._run_began_at is not None:
            self._ended_at = self._run_began_at + frames * FRAME_S
            self._run_began_at = None
