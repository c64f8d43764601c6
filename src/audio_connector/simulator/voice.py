# SPDX-License-Identifier: Apache-2.0
"""What a participant says, frame by frame: a speech that may repeat, and whatever is put in on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from audio_connector.simulator.activity import Level, levels_of


class Voice:
    """The frames of one participant, one per 20 ms.

    Args:
        frames: Said from the beginning.
        ticks: For so many frames, repeated or cut; None says them once.
    """

    def __init__(self, frames: Sequence[bytes] = (), *, ticks: int | None = None) -> None:
        self._frames = tuple(frames)
        self._levels = levels_of(self._frames)
        self._ticks = 0 if not frames else len(frames) if ticks is None else ticks
        self._said = 0
        self._put_in: deque[tuple[bytes, Level]] = deque()
        self.level = Level.NOTHING
        """What there is to hear in the frame that `next` has returned; worked out once, however often it repeats."""

    @property
    def waiting_frames(self) -> int:
        """Frames that are not said yet."""
        return self._ticks - self._said + len(self._put_in)

    def put_in(self, frames: Iterable[bytes]) -> None:
        """Say these as well, an utterance, behind everything else."""
        frames = tuple(frames)
        self._put_in.extend(zip(frames, levels_of(frames), strict=True))

    def stop(self) -> None:
        """Say nothing more of all that."""
        self._put_in.clear()
        self._said = self._ticks

    def next(self) -> bytes | None:
        """The next frame; None where there is nothing to say."""
        if self._said < self._ticks:
            at = self._said % len(self._frames)
            self._said += 1
            self.level = self._levels[at]
            return self._frames[at]
        if not self._put_in:
            self.level = Level.NOTHING
            return None
        frame, self.level = self._put_in.popleft()
        return frame
