# SPDX-License-Identifier: Apache-2.0
"""A `Schedule` in virtual time, driven as a loop drives it, and an independent idea of what a router hears."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.playback.schedule import Schedule
from audio_connector.playback.speech import (
    Flushed,
    Interrupted,
    MarkReached,
    Played,
    ScheduleEvent,
    TailWanted,
    UtteranceEnded,
)

FRAME_S = 0.02
ROUNDING_S = 1e-7
"""Floats of seconds are not exact; a sample at 24 kHz lasts 42 us."""


def about(at: float) -> Any:
    """The same time but for the rounding."""
    return pytest.approx(at, abs=ROUNDING_S)


@dataclass(frozen=True)
class Sent:
    """A frame that left, and when."""

    at: float
    frame: bytes


def heard_until(sent: list[Sent], now: float) -> int:
    """How many of these frames a router has played to their end: each starts when it is there and it is its turn.

    Knows nothing of runs and anchors, so that it can be compared with what does.
    """
    end_at, heard = float("-inf"), 0
    for frame in sent:
        end_at = max(frame.at, end_at) + FRAME_S
        if end_at <= now + ROUNDING_S:
            heard += 1
    return heard


class Player:
    """Runs a schedule: it wakes at its deadlines and at no other time, but for what is written.

    Args:
        rate_hz: Of the connection.
        lead_s: As `Schedule`; so are ``prime_s`` and ``pause_s``.
        now: When it begins.
    """

    def __init__(
        self,
        rate_hz: int = 16000,
        *,
        lead_s: float = 0.2,
        prime_s: float = 0.1,
        pause_s: float = 0.4,
        now: float = 5000.0,
    ) -> None:
        self.schedule = Schedule(AudioFormat(rate_hz), lead_s=lead_s, prime_s=prime_s, pause_s=pause_s)
        self.start = self.now = now
        self.sent: list[Sent] = []
        self.events: list[tuple[float, ScheduleEvent]] = []
        self.wakes = 0

    @property
    def frame_bytes(self) -> int:
        return self.schedule.format.frame_bytes

    @property
    def frames(self) -> list[bytes]:
        return [sent.frame for sent in self.sent]

    @property
    def heard(self) -> int:
        """Frames that the router has played, by the independent idea of it."""
        return heard_until(self.sent, self.now)

    @property
    def played_ms(self) -> float:
        return self.schedule.progress().played_ms(self.now)

    def advance(self) -> list[bytes]:
        frames = self.schedule.advance(self.now)
        self.sent += [Sent(self.now, frame) for frame in frames]
        self.events += [(self.now, event) for event in self.schedule.events]
        self.schedule.events.clear()
        return frames

    def record(self, frame: bytes) -> None:
        """Note a frame that left by itself."""
        self.sent.append(Sent(self.now, frame))

    def write(self, utterance_id: int, pcm: bytes, *, has_tail: bool = False) -> None:
        self.schedule.write(utterance_id, pcm, self.now, has_tail=has_tail)
        self.advance()

    def end(self, utterance_id: int) -> None:
        self.schedule.end(utterance_id, self.now)
        self.advance()

    def say(self, utterance_id: int, pcm: bytes) -> None:
        """A whole utterance."""
        self.schedule.begin(utterance_id)
        self.schedule.write(utterance_id, pcm, self.now)
        self.end(utterance_id)

    def mark(self, token: object) -> None:
        self.schedule.mark(token, self.now)
        self.advance()

    def flush(self, up_to_id: int) -> Flushed:
        flushed = self.schedule.flush(self.now, up_to_id=up_to_id)
        self.advance()
        return flushed

    def run_until(self, now: float) -> None:
        """Sleep from deadline to deadline; each wake-up has to make the next deadline later than itself."""
        while (deadline := self.schedule.next_deadline()) is not None and deadline <= now:
            self.now = max(self.now, deadline)
            self.wakes += 1
            self.advance()
            after = self.schedule.next_deadline()
            assert after is None or after > self.now, f"woken at {self.now!r} for {after!r}: a busy loop"
        self.now = max(self.now, now)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def run_out(self, *, at_most_s: float = 100_000.0) -> None:
        """Go on until there is no deadline left."""
        for _ in itertools.count():
            deadline = self.schedule.next_deadline()
            if deadline is None:
                return
            assert deadline < self.start + at_most_s, "this never ends"
            self.run_until(deadline)

    # What came to pass.

    def ends(self) -> dict[int, Played | Interrupted]:
        """How each utterance ended, the last time that it did."""
        return {
            event.utterance_id: event.outcome for _, event in self.events if isinstance(event, UtteranceEnded)
        }

    def marks(self) -> dict[object, tuple[float, Played | Interrupted]]:
        """When each mark was reached, and how."""
        reached = [(at, event) for at, event in self.events if isinstance(event, MarkReached)]
        marks = {event.token: (at, event.outcome) for at, event in reached}
        assert len(marks) == len(reached), "a mark was reached twice"
        return marks

    def tail_requests(self) -> list[tuple[float, int]]:
        return [(at, event.utterance_id) for at, event in self.events if isinstance(event, TailWanted)]
