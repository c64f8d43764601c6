# SPDX-License-Identifier: Apache-2.0
"""A caller with a goal, as a value: what it says to what, when it loses patience, and what counts as success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from audio_connector.errors import UsageError
from audio_connector.simulator.script import KEYS, Duration, Number, SayText, Whole
from audio_connector.simulator.talk.words import Phrase, Phrases, Wanted
from audio_connector.validation import FrozenValues

Share = Annotated[Number, Field(ge=0, le=1)]


class Meant(Wanted):
    """Words that are looked for, or what they mean.

    Attributes:
        meaning: A sentence; what was said has to mean about the same. Without an engine for it, most of its words
            have to have been said.
    """

    ways: ClassVar[tuple[str, ...]] = (*Wanted.ways, "meaning")

    meaning: Phrase | None = None

    def __str__(self) -> str:
        return super().__str__() if self.meaning is None else f"the meaning of {self.meaning!r}"


def many(value: Any) -> Any:  # noqa: ANN401 - whatever a file has; pydantic judges it
    """Several, or one of them."""
    return tuple(map(Meant.of, value)) if isinstance(value, list | tuple) else (Meant.of(value),)


if TYPE_CHECKING:  # a phrase and a mapping are as good, which `Meant.of` takes
    AnyMeant: TypeAlias = Meant | str | Mapping[str, object]
    ManyMeant: TypeAlias = AnyMeant | Sequence[AnyMeant]
    Rules: TypeAlias = Sequence["Rule"]
else:
    AnyMeant = Annotated[Meant, BeforeValidator(Meant.of)]
    ManyMeant = Annotated[tuple[Meant, ...], BeforeValidator(many), Field(max_length=100)]
    Rules = tuple["Rule", ...]


class Rule(FrozenValues):
    """What a caller answers to what.

    Attributes:
        when: What the bot has to have said since what the caller answered last: a phrase, or a `Meant`.
        say: The answer; of several, the second time the second, and the last one from then on.
        press: Telephone keys to press after it.
        then: "hang_up" ends the call when it was said.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    when: AnyMeant
    say: Phrases | None = None
    press: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    then: Literal["go_on", "hang_up"] = "go_on"

    @model_validator(mode="after")
    def _does_something(self) -> Rule:
        if self.say is None and self.press is None and self.then == "go_on":
            raise ValueError("the rule does nothing; expected say, press or then: hang_up")
        if self.press is not None and not set(self.press) <= set(KEYS):
            raise ValueError(f"press={self.press!r}: expected telephone keys: 0 to 9, A to D, * or #")
        return self


class Interrupts(FrozenValues):
    """How a caller interrupts.

    Attributes:
        probability: Of each thing that the bot says: how likely it is.
        after_s: So long after the bot has begun, in seconds.
        say: With what; of several, one after the other.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    probability: Share
    after_s: Annotated[Number, Field(ge=0.1, le=60)] = 1.0
    say: Phrases = ("Sorry, one moment.",)


class ChatModel(FrozenValues):
    """A chat model that plays the caller where no rule fits: any server that speaks OpenAI's protocol.

    Attributes:
        model: Its name.
        base_url: Where it is; the vendor's own by default.
        key_env: The variable that has the key; the key itself is never written down. ``OPENAI_API_KEY`` without a
            ``base_url``; a server that a file names gets no key that the file does not name too.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    model: Phrase
    base_url: Phrase | None = None
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class Judge(FrozenValues):
    """What counts as success.

    Attributes:
        goal: A sentence that the bot has to have said, by its meaning: "The table is booked for Friday."
        must: Each of these was said by the bot: phrases, or mappings as `Meant`.
        must_not: None of these was.
        by: How the goal is judged: by "meaning", of single sentences; or by the chat "model", of the whole call.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    goal: Phrase | None = None
    must: ManyMeant = ()
    must_not: ManyMeant = ()
    by: Literal["meaning", "model"] = "meaning"

    @model_validator(mode="after")
    def _judges_something(self) -> Judge:
        if self.goal is None and not self.must and not self.must_not:
            raise ValueError("there is nothing to judge; expected goal, must or must_not")
        return self


class Persona(FrozenValues):
    """A caller with a goal.

    Attributes:
        name: For reports.
        goal: What it wants, in a sentence; a chat model is told so.
        opening: What it says first; without one it waits for the bot to speak.
        voice: The name of its voice; None for the usual one.
        language: ISO 639-1, of what both say.
        patience_s: How long it waits for the bot to say something, in seconds; then it hangs up.
        pause_s: How long the bot has to be silent before it answers, in seconds.
        max_turns: It hangs up after having spoken so often.
        max_s: And after so many seconds.
        rules: What it answers; the first that fits counts.
        otherwise: What it says where no rule fits, and no chat model plays it.
        gives_up_after: It hangs up where so many answers in a row were of `otherwise`.
        goodbye: What it says before it hangs up out of patience.
        interrupts: How it interrupts; never by default.
        model: The chat model that plays it where no rule fits.
        judge: What counts as success; without one, a call that came to a rule with ``then: hang_up``, whoever hangs
            up first, or that the model ended.

    Raises:
        UsageError: A value that it cannot have.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    name: Annotated[str, Field(min_length=1, max_length=100)] = "caller"
    goal: Phrase
    opening: Phrase | None = None
    voice: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    language: Annotated[str, Field(min_length=2, max_length=20)] | None = None
    patience_s: Annotated[Duration, Field(le=300)] = 10.0
    pause_s: Annotated[Number, Field(ge=0.3, le=10)] = 0.8
    max_turns: Annotated[Whole, Field(ge=1, le=500)] = 20
    max_s: Duration = 300.0
    rules: Annotated[Rules, Field(max_length=500)] = ()
    otherwise: Phrases = ("Sorry, could you say that again?",)
    gives_up_after: Annotated[Whole, Field(ge=1, le=100)] = 3
    goodbye: Phrase | None = None
    interrupts: Interrupts | None = None
    model: ChatModel | None = None
    judge: Judge | None = None

    @model_validator(mode="after")
    def _can_talk(self) -> Persona:
        if not self.rules and self.model is None:
            raise ValueError("it has neither rules nor a model; expected 'rules:' or 'model:'")
        if self.judge is None and self.model is None and all(rule.then == "go_on" for rule in self.rules):
            raise ValueError(
                "nothing says when the goal is reached, so every call would fail; expected a rule with "
                "'then: hang_up', or 'judge:'"
            )
        if self.judge is not None and self.judge.by == "model" and self.model is None:
            raise ValueError("judge.by is 'model', and there is no 'model:'; expected one, or by: meaning")
        return self

    @property
    def texts(self) -> tuple[SayText, ...]:
        """What it is known to say, whatever happens."""
        said = [self.opening, *(phrase for rule in self.rules for phrase in rule.say or ())]
        said += [*self.otherwise, self.goodbye, *(() if self.interrupts is None else self.interrupts.say)]
        unique = dict.fromkeys(text for text in said if text is not None)
        return tuple(SayText(text=text, voice=self.voice, language=self.language) for text in unique)

    @property
    def needs_meaning(self) -> bool:
        """Whether anything is judged by meaning."""
        judged = () if self.judge is None else (*many(self.judge.must), *many(self.judge.must_not))
        by_goal = self.judge is not None and self.judge.goal is not None and self.judge.by == "meaning"
        return by_goal or any(each.meaning for each in (*many([rule.when for rule in self.rules]), *judged))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a persona's call ended.

    Attributes:
        goal: What it wanted.
        reached: Whether it got it.
        why: What the judge says, one line each; where it was not reached, what was missing.
        judged_by: "rules", "words", "meaning" or "model".
        turns: How often the persona spoke.
        ended: "rule", "model", "patience", "turns", "time", "confusion", "nothing" where
            its chat model gave no words, or "bot" where the other side hung up.
    """

    goal: str
    reached: bool
    why: tuple[str, ...]
    judged_by: str
    turns: int
    ended: str
