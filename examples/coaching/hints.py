# SPDX-License-Identifier: Apache-2.0
"""When the agent is told something: rules over `Floor` and over what was understood, without a clock or a loop.

A hint has a cause, which is a time of the call, and is given once for it; one kind is not given again within
`Limits.repeat_after_s`. Nagging is worse than silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from audio_connector.errors import UsageError
from audio_connector.validation import FrozenValues
from coaching.floor import AGENT, CUSTOMER, Floor

Seconds = Annotated[float, Field(gt=0, le=36_000)]


class Limits(FrozenValues):
    """When a hint is given; the table ``[hints]`` of the settings.

    Attributes:
        talk_s: The agent has talked for so long, and the customer said nothing but "mhm".
        words_per_minute: The agent speaks faster than this. Conversation has 120 to 160, a reader 170.
        pace_words: Of fewer words the pace is not told.
        silence_s: Nobody has spoken for so long.
        remind_after_s: What is missing of the checklist is told then, or when somebody says goodbye.
        repeat_after_s: The same kind is told again after so long at the earliest.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    talk_s: Seconds = 25
    words_per_minute: Annotated[float, Field(gt=0, le=1000)] = 185
    pace_words: Annotated[int, Field(ge=1, le=1000)] = 15
    silence_s: Seconds = 5
    remind_after_s: Seconds = 240
    repeat_after_s: Annotated[float, Field(ge=0, le=36_000)] = 20


@dataclass(frozen=True)
class Hint:
    """What the agent is told: ``cause_s`` is when its cause was complete, on the clock of the session."""

    rule: str
    text: str
    cause_s: float


class Rules:
    """Decides which hints are due; each method returns those that are due now."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._given_s: dict[str, float] = {}
        self._turn_told_s = self._quiet_told_s = -1.0
        self._interruptions = 0
        self._has_reminded = False

    def look(self, floor: Floor, *, together_s: float | None) -> list[Hint]:
        """Look who has the floor.

        Args:
            floor: Of the call.
            together_s: Since when both sides are there: who waits for the other one need not talk. None while one is
                not.
        """
        limits, due = self._limits, []
        talks = floor.turn_role == AGENT and floor.monologue_s >= limits.talk_s
        if talks and floor.turn_start_s != self._turn_told_s:
            self._turn_told_s = floor.turn_start_s
            text = f"You have talked for {limits.talk_s:.0f} s. Ask a question."
            due += self._give("talks long", text, floor.turn_start_s + limits.talk_s)
        if floor.quiet_since_s is not None and together_s is not None:
            since_s = max(floor.quiet_since_s, together_s)
            if floor.now_s - since_s >= limits.silence_s and since_s != self._quiet_told_s:
                self._quiet_told_s = since_s
                text = f"Nobody has spoken for {limits.silence_s:.0f} s. Say what you are doing."
                due += self._give("silence", text, since_s + limits.silence_s)
        if floor.interrupted[AGENT] > self._interruptions:
            self._interruptions = floor.interrupted[AGENT]
            latest = next(each for each in reversed(floor.interruptions) if each.by == AGENT)
            due += self._give("interrupts", "You spoke over the customer. Let them finish.", latest.at_s)
        return due

    def pace(self, floor: Floor, end_s: float) -> list[Hint]:
        """Look at the agent's pace, after an utterance that ended then."""
        pace, words = floor.recent_pace(AGENT)
        if pace <= self._limits.words_per_minute or words < self._limits.pace_words:
            return []
        return self._give("fast", f"You speak {pace:.0f} words a minute. Slow down.", end_s)

    def upset(self, sentence: str, end_s: float) -> list[Hint]:
        """The customer has said something that upset people say."""
        return self._give("upset", f"The {CUSTOMER} is upset: “{sentence}” Say that you understand.", end_s)

    def missing(self, names: Sequence[str], *, now_s: float, closed_s: float | None) -> list[Hint]:
        """Tell what of the checklist is missing, once, towards the end of the call.

        Args:
            names: What is missing.
            now_s: The clock of the session.
            closed_s: When somebody said goodbye; None where nobody has.
        """
        cause_s = self._limits.remind_after_s if closed_s is None else closed_s
        if self._has_reminded or now_s < cause_s:
            return []
        self._has_reminded = True
        return self._give("missing", "Not said yet: " + "; ".join(names) + ".", cause_s) if names else []

    def _give(self, rule: str, text: str, cause_s: float) -> list[Hint]:
        given_s = self._given_s.get(rule)
        if given_s is not None and cause_s - given_s < self._limits.repeat_after_s:
            return []
        self._given_s[rule] = cause_s
        return [Hint(rule, text, cause_s)]
