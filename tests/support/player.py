# SPDX-License-Identifier: Apache-2.0
"""A `PlaybackQueue` in virtual time, driven as a loop drives it, and an independent idea of what a router hears."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.playback.background import Background
from audio_connector.playback.queue import PlaybackEvent, PlaybackQueue
from audio_connector.playback.schedule import NO_LIMIT, Schedule
from audio_connector.playback.speech import PLAIN, Answered, Beside, Finished, Flushed, Interrupted, Played

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
    is_beside: bool = False
    """It is of no utterance."""


def heard_until(sent: list[Sent], now: float) -> int:
    """How many of these frames a router has played to their end: each starts when it is there and it is its turn.

    Knows nothing of runs and anchors, so that it can be compared with what does.
    """
    end_at, heard = float("-inf"), 0
    for frame in sent:
        end_at = max(frame.at, end_at) + FRAME_S
        if end_at <= now + ROUNDING_S:
            heard += not frame.is_beside
    return heard


def begun_until(sent: list[Sent], now: float) -> tuple[int, float]:
    """How many of these frames, of whatever kind, such a router has begun to play; and when the last of them ends."""
    end_at = float("-inf")
    for begun, frame in enumerate(sent):
        begins_at = max(frame.at, end_at)
        if begins_at > now + ROUNDING_S:
            return begun, end_at
        end_at = begins_at + FRAME_S
    return len(sent), end_at


class Player:
    """Runs a queue: it wakes at its deadlines and at no other time, but for what is asked.

    Args:
        rate_hz: Of the connection; None where it is not known yet: see `settle`.
        lead_s: As `Schedule`; so are ``prime_s`` and ``pause_s``.
        max_bytes: As `PlaybackQueue`; so is ``max_delay_s``.
        now: When it begins.
        fade_s: As `PlaybackQueue`; so is ``flush_fade_s``.
    """

    def __init__(
        self,
        rate_hz: int | None = 16000,
        *,
        lead_s: float = 0.2,
        prime_s: float = 0.1,
        pause_s: float = 0.4,
        max_bytes: int = 1 << 40,
        max_delay_s: float | None = None,
        now: float = 5000.0,
        fade_s: float = 0.0,
        flush_fade_s: float = 0.0,
        can_clear: bool = True,
    ) -> None:
        self.schedule = Schedule(lead_s=lead_s, prime_s=prime_s, pause_s=pause_s)
        self.queue = PlaybackQueue(
            self.schedule,
            max_bytes=max_bytes,
            max_delay_s=max_delay_s,
            fade_s=fade_s,
            flush_fade_s=flush_fade_s,
            can_clear=can_clear,
        )
        self.start = self.now = now
        self.sent: list[Sent] = []
        self.events: list[tuple[float, PlaybackEvent]] = []
        self.wakes = 0
        if rate_hz is not None:
            self.settle(rate_hz)

    @property
    def frame_bytes(self) -> int:
        return self.schedule.frame_bytes

    @property
    def frames(self) -> list[bytes]:
        """Those of utterances."""
        return self.frames_from(0)

    def frames_from(self, index: int) -> list[bytes]:
        """Those of utterances among what was sent from then on."""
        return [sent.frame for sent in self.sent[index:] if not sent.is_beside]

    def drop_last(self, count: int) -> None:
        """So many of these were never sent, nor what is behind the first of them."""
        said = [at for at, sent in enumerate(self.sent) if not sent.is_beside]
        if count:
            del self.sent[said[-count] :]

    @property
    def heard(self) -> int:
        """Frames that the router has played, by the independent idea of it."""
        return heard_until(self.sent, self.now)

    @property
    def played_ms(self) -> float:
        return self.schedule.progress().played_ms(self.now)

    def advance(self, limit: int = NO_LIMIT) -> list[bytes]:
        frames = self.queue.advance(self.now, limit)
        for frame in frames:
            is_beside = isinstance(frame, Beside)
            self.sent.append(Sent(self.now, frame.pcm if is_beside else frame, is_beside))
        self.events += [(self.now, event) for event in self.queue.events]
        self.queue.events.clear()
        return frames

    def settle(self, rate_hz: int) -> None:
        self.queue.settle(AudioFormat(rate_hz), self.now)
        self.release()

    def hold(self) -> None:
        self.schedule.is_held = True

    def release(self) -> None:
        self.schedule.is_held = False
        self.advance()

    # What an application asks.

    def begin(self, lane: int) -> None:
        self.queue.begin(lane, self.now)
        self.advance()

    def write(self, lane: int, pcm: bytes, rate_hz: int | None = None, *, is_end: bool = False) -> None:
        self.queue.write(lane, pcm, rate_hz, self.now, is_end=is_end)
        self.advance()

    def write_plain(self, pcm: bytes, rate_hz: int | None = None) -> None:
        self.write(PLAIN, pcm, rate_hz)

    def end(self, lane: int) -> None:
        self.queue.end(lane, self.now)
        self.advance()

    def say(self, lane: int, pcm: bytes, rate_hz: int | None = None) -> None:
        """A whole speech."""
        self.queue.begin(lane, self.now)
        self.queue.write(lane, pcm, rate_hz, self.now)
        self.end(lane)

    def stand(self, lane: int, token: int, *, is_end: bool = False) -> None:
        """Wait for room."""
        self.queue.ask(lane, token, self.now, is_end=is_end)
        self.advance()

    def write_granted(
        self, token: int, pcm: bytes, rate_hz: int | None = None, *, has_more: bool = False
    ) -> None:
        self.queue.write_granted(token, pcm, rate_hz, self.now, has_more=has_more)
        self.advance()

    def leave(self, token: int) -> None:
        self.queue.leave(token, self.now)
        self.advance()

    def wait(self, token: int, *, inside: int | None = None) -> None:
        self.queue.wait(token, self.now, inside=inside)
        self.advance()

    def pause(self, lane: int, token: int = 0, *, since: int = 0) -> bool:
        """At a router that obeys clear, which has what was sent ``since`` then. True where it was told to."""
        is_cleared = self.queue.pause(lane, token, self.now)
        if is_cleared:
            self.clear(since)
        self.advance()
        return is_cleared

    def clear(self, since: int = 0) -> float:
        """The router drops what it has not begun to play; returns when that ends which it plays."""
        begun, ends_at = begun_until(self.sent[since:], self.now)
        del self.sent[since + begun :]
        return ends_at

    def go_on(self, lane: int) -> None:
        self.queue.go_on(lane, self.now)
        self.advance()

    def play_under(self, pcm: bytes, *, number: int = 77, volume: float = 1.0, duck: float = 1.0) -> None:
        """A background of one piece."""
        background = Background(number, self.schedule.format.rate_hz, volume=volume, duck=duck)
        self.queue.beside.add(background, pcm, is_last=True)
        self.advance()

    def stop_under(self, token: int, fade_s: float = 0.0, *, number: int = 77) -> None:
        self.queue.beside.stop(number, fade_s, token)
        self.queue.take_answers()
        self.advance()

    def flush(self) -> Flushed:
        flushed = self.queue.flush(self.now)
        self.advance()
        return flushed

    # Time.

    def run_until(self, now: float) -> None:
        """Sleep from deadline to deadline; each wake-up has to make the next deadline later than itself."""
        while (deadline := self.queue.next_deadline()) <= now:
            self.now = max(self.now, deadline)
            self.wakes += 1
            self.advance()
            after = self.queue.next_deadline()
            assert after > self.now, f"woken at {self.now!r} for {after!r}: a busy loop"
        self.now = max(self.now, now)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def run_out(self, *, at_most_s: float = 100_000.0) -> None:
        """Go on until there is no deadline left."""
        for _ in itertools.count():
            deadline = self.queue.next_deadline()
            if deadline == math.inf:
                return
            assert deadline < self.start + at_most_s, "this never ends"
            self.run_until(deadline)

    # What came to pass.

    def ends(self) -> dict[int, Played | Interrupted]:
        """How each speech ended, in the order in which they did."""
        finished = [event for _, event in self.events if isinstance(event, Finished)]
        ends = {event.lane: event.outcome for event in finished}
        assert len(ends) == len(finished), "a speech ended twice"
        return ends

    def answers(self, token: int) -> list[object]:
        """What was answered under a number."""
        return [
            event.value for _, event in self.events if isinstance(event, Answered) and event.token == token
        ]

    def waits(self) -> dict[int, tuple[float, Played | Interrupted]]:
        """When each wait for something to be heard was answered, and how."""
        reached = [
            (at, event.token, event.value)
            for at, event in self.events
            if isinstance(event, Answered) and isinstance(event.value, Played | Interrupted)
        ]
        waits = {token: (at, outcome) for at, token, outcome in reached}
        assert len(waits) == len(reached), "a wait was answered twice"
        return waits

    def errors(self) -> list[Exception]:
        return [event for _, event in self.events if isinstance(event, Exception)]

    def warnings(self) -> list[tuple[float, str]]:
        return [(at, event) for at, event in self.events if isinstance(event, str)]
