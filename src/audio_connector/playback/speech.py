# SPDX-License-Identifier: Apache-2.0
"""How far an utterance got and how it ended: plain values that cross from the side that sends to whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from audio_connector.audio.format import FRAME_MS

PLAIN = 0
"""The lane of plain writes, which nobody begins: each utterance of it begins with its first write."""

NO_ROOM = "no room"
"""Answered to a writer in line who stands behind a speech that nobody but himself could end."""

FRAME_S = FRAME_MS / 1000
EPSILON_FRAMES = 1e-6
"""Slack, in frames, for the rounding of float seconds: 20 ns."""


@dataclass(frozen=True, slots=True)
class Played:
    """All of it was heard.

    Attributes:
        played_ms: Its length as heard, the padding of the last frame included.
    """

    played_ms: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """It was cut: by a flush, or because the connection ended.

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


class Answered(NamedTuple):
    """The answer: a bool or `NO_ROOM` to a writer in line, milliseconds heard to who pauses, or an outcome."""

    token: int
    value: object


class Finished(NamedTuple):
    """A speech was heard to its end, or was cut."""

    lane: int
    outcome: Played | Interrupted


class Beside(NamedTuple):
    """One frame that is sent and is no utterance's; it is heard from ``at_s`` on."""

    at_s: float
    pcm: bytes


class Progress(NamedTuple):
    """How far an utterance, or a whole connection, has got: a value that is true at any later time too.

    The side that sends publishes one; whoever holds it works out from a clock what was sent and heard since.
    """

    heard_before: int = 0  # frames, before the present run
    anchor_s: float | None = None  # when the router starts on the run; None while nothing plays
    run_start: int = 0  # frames of the run that come before this utterance
    run_sent: int = 0  # frames of this utterance that were sent in the run
    run_floor: int = 0  # frames of the run that were reported as heard: no corrected clock takes them back
    queued_ms: float = 0.0  # audio that waited to be sent
    run_coming: int = 0  # frames of it that are sent in time, even if nothing more is asked
    lead_s: float = 0.0  # so long before it is heard each of them is sent

    def played_ms(self, now: float) -> float:
        """Milliseconds heard at a time of the same monotonic clock."""
        return float((self.heard_before + self._run_heard(now)) * FRAME_MS)

    def in_flight_ms(self, now: float) -> float:
        """Milliseconds sent and not heard yet."""
        return float((self._run_sent(now) - self._run_heard(now)) * FRAME_MS)

    def queued_ms_at(self, now: float) -> float:
        """Milliseconds that wait to be sent."""
        return self.queued_ms - (self._run_sent(now) - self.run_sent) * FRAME_MS

    def _run_sent(self, now: float) -> int:
        if self.anchor_s is None or not self.run_coming:
            return self.run_sent
        due = frames_until(now + self.lead_s, self.anchor_s) + 1 - self.run_start
        return max(self.run_sent, min(due, self.run_sent + self.run_coming))

    def _run_heard(self, now: float) -> int:
        if self.anchor_s is None:
            return 0
        run_heard = max(self.run_floor, frames_until(now, self.anchor_s))
        return min(self._run_sent(now), max(0, run_heard - self.run_start))


NOTHING_PLAYED = Progress()


def frames_until(now: float, anchor_s: float) -> int:
    """Whole frames that fit between the anchor and now."""
    return math.floor((now - anchor_s) / FRAME_S + EPSILON_FRAMES)
