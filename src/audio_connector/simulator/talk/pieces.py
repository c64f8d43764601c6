# SPDX-License-Identifier: Apache-2.0
"""Cuts what a session hears of the bot into pieces that a recogniser can take, where the bot is silent. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.activity import is_loud

_FRAME_S: Final = FRAME_MS / 1000

PAUSE_S: Final = 0.5
"""Silence that ends a piece: the bot has ended a sentence, or lost its thread."""

LONG_S: Final = 10.0
"""From here on a pause between two words ends it too; recognisers take up to 30 s at once."""

SHORT_PAUSE_S: Final = 0.12
LONGEST_S: Final = 25.0
"""Where not even such a pause came, the piece ends in the middle of a word."""

LEAST_LOUD_FRAMES: Final = 3
"""A piece with less sound is a click; recognisers make words of clicks."""

_LEAD_FRAMES: Final = 10  # kept before the first loud frame: consonants begin softly
_TRAIL_FRAMES: Final = 10  # kept behind the last one, for the same reason


@dataclass(frozen=True, slots=True)
class Piece:
    """What the bot said from pause to pause.

    Attributes:
        at_s: When its first sound was heard, in seconds since the connection was made.
        end_s: When its last sound ended.
        pcm: 16-bit PCM, with a little silence at both ends.
    """

    at_s: float
    end_s: float
    pcm: bytes


class PieceCutter:
    """Takes frames as they are heard, and gives pieces."""

    def __init__(self) -> None:
        self._lead: deque[bytes] = deque(maxlen=_LEAD_FRAMES)
        self._frames: list[bytes] = []
        self._loud = 0
        self._loud_until = 0
        self._began_s: float | None = None
        self._sound_until_s = 0.0

    @property
    def open_since_s(self) -> float | None:
        """When the piece began that is being said; None between two of them."""
        return self._began_s

    def feed(self, frame: bytes, at_s: float) -> Piece | None:
        """Take a frame that is heard from ``at_s`` on; return the piece that ended before it, or with it."""
        ended = self.look(at_s)
        loud = is_loud(frame)
        if self._began_s is None:
            if not loud:
                self._lead.append(frame)
                return ended
            self._began_s = at_s
            self._frames = list(self._lead)
            self._lead.clear()
        self._frames.append(frame)
        if loud:
            self._loud += 1
            self._loud_until = len(self._frames)
            self._sound_until_s = at_s + _FRAME_S
        if at_s + _FRAME_S - self._began_s >= LONGEST_S:
            return ended or self.finish()  # never both: a piece that has just begun is short
        return ended

    def look(self, now_s: float) -> Piece | None:
        """Return the piece that silence has ended by now."""
        if self._began_s is None:
            return None
        is_long = self._sound_until_s - self._began_s >= LONG_S
        pause_s = SHORT_PAUSE_S if is_long else PAUSE_S
        # Half a frame: times are products of floats.
        return self.finish() if now_s - self._sound_until_s >= pause_s - _FRAME_S / 2 else None

    def finish(self) -> Piece | None:
        """End the piece that is being said."""
        if self._began_s is None:
            return None
        piece = Piece(
            self._began_s,
            self._sound_until_s,
            b"".join(self._frames[: self._loud_until + _TRAIL_FRAMES]),
        )
        is_click = self._loud < LEAST_LOUD_FRAMES
        self._began_s, self._frames, self._loud = None, [], 0
        return None if is_click else piece
