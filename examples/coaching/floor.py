# SPDX-License-Identifier: Apache-2.0
"""Who has the floor: the figures of a call out of its turns, without a clock or a loop.

The rules:

1. Times are the session's. What one stream tells may be up to half a second behind what the other has told.
2. A *turn* passes to the other side once that has spoken for `REAL_S`: "mhm" takes no turn and ends none.
3. An *interruption*: one begins to speak while the other has spoken for `REAL_S`, goes on for `REAL_S`, and the
   other was still speaking `OVER_S` after that beginning. Who joins in at the last word does not interrupt, and
   who goes on after a breath, `BREATH_S`, does not either, whoever spoke into it.
4. Where two streams have the same role, both count for it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechStarted, TurnEvent

AGENT: Final = "agent"
CUSTOMER: Final = "customer"
ROLES: Final = (AGENT, CUSTOMER)

REAL_S: Final = 0.7
"""Speech that is meant: "mhm", "right", "I see" are shorter."""

OVER_S: Final = 0.3
"""The other one goes on for so long: shorter overlaps are how turns change between people who get along."""

BREATH_S: Final = 1.0

LAPSE_S: Final = 3.0
"""A silence after which somebody begins anew, rather than going on."""

RECENT_S: Final = 20.0
"""Pace is of so much speech, the latest: of one sentence it would be the luck of its words."""

MAX_SPANS: Final = 2000
"""Kept to tell overlaps, and for the timeline of the summary: two hours of one utterance in four seconds."""


@dataclass(frozen=True)
class Span:
    """Somebody spoke."""

    role: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Interruption:
    """Somebody spoke over somebody else, from ``at_s`` on."""

    by: str
    at_s: float


@dataclass
class _Open:
    """An utterance that goes on; ``voice_s`` is its latest sound, ``known_s`` up to where it is known.

    It takes the turn once at most, or two who speak at once would take it from each other all the time.
    """

    role: str
    start_s: float
    voice_s: float
    known_s: float
    is_judged: bool
    has_taken_turn: bool = False


class Floor:
    """Takes what `audio_connector.turns` tells of both sides, and keeps the figures."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.spans: deque[Span] = deque(maxlen=MAX_SPANS)
        self.interruptions: deque[Interruption] = deque(maxlen=MAX_SPANS)
        self.turn_role: str | None = None
        self.turn_start_s = 0.0
        self.quiet_since_s: float | None = 0.0
        """Since when nobody speaks; None while somebody does."""
        self._open: dict[str, _Open] = {}
        self._talk_s = dict.fromkeys(ROLES, 0.0)
        self._turns = dict.fromkeys(ROLES, 0)
        self.interrupted = dict.fromkeys(ROLES, 0)
        self._overlap_s = 0.0
        self._last_voice_s = dict.fromkeys(ROLES, -math.inf)
        self._longest_silence_s = 0.0
        self._silence: tuple[float, float] = (0.0, 0.0)
        """The latest that has ended; whoever is told of later may have begun earlier."""
        self._words = dict.fromkeys(ROLES, 0)
        self._worded_s = dict.fromkeys(ROLES, 0.0)
        self._recent: dict[str, deque[tuple[int, float]]] = {role: deque() for role in ROLES}

    def feed(self, stream_id: str, role: str, event: TurnEvent) -> None:
        """Take what one stream tells."""
        self.now_s = max(self.now_s, event.at_s)
        if isinstance(event, SpeechStarted):
            self._start(stream_id, role, event)
        elif isinstance(event, SpeechGoesOn) and stream_id in self._open:
            ours = self._open[stream_id]
            ours.voice_s, ours.known_s = event.start_s + event.speech_s, event.at_s
            self._pass_turn(ours)
        elif isinstance(event, SpeechEnded) and stream_id in self._open:
            ours = self._open[stream_id]
            ours.voice_s, ours.known_s = event.end_s, event.at_s
            self._pass_turn(ours)
            self._judge()
            self._end(stream_id, ours)
        self._judge()

    def words(self, role: str, count: int, speech_s: float) -> None:
        """Take how many words an utterance had."""
        self._words[role] += count
        self._worded_s[role] += speech_s
        recent = self._recent[role]
        recent.append((count, speech_s))
        while len(recent) > 1 and sum(seconds for _, seconds in recent) - recent[0][1] >= RECENT_S:
            recent.popleft()

    def recent_pace(self, role: str) -> tuple[float, int]:
        """Words a minute of the latest speech, and how many words that is of."""
        count = sum(words for words, _ in self._recent[role])
        seconds = sum(seconds for _, seconds in self._recent[role])
        return (60 * count / seconds if seconds else 0.0), count

    @property
    def monologue_s(self) -> float:
        """How long who has the turn has talked, while they speak; 0 while nobody does."""
        speaks = any(each.role == self.turn_role for each in self._open.values())
        return self.now_s - self.turn_start_s if speaks else 0.0

    def speaking(self) -> list[tuple[str, Span]]:
        """The utterances that go on, by stream."""
        return [(name, Span(each.role, each.start_s, each.voice_s)) for name, each in self._open.items()]

    def figures(self) -> dict[str, Any]:
        """Everything that is counted so far, as JSON holds it."""
        talk_s, overlap_s = dict(self._talk_s), self._overlap_s
        for number, (_, span) in enumerate(self.speaking()):
            talk_s[span.role] += span.end_s - span.start_s
            overlap_s += self._overlap_with(span)
            overlap_s += sum(_shared_s(span, other) for _, other in self.speaking()[:number])
        said_s = sum(talk_s.values())
        return {
            "elapsed_s": round(self.now_s, 1),
            "talk_s": {role: round(talk_s[role], 1) for role in ROLES},
            "share": {role: round(talk_s[role] / said_s, 3) if said_s else 0.0 for role in ROLES},
            "overlap_s": round(overlap_s, 1),
            "silence_s": round(max(0.0, self.now_s - said_s + overlap_s), 1),
            "longest_silence_s": round(self._longest_silence(), 1),
            "interruptions": dict(self.interrupted),
            "turns": dict(self._turns),
            "words_per_minute": {
                role: round(60 * self._words[role] / self._worded_s[role]) if self._worded_s[role] else None
                for role in ROLES
            },
        }

    def _start(self, stream_id: str, role: str, event: SpeechStarted) -> None:
        if self.quiet_since_s is not None:
            self._longest_silence_s = max(self._longest_silence_s, self._silence[1] - self._silence[0])
            self._silence = (self.quiet_since_s, event.start_s)
            if event.start_s - self.quiet_since_s > LAPSE_S:
                self.turn_role = None
            self.quiet_since_s = None
        self._silence = (self._silence[0], min(self._silence[1], event.start_s))
        goes_on = event.start_s - self._last_voice_s[role] < BREATH_S
        began = _Open(role, event.start_s, event.at_s, event.at_s, is_judged=goes_on)
        self._open[stream_id] = began
        self._pass_turn(began)

    def _pass_turn(self, ours: _Open) -> None:
        is_real = ours.voice_s - ours.start_s >= REAL_S
        if ours.has_taken_turn or not (is_real or self.turn_role is None):
            return
        ours.has_taken_turn = True
        if self.turn_role != ours.role:
            self._take_turn(ours.role, ours.start_s)

    def _take_turn(self, role: str, start_s: float) -> None:
        self.turn_role, self.turn_start_s = role, start_s
        self._turns[role] += 1

    def _end(self, stream_id: str, ours: _Open) -> None:
        span = Span(ours.role, ours.start_s, ours.voice_s)
        self._talk_s[ours.role] += span.end_s - span.start_s
        self._overlap_s += self._overlap_with(span)
        self._last_voice_s[ours.role] = max(self._last_voice_s[ours.role], span.end_s)
        self.spans.append(span)
        del self._open[stream_id]
        if ours.role == self.turn_role and (left := [o for o in self._open.values() if o.role != ours.role]):
            self._take_turn(left[0].role, span.end_s)  # they had never stopped
        if not self._open:
            self.quiet_since_s = max(self._last_voice_s.values())

    def _overlap_with(self, span: Span) -> float:
        """How long the other side spoke meanwhile, in what has ended: each pair counts once, by who ends later."""
        return sum(_shared_s(span, other) for other in self.spans if other.end_s > span.start_s)

    def _longest_silence(self) -> float:
        now_s = 0.0 if self.quiet_since_s is None else self.now_s - self.quiet_since_s
        return max(self._longest_silence_s, self._silence[1] - self._silence[0], now_s)

    def _judge(self) -> None:
        """Decide of each utterance once whether it interrupts: both sides have to be known for so long."""
        for ours in self._open.values():
            decided_s = ours.start_s + REAL_S
            if ours.is_judged or ours.voice_s < decided_s:
                continue
            others = [other for other in self._open.values() if other.role != ours.role]
            if any(other.known_s < ours.start_s + OVER_S for other in others):
                continue
            ours.is_judged = True
            spoken = [(other.start_s, other.voice_s) for other in others]
            spoken += [(span.start_s, span.end_s) for span in self.spans if span.role != ours.role]
            if any(
                start_s + REAL_S <= ours.start_s and end_s >= ours.start_s + OVER_S
                for start_s, end_s in spoken
            ):
                self.interrupted[ours.role] += 1
                self.interruptions.append(Interruption(ours.role, ours.start_s))


def _shared_s(one: Span, other: Span) -> float:
    if one.role == other.role:
        return 0.0
    return max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))
