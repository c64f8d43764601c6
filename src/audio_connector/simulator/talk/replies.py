# SPDX-License-Identifier: Apache-2.0
"""What a persona says next: the first rule that fits, the chat model, or what it says where it understood nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audio_connector.simulator.talk.meaning import Meaning
from audio_connector.simulator.talk.persona import Meant, Persona
from audio_connector.simulator.talk.ports import Answerer, Message
from audio_connector.simulator.talk.words import MAX_TEXT_CHARS, folded

END_MARK: Final = "[HANG UP]"
"""Where a chat model ends the call."""

MAX_ANSWER_CHARS: Final = 600
"""Most that is said of a chat model's answer, half a minute: nobody on a telephone talks longer at a time."""

_INSTRUCTIONS: Final = (
    "You are {name}, a caller on a telephone. Your goal: {goal}\n"
    "The user messages are what the other side says, as a speech recogniser understood it, with its mistakes. "
    "Answer with what {name} says next: one or two short spoken sentences, no lists, no stage directions. Stay with "
    "your goal; make up plausible details where you are asked. When the goal is reached, or cannot be reached, say "
    "goodbye and end with {mark}."
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes next.

    Attributes:
        text: To be said; empty for nothing.
        press: Keys to be pressed behind it.
        ends: Why the call ends with it; empty where it goes on.
    """

    text: str = ""
    press: str = ""
    ends: str = ""


class Replies:
    """Finds a persona's replies; remembers what it has said already.

    Args:
        persona: Whose.
        meaning: Judges what the bot said.
        answerer: The chat model, where the persona has one.
    """

    def __init__(self, persona: Persona, meaning: Meaning, answerer: Answerer | None = None) -> None:
        self._persona = persona
        self._meaning = meaning
        self._answerer = answerer
        self._used: Counter[int] = Counter()
        self._confused = 0
        self._history: list[Message] = []

    async def reply_to(self, text: str) -> Reply:
        """Return what to answer to a text of the bot."""
        self._history.append(Message("user", text))
        by_rule = await self.by_rule(text)
        if by_rule is not None:
            return by_rule
        if self._answerer is not None:
            return await self._ask(self._answerer)
        said = nth(self._persona.otherwise, self._confused)
        self._confused += 1
        return Reply(said, ends="confusion" if self._confused >= self._persona.gives_up_after else "")

    async def by_rule(self, text: str) -> Reply | None:
        """Return what the first rule that fits answers to a text of the bot; None where none does."""
        for number, rule in enumerate(self._persona.rules):
            if await self._meaning.found(Meant.of(rule.when), text):
                self._confused = 0
                said = nth(rule.say, self._used[number]) if rule.say else ""
                self._used[number] += 1
                return Reply(said, rule.press or "", "rule" if rule.then == "hang_up" else "")
        return None

    def note_said(self, text: str) -> None:
        """The persona said this."""
        if text:
            self._history.append(Message("assistant", text))

    async def _ask(self, answerer: Answerer) -> Reply:
        persona = self._persona
        system = Message("system", _INSTRUCTIONS.format(name=persona.name, goal=persona.goal, mark=END_MARK))
        answer = await answer_of(answerer, [system, *self._history], MAX_ANSWER_CHARS + len(END_MARK))
        text, mark, _ = answer.partition(END_MARK)
        text = " ".join(text.split())[:MAX_ANSWER_CHARS]
        if not folded(text):
            return Reply(ends="model" if mark else "nothing")
        return Reply(text, ends="model" if mark else "")


async def answer_of(answerer: Answerer, messages: Sequence[Message], max_chars: int = MAX_TEXT_CHARS) -> str:
    """The whole answer of a chat model, up to so many characters; it is stopped then."""
    pieces = answerer.answer(messages)
    parts, size = [], 0
    try:
        async for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size >= max_chars:
                break
    finally:
        close = getattr(pieces, "aclose", None)  # an iterator need not be a generator
        if close is not None:
            await close()
    return "".join(parts)


def nth(phrases: Sequence[str], number: int) -> str:
    """The phrase for this time, from 0 on; the last one from its time on."""
    return phrases[min(number, len(phrases) - 1)]
