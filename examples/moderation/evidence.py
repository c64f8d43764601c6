# SPDX-License-Identifier: Apache-2.0
"""What was said around a flag: the latest audio of a call is kept, and cut where it is wanted. No clock and no I/O.

All times are seconds of the call's audio. What comes later belongs to a clip as well, so a clip is complete a little
after it was asked for, or with the call. Flags that follow one another share a clip, up to `LONGEST_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audio_connector.audio.format import SAMPLE_BYTES

LONGEST_S: Final = 15.0
"""Of one clip: 480 kB at 16 kHz, whatever a caller says."""


@dataclass(frozen=True)
class Clip:
    """A stretch of a call, cut out."""

    name: str
    start_s: float
    end_s: float
    audio: bytes


class Evidence:
    """The latest audio of one call, and the clip that is not complete yet.

    Args:
        prefix: What the names of the clips begin with.
        rate_hz: Of the audio, 16-bit mono.
        before_s: What a clip has before the place.
        after_s: What it has behind it.
        keep_s: How much audio is kept, 32 kB for each second at 16 kHz: as much as may have gone by before somebody
            knows that it is wanted.
    """

    def __init__(self, prefix: str, rate_hz: int, *, before_s: float, after_s: float, keep_s: float) -> None:
        self._prefix = prefix
        self._rate_hz = rate_hz
        self._before_s, self._after_s = before_s, after_s
        self._keep_samples = round(keep_s * rate_hz)
        self._kept = bytearray()
        self._samples = 0
        self._clips = 0
        self._open: tuple[str, float, float] | None = None
        self._done: list[Clip] = []

    @property
    def now_s(self) -> float:
        """How much audio there was."""
        return self._samples / self._rate_hz

    def write(self, audio: bytes) -> None:
        """Take what comes next."""
        self._kept += audio
        self._samples += len(audio) // SAMPLE_BYTES
        spare = len(self._kept) - self._keep_samples * SAMPLE_BYTES
        if spare > self._rate_hz * SAMPLE_BYTES:  # once a second: to move all that is kept has its cost
            del self._kept[:spare]

    def want(self, at_s: float) -> str:
        """Ask for the audio around a place; returns the name of the clip that will have it."""
        start_s, end_s = max(0.0, at_s - self._before_s), at_s + self._after_s
        if self._open is not None:
            name, opened_s, until_s = self._open
            first_s, last_s = min(opened_s, start_s), max(until_s, end_s)
            if start_s <= until_s and end_s >= opened_s and last_s - first_s <= LONGEST_S:
                self._open = name, first_s, last_s
                return name
            self._done.append(self._cut())  # as far as it goes: the next one has what follows
        self._clips += 1
        name = f"{self._prefix}-{self._clips}.wav"
        self._open = name, start_s, end_s
        return name

    def take(self, *, is_over: bool = False) -> list[Clip]:
        """Return the clips that are complete by now, each once; all that were asked for where the call is over."""
        if self._open is not None and (is_over or self._open[2] <= self.now_s):
            self._done.append(self._cut())
        done, self._done = self._done, []
        return done

    def _cut(self) -> Clip:
        (name, start_s, end_s), self._open = self._open or ("", 0.0, 0.0), None
        first = self._samples - len(self._kept) // SAMPLE_BYTES
        begin = max(0, round(start_s * self._rate_hz) - first)
        end = max(begin, round(end_s * self._rate_hz) - first)
        audio = bytes(self._kept[begin * SAMPLE_BYTES : end * SAMPLE_BYTES])
        start_s = (first + begin) / self._rate_hz
        return Clip(name, start_s, start_s + len(audio) / SAMPLE_BYTES / self._rate_hz, audio)
