# SPDX-License-Identifier: Apache-2.0
"""What a listener with a stopwatch would note of a call: turns, barge-ins, jitter, and audio that came too late.

Pure: it is told what was said, received, played and cleared, and when. What it notes has times in seconds since
the connection was made.

A *turn* begins with the participant's last loud frame and ends with the first loud frame of the bot that the
session hears. What the bot begins in a pause after which the participant goes on is no answer. A *barge-in*
begins when the participant starts to speak while the bot has not ended, or when the server clears, and ends when
the session hears nothing of the bot any more. The bot has not ended while it is heard, while sound of it waits in
the router, and between two of its words: in a pause after which it goes on, or that a clear makes its end. Frames
of zeros are silence: there are bots that never stop sending them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.activity import is_loud as is_loud_frame
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


def _ends_in_silence(payload: bytes) -> bool:
    """Whether a message is silence, or fades into it: so somebody stops without a click, and does not go on."""
    half = len(payload) // 2
    return payload.count(0, half) == len(payload) - half


class Observer:
    """Notes of one call.

    Args:
        frame_bytes: Bytes of a frame.
        waiting: Gives the frames that wait in the router to be played.
    """

    def __init__(self, frame_bytes: int = 640, *, waiting: Callable[[], Iterable[bytes]] = tuple) -> None:
        # Comparing with this ends at the first difference; counting zeros takes a third of a microsecond.
        self._zeros = bytes(frame_bytes)
        self._waiting = waiting
        self.origin = 0.0
        """When the connection was made, on the clock of the times that are told."""
        self.turns: list[Turn] = []
        self.barge_ins: list[BargeIn] = []
        self.jitter_s = 0.0
        self.jitter_peak_s = 0.0
        self.first_sound_at: float | None = None
        """When the first audio arrived that is more than zeros, on the clock of the times that are told."""
        self.open: BargeIn | None = None
        """The barge-in that waits for silence."""
        self._last_arrival_s = -math.inf
        self._stale_until_s = -math.inf
        # The participant.
        self._loud_in_a_row = 0
        self._onset_s = -math.inf
        self._began_over_bot = self._began_in_pause = False
        self._voice_end_s = -math.inf
        self._is_speaking = False
        self._awaits_reply = False
        # The bot, as the session hears it: what was played, and what of it was no silence; and what it played last,
        # for whoever breathes is not spoken over.
        self._played_until_s = self._heard_until_s = -math.inf
        self._played: deque[bytes] = deque(maxlen=round(PAUSE_S / _FRAME_S))

    def said(self, at_s: float, *, is_loud: bool) -> None:
        """The participant said a frame, silence included, that began so many seconds after the connection."""
        if not is_loud:
            self._loud_in_a_row = 0
            if self._is_speaking and at_s - self._voice_end_s >= PAUSE_S:
                self._is_speaking = False
            return
        self._loud_in_a_row += 1
        if self._loud_in_a_row == 1 and not self._is_speaking:
            self._note_onset(at_s)
        if self._is_speaking:
            if self.turns and self.turns[-1].speech_end_s == self._voice_end_s:
                self.turns.pop()
                self._awaits_reply = True
            self._voice_end_s = at_s + _FRAME_S
        elif self._loud_in_a_row >= ONSET_FRAMES:
            self._is_speaking = True
            self._awaits_reply = True
            self._voice_end_s = at_s + _FRAME_S
            self._open_if_over_bot()

    def received(self, payload: bytes, at: float) -> None:
        """A message of audio arrived."""
        if self.first_sound_at is None and payload.count(0) != len(payload):
            self.first_sound_at = at
        at_s = at - self.origin
        gap_s, self._last_arrival_s = at_s - self._last_arrival_s, at_s
        if self.open is not None and at_s <= self._stale_until_s and not _ends_in_silence(payload):
            self._stale_until_s = at_s + STALE_GAP_S
            self.open = replace(self.open, stale_ms=self.open.stale_ms + FRAME_MS)
        if gap_s > PAUSE_S:
            return
        # RFC 3550 6.4.1, with 20 ms as what the sender meant.
        self.jitter_s += (abs(gap_s - _FRAME_S) - self.jitter_s) / 16
        if self.jitter_s > self.jitter_peak_s:
            self.jitter_peak_s = self.jitter_s

    def played(self, frame: bytes, at: float) -> None:
        """The session hears a frame of the bot, from a time on."""
        at_s = at - self.origin
        self._played_until_s = at_s + _FRAME_S
        self._played.append(frame)
        if at_s < self._heard_until_s + PAUSE_S:
            if frame != self._zeros:
                self._heard_until_s = at_s + _FRAME_S
                if self._began_in_pause and is_loud_frame(frame):
                    self._began_in_pause, self._began_over_bot = False, True
                    if self._is_speaking:
                        self._open_if_over_bot()
            return
        if not is_loud_frame(frame):
            return
        # A new sound. Where the participant speaks on, an old barge-in that no clear has ended goes on as well.
        if self.open is not None and (self.open.clear_at_s is not None or not self._is_speaking):
            self._end_barge_in()
        self._heard_until_s = at_s + _FRAME_S
        self._began_in_pause = False  # that was no pause, but the end of what was said then
        # Who speaks again already may be hearing an echo of that.
        if self._awaits_reply and at_s >= self._voice_end_s and not self._loud_in_a_row:
            self._awaits_reply = False
            if len(self.turns) < MAX_NOTES:
                self.turns.append(Turn(self._voice_end_s, at_s))

    def cleared(self, at: float, now: float, dropped_ms: float, *, was_heard: bool) -> None:
        """A clear dropped so much.

        Args:
            at: When it arrived.
            now: When it was obeyed.
            dropped_ms: How much it dropped.
            was_heard: Whether anything played or waited.
        """
        if not was_heard:
            # The bot had nothing to say, or had ended by itself, which a clear does not make any earlier.
            if self.open is not None and self.open.clear_at_s is None:
                self._end_barge_in()
            return
        barge_in = self.open
        if barge_in is None:
            # Not of a click that nobody took for a voice.
            is_voice = self._loud_in_a_row > 0 or self._voice_end_s > self._onset_s
            was_over_bot = is_voice and (self._began_over_bot or self._began_in_pause)
            barge_in = BargeIn(speech_at_s=self._onset_s if was_over_bot else None)
            self._began_over_bot = self._began_in_pause = False
        if barge_in.clear_at_s is None:
            barge_in = replace(barge_in, clear_at_s=at - self.origin)
            self._stale_until_s = now - self.origin + STALE_GAP_S
        self.open = replace(barge_in, dropped_ms=barge_in.dropped_ms + dropped_ms)

    def look(self, now: float) -> None:
        """See whether a barge-in has ended; called as often as one likes, when all was told that is due by now."""
        now_s = now - self.origin
        if self.open is None:
            return
        if self.open.clear_at_s is None:
            # The bot went on to its end: not a hole in what it says, and no pause between two words.
            has_ended = now_s - self._played_until_s >= PAUSE_S
        else:
            has_ended = now_s > self._stale_until_s and now_s - self._heard_until_s >= STALE_GAP_S
        if has_ended:
            self._end_barge_in()

    def all_barge_ins(self) -> tuple[BargeIn, ...]:
        """Those that are over, and the one that is not."""
        return (*self.barge_ins, *([self.open] if self.open is not None else []))

    def _note_onset(self, at_s: float) -> None:
        """The participant may begin to speak. Asked now, for an echo is heard before these few frames are a voice."""
        self._onset_s = at_s
        has_spoken = any(map(is_loud_frame, self._played))
        is_heard = has_spoken and self._heard_until_s > at_s
        self._began_over_bot = is_heard or any(map(is_loud_frame, self._waiting()))
        self._began_in_pause = (
            not self._began_over_bot and has_spoken and self._heard_until_s + PAUSE_S > at_s
        )

    def _open_if_over_bot(self) -> None:
        if self._began_over_bot and self.open is None:
            self.open = BargeIn(speech_at_s=self._onset_s)

    def _end_barge_in(self) -> None:
        ended, self.open = self.open, None
        self._began_over_bot = self._began_in_pause = False
        if ended is None:
            return
        # Where it was between two words that the clear came, it was silent at once.
        begun_s = ended.clear_at_s if ended.clear_at_s is not None else ended.speech_at_s
        silent_at_s = max(self._heard_until_s, -math.inf if begun_s is None else begun_s)
        if len(self.barge_ins) < MAX_NOTES:
            self.barge_ins.append(replace(ended, silent_at_s=silent_at_s))
        self._heard_until_s = -math.inf  # what comes now is something new
