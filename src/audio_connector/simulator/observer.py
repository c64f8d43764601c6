# SPDX-License-Identifier: Apache-2.0
"""What a listener with a stopwatch would note of a call: turns, barge-ins, jitter, and the call over time.

Pure: it is told what was said, received, played and cleared, with times in seconds since the connection was
made.

A *turn* begins with the participant's last loud frame and ends with the first loud frame of the bot that the
session hears. A *barge-in* begins when the participant starts to speak while the bot is heard, or when the
server clears, and ends when the session hears nothing of the bot any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.activity import is_loud
from audio_connector.simulator.trace import BargeIn, Turn

_FRAME_S: Final = FRAME_MS / 1000

ONSET_FRAMES: Final = 3
"""Loud frames in a row that make a voice; a click is shorter."""

PAUSE_S: Final = 0.4
"""Silence after which somebody has stopped speaking, and a gap in arriving audio is a pause and no jitter."""

STALE_GAP_S: Final = 3 * _FRAME_S
"""Audio that follows a clear, or stale audio, within this belongs to what was cleared."""

MAX_NOTES: Final = 10_000
"""Turns and barge-ins kept; a call of six hours has fewer, unless somebody plays tricks."""


class Observer:
    """Notes of one call."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.barge_ins: list[BargeIn] = []
        self.jitter_s = 0.0
        self.jitter_peak_s = 0.0
        self._open: BargeIn | None = None
        self._last_arrival_s: float | None = None
        self._stale_until_s = 0.0
        # The participant.
        self._loud_in_a_row = 0
        self._voice_end_s: float | None = None
        self._is_speaking = False
        self._awaits_reply = False
        # The bot, as the session hears it.
        self._bot_heard_until_s = 0.0

    def said(self, frame: bytes, at_s: float) -> None:
        """The participant said a frame, silence included, that began at a time."""
        if not is_loud(frame):
            self._loud_in_a_row = 0
            if self._is_speaking and self._voice_end_s is not None and at_s - self._voice_end_s >= PAUSE_S:
                self._is_speaking = False
            return
        self._loud_in_a_row += 1
        if self._is_speaking:
            self._voice_end_s = at_s + _FRAME_S
        elif self._loud_in_a_row >= ONSET_FRAMES:
            self._is_speaking = True
            self._awaits_reply = True
            self._voice_end_s = at_s + _FRAME_S
            began_s = at_s - (ONSET_FRAMES - 1) * _FRAME_S
            if self._bot_heard_until_s > began_s and self._open is None:
                self._open = BargeIn(speech_at_s=began_s)

    def received(self, at_s: float) -> None:
        """A message of audio arrived."""
        last_s, self._last_arrival_s = self._last_arrival_s, at_s
        if self._open is not None and at_s <= self._stale_until_s:
            self._stale_until_s = at_s + STALE_GAP_S
            self._open = replace(self._open, stale_ms=self._open.stale_ms + FRAME_MS)
        if last_s is None or at_s - last_s > PAUSE_S:
            return
        # RFC 3550 6.4.1, with 20 ms as what the sender meant.
        self.jitter_s += (abs(at_s - last_s - _FRAME_S) - self.jitter_s) / 16
        if self.jitter_s > self.jitter_peak_s:
            self.jitter_peak_s = self.jitter_s

    def played(self, frame: bytes, at_s: float) -> None:
        """The session hears a frame of the bot, from a time on."""
        is_heard = at_s < self._bot_heard_until_s + PAUSE_S
        if is_heard:
            if frame.count(0) != len(frame):
                self._bot_heard_until_s = at_s + _FRAME_S
            return
        if not is_loud(frame):
            return
        self._bot_heard_until_s = at_s + _FRAME_S
        if self._awaits_reply and self._voice_end_s is not None and at_s >= self._voice_end_s:
            self._awaits_reply = False
            if len(self.turns) < MAX_NOTES:
                self.turns.append(Turn(self._voice_end_s, at_s))

    def cleared(self, at_s: float, dropped_ms: float, *, was_heard: bool) -> None:
        """A clear arrived, and dropped so much; ``was_heard`` tells whether anything played or waited."""
        if self._open is None:
            if not was_heard:
                return  # nothing was said: no barge-in
            self._open = BargeIn()
        if self._open.clear_at_s is None:
            self._open = replace(self._open, clear_at_s=at_s)
            self._stale_until_s = at_s + STALE_GAP_S
        self._open = replace(self._open, dropped_ms=self._open.dropped_ms + dropped_ms)

    @property
    def has_open(self) -> bool:
        """Whether a barge-in waits for silence."""
        return self._open is not None

    def silent(self, since_s: float, now_s: float) -> None:
        """Nothing plays and nothing waits since a time; called as often as one likes."""
        if self._open is None or now_s <= self._stale_until_s:
            return  # stale audio may still come
        if len(self.barge_ins) < MAX_NOTES:
            self.barge_ins.append(replace(self._open, silent_at_s=since_s))
        self._open = None
        # What comes now is something new.
        self._bot_heard_until_s = min(self._bot_heard_until_s, since_s - PAUSE_S)

    def all_barge_ins(self) -> tuple[BargeIn, ...]:
        """Those that are over, and the one that is not."""
        return (*self.barge_ins, *([self._open] if self._open is not None else []))
