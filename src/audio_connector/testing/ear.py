# SPDX-License-Identifier: Apache-2.0
"""Keeps what a session hears of a bot, and says when the bot was speaking. Pure: time is the length of the audio."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.simulator.activity import is_loud
from audio_connector.testing.audio import Audio

EDGE_S = 0.25
"""Longest soft beginning and end of an utterance; what is soft for longer is noise."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Loud audio, with no pause in it that is longer than was asked for.

    Attributes:
        start_s: When it began, in seconds since the connection was made.
        end_s: When its last loud frame ended.
        is_over: Whether the pause behind it has passed.
    """

    start_s: float
    end_s: float
    is_over: bool


class Ear:
    """Everything that was heard on one call, from the beginning.

    Args:
        rate_hz: Of the call.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._pcm = bytearray()
        self._runs: list[tuple[int, int]] = []
        """Stretches of loud audio, first byte and last."""

    def write(self, pcm: bytes) -> None:
        """Hear more: a frame, or a stretch of silence."""
        start = len(self._pcm)
        self._pcm += pcm
        if not is_loud(pcm):
            return
        if self._runs and self._runs[-1][1] == start:
            start, _ = self._runs.pop()
        self._runs.append((start, len(self._pcm)))

    @property
    def heard_s(self) -> float:
        """How much was heard, silence included."""
        return self._s(len(self._pcm))

    def audio(self, start_s: float = 0.0, end_s: float | None = None) -> Audio:
        """A part of what was heard; all of it by default."""
        end = None if end_s is None else self._size(end_s)
        return Audio(bytes(memoryview(self._pcm)[self._size(start_s) : end]), self._rate_hz)

    def utterance(self, after_s: float, *, pause_s: float) -> Utterance | None:
        """The first utterance of which something is heard after a time.

        Args:
            after_s: Seconds since the connection was made.
            pause_s: A shorter silence is part of an utterance.
        """
        after, pause = self._size(after_s), self._size(pause_s)
        first = bisect.bisect_right(self._runs, after, key=lambda run: run[1])
        if first == len(self._runs):
            return None
        start, end = self._runs[first]
        for next_start, next_end in self._runs[first + 1 :]:
            if next_start - end >= pause:
                break
            end = next_end
        is_over = len(self._pcm) - end >= pause or end != self._runs[-1][1]
        return Utterance(self._s(max(start, after)), self._s(end), is_over)

    def widened(self, utterance: Utterance) -> tuple[float, float]:
        """From when to when there was any sound around an utterance, at most `EDGE_S` beyond it: its soft ends."""
        frame, edge = self._size(FRAME_MS / 1000), self._size(EDGE_S)
        start, end = self._size(utterance.start_s), self._size(utterance.end_s)
        first, last = max(0, start - edge), min(len(self._pcm), end + edge)
        while start - frame >= first and any(self._pcm[start - frame : start]):
            start -= frame
        while end + frame <= last and any(self._pcm[end : end + frame]):
            end += frame
        return self._s(start), self._s(end)

    def __str__(self) -> str:
        found, at_s = list[str](), 0.0
        while (next_one := self.utterance(at_s, pause_s=0.5)) is not None:
            at_s = next_one.end_s
            found.append(f"{next_one.start_s:.2f} to {at_s:.2f} s")
        return f"{', '.join(found) or 'nothing'}, in {self.heard_s:.2f} s"

    def is_loud_now(self) -> bool:
        """Whether the frame that was heard last was loud."""
        return bool(self._runs) and self._runs[-1][1] == len(self._pcm)

    def quiet_s(self) -> float:
        """How long nothing loud was heard by now."""
        return self._s(len(self._pcm) - (self._runs[-1][1] if self._runs else 0))

    def _s(self, size_bytes: int) -> float:
        return size_bytes / SAMPLE_BYTES / self._rate_hz

    def _size(self, seconds: float) -> int:
        return round(seconds * self._rate_hz) * SAMPLE_BYTES
