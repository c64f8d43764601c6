# SPDX-License-Identifier: Apache-2.0
"""The microphone on its way into the call: whole frames, and a few of them in hand.

Pure. The router says a frame each 20 ms by its own clock, and the browser delivers by another one and through a busy
page. So some frames are gathered before the first is said; and what the browser's faster clock piles up is dropped.
"""

from __future__ import annotations

from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.audio.framing import Framer

PRIME_FRAMES: Final = 3
"""Frames gathered before speech begins, and again after it ran dry: 60 ms rides out what a page that draws delays."""

MOST_MS: Final = 240
"""Speech in hand beyond which frames are dropped: later than that, the bot would answer somebody of the past."""


class Microphone:
    """Frames of one call.

    Args:
        frame_bytes: Size of a frame.
    """

    def __init__(self, frame_bytes: int) -> None:
        self._framer = Framer(frame_bytes)
        self._gathered: list[bytes] = []
        self.dropped_frames = 0

    def push(self, pcm: bytes, unsaid_ms: float) -> tuple[bytes, ...]:
        """Take what the browser recorded.

        Args:
            pcm: Its samples, of any number.
            unsaid_ms: Speech that the call has in hand.

        Returns:
            Frames to say now.
        """
        frames = self._framer.push(pcm)
        if unsaid_ms + len(self._gathered) * FRAME_MS > MOST_MS:
            self.dropped_frames += len(frames)
            return ()
        self._gathered += frames
        if unsaid_ms == 0 and len(self._gathered) < PRIME_FRAMES:
            return ()
        ready = tuple(self._gathered)
        self._gathered.clear()
        return ready
