# SPDX-License-Identifier: Apache-2.0
"""What was said in a call, as far as it was heard, and what each turn took. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audio_connector.engines import Message

CUT = "\N{EM DASH}"
"""Behind what was interrupted: a chat model reads it as that."""

STAGES = ("pause", "text", "answer", "voice")
"""From the end of speech: the pause that ends the turn is over, it is understood, the first sentence is known, and
its first sound is sent."""


@dataclass
class Said:
    """What we say, sentence by sentence, with the audio that was written of each.

    A text that is empty is sound that nobody has to remember.
    """

    parts: list[tuple[str, float]] = field(default_factory=list)

    def add(self, sentence: str, audio_ms: float) -> None:
        """More audio of a sentence was written."""
        if self.parts and self.parts[-1][0] == sentence:
            audio_ms += self.parts.pop()[1]
        self.parts.append((sentence, audio_ms))

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(sentence for sentence, _ in self.parts if sentence)

    def split(self, played_ms: float) -> tuple[str, str]:
        """Return what was heard in so much time, and what was not.

        A synthesiser does not tell when it says a word, so within a sentence words are taken to last as long as they
        are; a word counts once all of it was heard.
        """
        heard: list[str] = []
        unheard: list[str] = []
        for sentence, audio_ms in self.parts:
            words = sentence.split()
            share = min(1.0, max(0.0, played_ms / audio_ms)) if audio_ms else 1.0
            count = _words_within(words, share)
            heard += words[:count]
            unheard += words[count:]
            played_ms -= audio_ms
        return " ".join(heard), " ".join(unheard)


def _words_within(words: Sequence[str], share: float) -> int:
    characters = share * (sum(map(len, words)) + len(words)) + 1e-6
    for count, word in enumerate(words):
        characters -= len(word) + 1
        if characters < 0:
            return count
    return len(words)


class Memory:
    """A conversation as both sides have heard it, the latest of it.

    Args:
        max_messages: So many are kept.
    """

    def __init__(self, max_messages: int) -> None:
        self._messages: deque[Message] = deque(maxlen=max_messages)
        self.unheard = ""
        """What was cut of what we said latest."""

    @property
    def messages(self) -> list[Message]:
        """The oldest first."""
        return list(self._messages)

    @property
    def has_question(self) -> bool:
        """Whether the caller has said something that was not answered."""
        return bool(self._messages) and self._messages[-1].role == "user"

    def with_caller(self, text: str) -> list[Message]:
        """The messages as they will be once the caller has said this."""
        return [*self._messages, Message("user", text)]

    def add_caller(self, text: str) -> None:
        """The caller has said something."""
        self._messages.append(Message("user", text))
        self.unheard = ""

    def add_ours(self, said: Said, played_ms: float | None) -> tuple[str, str]:
        """We have said something; returns what was heard of it, and what was not.

        Args:
            said: All of it.
            played_ms: So much of it was heard; None for all of it.
        """
        heard, unheard = (said.text, "") if played_ms is None else said.split(played_ms)
        self.unheard = unheard
        if heard:
            self._messages.append(Message("assistant", f"{heard}{CUT}" if unheard else heard))
        return heard, unheard


@dataclass
class Turn:
    """What the caller said and we answered, and when, in seconds of the loop's clock.

    Attributes:
        number: Of the call's turns, from 1 on.
        ended_at: When the caller fell silent.
        reached: When each of `STAGES` was reached.
        caller: What the caller was understood to say.
        heard: What was heard of the answer.
        unheard: What was not, since the caller interrupted it.
    """

    number: int
    ended_at: float
    reached: dict[str, float] = field(default_factory=dict)
    caller: str = ""
    heard: str = ""
    unheard: str = ""

    @property
    def stages_ms(self) -> dict[str, float]:
        """How long each stage took that was reached; one that was ready before the one before it took nothing."""
        before, took = self.ended_at, {}
        for stage in STAGES:
            if stage in self.reached:
                at = max(before, self.reached[stage])
                took[stage] = (at - before) * 1000
                before = at
        return took

    @property
    def is_answered(self) -> bool:
        """Whether it was understood and answered: to say that it was not is quick, and no answer."""
        return bool(self.caller) and "voice" in self.reached

    @property
    def latency_ms(self) -> float | None:
        """From the end of the caller's speech to our first sound; None where there was none."""
        return sum(self.stages_ms.values()) if "voice" in self.reached else None

    def __str__(self) -> str:
        """As a line of a log."""
        stages = " + ".join(f"{name} {took_ms:.0f}" for name, took_ms in self.stages_ms.items())
        total = "no answer" if self.latency_ms is None else f"{self.latency_ms:.0f} ms"
        cut = f" [not heard: {self.unheard}]" if self.unheard else ""
        return f"turn {self.number}: {total} = {stages} | {self.caller!r} -> {self.heard!r}{cut}"


def median_ms(turns: Iterable[Turn]) -> float | None:
    """The median of what turns took from the end of speech to the first sound; None where none was answered."""
    known = [turn.latency_ms for turn in turns if turn.is_answered and turn.latency_ms is not None]
    return statistics.median(known) if known else None
