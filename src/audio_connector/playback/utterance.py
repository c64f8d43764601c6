# SPDX-License-Identifier: Apache-2.0
"""One utterance on the side that sends: its audio, how far it is, and who waits to write more or to hear it.

An utterance is *open* until it is sealed, so that nobody new may write to it, and everybody who was in line has
written, and the router's format is known. Only then it is complete.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.frames import PcmFrames

NEVER = 1 << 62
"""More frames than an utterance has."""


@dataclass(slots=True, eq=False)
class Writer:
    """Somebody who waits for room, in the line of an utterance."""

    token: int
    utterance: Utterance
    behind: int | None = None  # the lane of a speech that only the one who waits can end
    is_granted: bool = False


@dataclass(slots=True, eq=False)
class Mark:
    """Somebody who waits until ``pending`` more utterances are heard so far; of the others ``played_ms`` were."""

    token: int
    pending: int = 0
    played_ms: float = 0.0


class Utterance(PcmFrames):
    """One utterance of a lane: `PLAIN`, or the number of a speech.

    It inherits its audio instead of holding it, since a call more per frame would cost as much as the write does.
    """

    __slots__ = (
        "end_marks", "first", "is_cut", "is_sealed", "lane", "last_write_at", "line", "marks", "paused_at",
        "rested_ms", "said_from", "sent", "starved_at", "waiting_since",
    )  # fmt: skip

    def __init__(self, lane: int, audio_format: AudioFormat | None) -> None:
        super().__init__(audio_format)
        self.lane = lane
        self.line: deque[Writer | Mark] = deque()
        self.is_sealed = False
        self.first = self.sent = 0
        """Its frames follow one another among all that the connection sends: the first, and how many so far."""
        self.said_from = 0  # frames before the latest pause of the speaker, who has begun anew since
        self.rested_ms = 0.0  # what was said before that pause
        self.starved_at: float | None = None
        """Since when the router has nothing of it to play, and had before."""
        self.paused_at: float | None = None
        """Since when nothing of it is to be heard, nor of what comes behind it."""
        self.is_cut = False
        """What was sent of it last was taken back in the middle: where it goes on, it fades in."""
        self.last_write_at = -math.inf
        self.waiting_since: float | None = None
        """Since when the first audio waits that the router has to play next."""
        self.marks: deque[tuple[int, Mark]] = deque()
        """Who waits for so many of its frames to be heard; the earliest first."""
        self.end_marks: list[Mark] = []  # who waits for its end

    def placed_marks(self) -> list[Mark]:
        """Who waits for some of it to be heard, or for all; whoever stands in its line is not among them."""
        return [*(mark for _, mark in self.marks), *self.end_marks]

    def aim_marks(self) -> None:
        """Frames were made anew: whoever waits for some that were not sent yet waits for all that is there."""
        sent, end = self.sent, self.target
        self.marks = deque((target if target <= sent else end, mark) for target, mark in self.marks)

    @property
    def may_complete(self) -> bool:
        """Nothing more comes, the format is known, and it was not completed yet."""
        return self.is_sealed and not self.line and not self.is_complete and self.is_settled

    def forget(self, token: int) -> None:
        """Somebody waits no more, in line or for something to be heard."""
        self.line = deque(entry for entry in self.line if entry.token != token)
        self.marks = deque((target, mark) for target, mark in self.marks if mark.token != token)
        self.end_marks = [mark for mark in self.end_marks if mark.token != token]

    @property
    def end(self) -> int:
        """One more than the last of its frames that was sent."""
        return self.first + self.sent

    @property
    def target(self) -> int:
        """How many of its frames hold all that was written so far; `NEVER` before there can be frames."""
        return self.sent + self.frames_in_all if self.frame_bytes else NEVER

    def take_back(self, frames: list[bytes]) -> None:
        """The last ones that were sent are not heard, and wait once more."""
        self.frames.extendleft(reversed(frames))
        self.sent -= len(frames)
        self.is_cut = self.sent > 0

    def rest(self) -> None:
        """A pause ended what was said; what follows is said anew."""
        self.rested_ms, self.said_from = self.said_ms(self.sent), self.sent
        self.starved_at = None
        self.padded_bytes = 0

    def heard(self, heard_in_all: int) -> int:
        """Frames heard, given how many of the connection were."""
        return min(self.sent, max(0, heard_in_all - self.first))

    def said_ms(self, heard: int) -> float:
        """Milliseconds of so many frames heard, since the latest pause."""
        return float((heard - self.said_from) * FRAME_MS)

    def unheard_ms(self, heard_in_all: int, audio_format: AudioFormat) -> float:
        """What was written and has not been heard."""
        frame_ms = (self.sent - self.heard(heard_in_all)) * FRAME_MS
        return frame_ms + audio_format.duration_ms(self.queued_bytes + self.ingest.held_bytes)
