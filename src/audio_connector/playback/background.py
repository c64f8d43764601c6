# SPDX-License-Identifier: Apache-2.0
"""Audio under all that is said: looped, quieter while somebody speaks, and never a reason to wait.

The rules:

1. It is endless, and its volume moves in straight lines: at the beginning up from silence, down where speech begins,
   up again behind it, to another volume where it is given one, and to silence where it is to stop.
2. Where one takes the place of another, one frame of the old gives way to the first of the new, at its volume.
3. `Background.go_back` takes frames back that were not heard: they come again, each as loud as it was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat
from audio_connector.audio.mixing import crossfade, mix
from audio_connector.audio.resample import resample
from audio_connector.playback.speech import FRAME_S

ATTACK_S: Final = 0.1
"""From full volume to silence, or a part of that, where speech begins: five frames. Faster is heard as a cut, and
slower covers the first syllable."""

RELEASE_S: Final = 0.5
"""The same upwards, behind speech: a breath between two sentences does not bring it up all the way."""


class Background:
    """One of them, written piece by piece; ``number`` is that of who asked for it.

    Nothing of it is heard before all pieces are there, or it could not be looped.
    """

    def __init__(self, number: int, rate_hz: int, *, volume: float, duck: float) -> None:
        self.number = number
        self._full = 0.0  # the loudest that it may be now: a change of the volume is measured by it
        self._volume = 0.0
        self.set_volume(volume, duck)
        self.stop_tokens: list[int] = []
        """Of who waits for it to be silent."""
        self._rate_hz = rate_hz
        self._pieces: list[bytes] = []
        self._ends: list[int] = []  # of each piece, from the beginning of the first
        self._at = 0  # of the next frame
        self._gain = 0.0
        self._fade_step: float | None = None  # for each frame, from when it was to stop
        self._before: Background | None = None
        self._given: deque[tuple[int, float]] = deque()  # where each of the latest frames began, and how loud

    def add(self, pcm: bytes) -> None:
        """Take a piece, whole samples."""
        if pcm:
            self._pieces.append(pcm)
            self._ends.append(self._size_bytes + len(pcm))

    def set_volume(self, volume: float, duck: float) -> None:
        """How loud it is to be, and what that is multiplied by while something is said."""
        self._full = max(self._volume, volume)
        self._volume, self._duck = volume, duck

    def finish(self, before: Background | None) -> None:
        """All pieces are there; it takes the place of the one ``before``."""
        if not self._pieces:
            self.add(bytes(SAMPLE_BYTES))  # of nothing there is no next frame
        if before is not None:
            self._before, self._gain = before, before._gain
            before._before = None

    def stop(self, fade_s: float) -> None:
        """Fade to silence within so long."""
        self._fade_step = self._gain * FRAME_S / fade_s if fade_s > FRAME_S else self._gain

    @property
    def is_over(self) -> bool:
        """It is silent, and to stay so."""
        return self._fade_step is not None and self._gain <= 0.0

    def settle(self, audio_format: AudioFormat) -> None:
        """The router's rate is another one than was thought.

        Rare, since who asks waits for the rate: 0.15 s at the worst for the longest that is taken.
        """
        if audio_format.rate_hz != self._rate_hz:
            was_hz, self._rate_hz = self._rate_hz, audio_format.rate_hz
            # Of a sample or two nothing may be left, and nothing cannot be looped.
            pcm = resample(b"".join(self._pieces), was_hz, self._rate_hz) or bytes(SAMPLE_BYTES)
            self._at = int(self._at * self._rate_hz / was_hz) // SAMPLE_BYTES * SAMPLE_BYTES % len(pcm)
            self._pieces, self._ends = [pcm], [len(pcm)]
            self._given.clear()

    def under(self, spoken: bytes, size_bytes: int, keeps: int) -> bytes:
        """Return the next frame, under what is said in it, if anything is; ``keeps`` may be taken back."""
        gain = self._gain
        self._given.append((self._at, gain))
        while len(self._given) > keeps:
            self._given.popleft()
        self._gain = self._next_gain(is_spoken=bool(spoken))
        pcm = self._cut(size_bytes)
        if self._before is not None:
            pcm, self._before = crossfade(self._before._cut(size_bytes), pcm), None
        return mix(spoken, pcm, gain, self._gain)

    def go_back(self, count: int) -> None:
        """The latest frames, so many, were not heard."""
        while count > 0 and self._given:
            self._at, gain = self._given.pop()
            if self._fade_step is None:  # else somebody waits for the end, which is not put off
                self._gain = gain
            count -= 1

    @property
    def _size_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _next_gain(self, *, is_spoken: bool) -> float:
        gain = self._gain
        if self._fade_step is not None:
            return max(0.0, gain - self._fade_step)
        goal = self._volume * self._duck if is_spoken else self._volume
        if goal < gain:
            return max(goal, gain - max(self._full, gain) * FRAME_S / ATTACK_S)
        return min(goal, gain + self._full * FRAME_S / RELEASE_S)

    def _cut(self, size_bytes: int) -> bytes:
        """The next so many bytes; behind the end comes the beginning."""
        taken: list[bytes] = []
        while size_bytes:
            index = bisect_right(self._ends, self._at)
            piece = self._pieces[index]
            begin = self._at - self._ends[index] + len(piece)
            part = piece[begin : begin + size_bytes]
            taken.append(part)
            size_bytes -= len(part)
            self._at = (self._at + len(part)) % self._size_bytes
        return taken[0] if len(taken) == 1 else b"".join(taken)
