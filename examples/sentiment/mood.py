# SPDX-License-Identifier: Apache-2.0
"""One mood out of words and tone. No clock, no model.

Words say whether something is good or bad. Tone says how much somebody is moved, and not which way: joy and anger
are both loud, high and fast. So tone never changes the sign, it makes it more; and it is measured against the
speaker's own utterances, since one person's shout is another one's voice.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, TypeAlias

from sentiment.tone import Tone

Label: TypeAlias = Literal["angry", "unhappy", "neutral", "content", "delighted"]

KEPT: Final = 20
"""Utterances that a speaker is compared with, the latest: moods change slower than that, lines do not."""

NEEDED: Final = 2
"""Before so many, nothing is known about a speaker, and the tone counts for nothing."""

FULL_LEVEL_DB: Final = 6.0
FULL_PITCH_ST: Final = 4.0
FULL_PACE: Final = 0.4
"""What is as moved as can be, each: twice the sound pressure, a third higher, four tenths faster than usual."""

MOVED: Final = 0.35
SIGN: Final = 0.3
"""Below it, good and bad are noise: of sentences that are neither, most are."""

SMOOTH: Final = 0.5
"""Of the curve: how much the latest utterance counts."""


@dataclass(frozen=True)
class Utterance:
    """Something that was said, how, and what that makes.

    Args:
        start_s: When it began.
        end_s: When it ended.
        text: What was understood.
        tone: How it was said.
        pace: Words a minute.
        valence: What it says, -1 to 1.
        arousal: How moved the speaker is, against their own usual: -1 to 1.
        mood: Both together, -1 to 1.
        label: The same in a word.
        curve: The mood of the call up to here.
    """

    start_s: float
    end_s: float
    text: str
    tone: Tone
    pace: float
    valence: float
    arousal: float
    mood: float
    label: Label
    curve: float


class Moods:
    """The moods of one speaker, in the order of what they said."""

    def __init__(self) -> None:
        self._usual: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        self._curve = 0.0

    def take(self, start_s: float, end_s: float, *, text: str, tone: Tone, valence: float) -> Utterance:
        """Take the next utterance."""
        pace = 60 * len(text.split()) / (end_s - start_s) if end_s > start_s else 0.0
        arousal = self._arousal(tone, pace)
        mood = max(-1.0, min(1.0, valence * (1 + 0.5 * arousal)))
        self._curve += SMOOTH * (mood - self._curve)
        return Utterance(
            start_s=start_s,
            end_s=end_s,
            text=text,
            tone=tone,
            pace=round(pace, 1),
            valence=round(valence, 3),
            arousal=round(arousal, 3),
            mood=round(mood, 3),
            label=_label(mood, arousal),
            curve=round(self._curve, 3),
        )

    def _arousal(self, tone: Tone, pace: float) -> float:
        """How far this is from the speaker's usual; what has no pitch or no words is told by the rest."""
        pitch_st = 0.0 if tone.pitch_hz is None else _semitones(tone.pitch_hz)
        known = list(self._usual)
        parts: list[float] = []
        if len(known) >= NEEDED:
            level_db = tone.level_db - median(each[0] for each in known)
            parts.append(_bounded(level_db / FULL_LEVEL_DB))
            pitched = [each[1] for each in known if each[1]]
            if pitch_st and len(pitched) >= NEEDED:
                parts.append(_bounded((pitch_st - median(pitched)) / FULL_PITCH_ST))
            paced = [each[2] for each in known if each[2]]
            if pace and len(paced) >= NEEDED:
                parts.append(_bounded((pace / median(paced) - 1) / FULL_PACE))
        self._usual.append((tone.level_db, pitch_st, pace))
        return sum(parts) / len(parts) if parts else 0.0


def _label(mood: float, arousal: float) -> Label:
    if mood <= -SIGN:
        return "angry" if arousal >= MOVED else "unhappy"
    if mood >= SIGN:
        return "delighted" if arousal >= MOVED else "content"
    return "neutral"


def _semitones(hz: float) -> float:
    return 12 * math.log2(hz)


def _bounded(value: float) -> float:
    return max(-1.0, min(1.0, value))
