# SPDX-License-Identifier: Apache-2.0
"""One utterance: its frames, how far it got, and how it ended. Bookkeeping only, no clock and no I/O."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from audio_connector.audio.format import FRAME_MS
from audio_connector.audio.framing import Framer

FRAME_S = FRAME_MS / 1000
EPSILON_FRAMES = 1e-6
"""Slack, in frames, for the rounding of float seconds: 20 ns."""


@dataclass(frozen=True, slots=True)
class Played:
    """An utterance was heard to its end.

    Attributes:
        played_ms: Its length as heard, the padding of the last frame included.
    """

    played_ms: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An utterance was cut: by a flush, or because the connection ended.

    Attributes:
        played_ms: What had been heard by then, right within one frame.
        discarded_ms: What was written and never heard.
    """

    played_ms: float
    discarded_ms: float


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush cut off.

    Attributes:
        played_ms: What had been heard of the audio that was cut, from the start of its utterance.
        discarded_ms: What was queued or on its way and will not be heard.
    """

    played_ms: float
    discarded_ms: float


class UtteranceEnded(NamedTuple):
    """An utterance was heard to its end, or was cut."""

    utterance_id: int
    outcome: Played | Interrupted


class TailWanted(NamedTuple):
    """The queue runs dry and the writer holds audio back: it should hand that over now."""

    utterance_id: int


class MarkReached(NamedTuple):
    """All that was written before the mark was set has been heard, or was cut."""

    token: object
    outcome: Played | Interrupted


ScheduleEvent = UtteranceEnded | TailWanted | MarkReached


class Progress(NamedTuple):
    """How far an utterance, or a whole connection, has got: a value that is true at any later time too.

    The side that sends publishes one; whoever holds it works out the played position from a clock.

    Attributes:
        heard_before: Frames heard before the present run.
        anchor_s: When the router starts on the present run; None while nothing plays.
        run_start: Frames of the run that come before this utterance.
        run_sent: Frames of this utterance that were sent in the present run.
        queued_ms: Audio that waits to be sent.
        taken_bytes: Bytes accepted less bytes queued, for backpressure.
        underruns: Gaps heard in the middle of an utterance so far.
    """

    heard_before: int
    anchor_s: float | None
    run_start: int
    run_sent: int
    queued_ms: float
    taken_bytes: int = 0
    underruns: int = 0

    def heard_frames(self, now: float) -> int:
        """Frames heard at a time of the same monotonic clock."""
        return self.heard_before + self._run_heard(now)

    def played_ms(self, now: float) -> float:
        """Milliseconds heard."""
        return float(self.heard_frames(now) * FRAME_MS)

    def in_flight_ms(self, now: float) -> float:
        """Milliseconds sent and not heard yet."""
        return float((self.run_sent - self._run_heard(now)) * FRAME_MS)

    def _run_heard(self, now: float) -> int:
        if self.anchor_s is None:
            return 0
        return min(self.run_sent, max(0, frames_until(now, self.anchor_s) - self.run_start))


NOTHING_PLAYED = Progress(0, None, 0, 0, 0.0)


def frames_until(now: float, anchor_s: float) -> int:
    """Whole frames that fit between the anchor and now."""
    return math.floor((now - anchor_s) / FRAME_S + EPSILON_FRAMES)


class Utterance:
    """The frames of one utterance on the sending side.

    An utterance is *open* until it is ended. An *implicit* one is what plain writes go to: nobody may ever
    end it, so a pause in its audio does.
    """

    __slots__ = (
        "asked_for_tail",
        "framer",
        "frames",
        "has_tail",
        "heard_before",
        "id",
        "is_implicit",
        "is_open",
        "last_write_at",
        "run_sent",
        "run_start",
        "starved_at",
    )

    def __init__(self, utterance_id: int, frame_bytes: int, *, is_implicit: bool) -> None:
        self.id = utterance_id
        self.is_implicit = is_implicit
        self.is_open = True
        self.frames: deque[bytes] = deque()
        self.framer = Framer(frame_bytes)
        self.heard_before = 0
        self.run_start = 0
        self.run_sent = 0
        self.starved_at: float | None = None
        self.last_write_at = 0.0
        self.has_tail = False
        """The writer holds audio back: a resampler's tail, or half a sample."""
        self.asked_for_tail = False

    @property
    def sent(self) -> int:
        """Frames sent since the utterance began."""
        return self.heard_before + self.run_sent

    def start_run(self) -> None:
        """All that was sent has been heard; counting starts anew."""
        self.heard_before += self.run_sent
        self.run_start = self.run_sent = 0

    def rest(self) -> None:
        """A pause ended what was said; what follows is a new utterance under the same id."""
        self.heard_before = self.run_start = self.run_sent = 0
        self.starved_at = None

    def heard(self, run_heard: int) -> int:
        """Frames heard, given how many frames of the present run were."""
        return self.heard_before + min(self.run_sent, max(0, run_heard - self.run_start))

    def unheard_ms(self, run_heard: int) -> float:
        """What was written and has not been heard."""
        frame_count = self.sent - self.heard(run_heard) + len(self.frames)
        return (frame_count + self.framer.pending_bytes / self.framer.frame_bytes) * FRAME_MS
