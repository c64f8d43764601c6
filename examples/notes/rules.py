# SPDX-License-Identifier: Apache-2.0
"""Minutes on this machine: the form of a sentence says what it may be, its meaning whether it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from audio_connector.engines import Embedder, Vector
from notes.minutes import Action, Decision, Minutes, Said
from notes.wording import may_decide, sentences, task_of, without_fillers

DECISIONS: Final = (
    "We have decided to do it this way.",
    "Let's go with the second option.",
    "It is agreed, we take the cheaper one.",
    "So we will launch the product in March.",
    "We will use the new supplier from now on.",
    "The decision is to postpone the release.",
)
ACTIONS: Final = (
    "I will send the report by Friday.",
    "Can you please call the customer tomorrow?",
    "Bob, please prepare the slides for the meeting.",
    "You need to update the contract.",
    "Somebody has to book the room.",
    "I will write an email to the team and check the numbers.",
)
NEITHER: Final = (
    "Good morning, how are you?",
    "I can hear you well.",
    "We will see how it goes.",
    "I will never forget that day.",
    "What do you think about it?",
    "The numbers of last month look good.",
    "I agree with you, that is a good point.",
    "Can you explain what you mean?",
    "You can say that again.",
    "Let's begin the meeting with the first point on the agenda.",
    "Thank you all for coming, goodbye.",
)
SAME: Final = 0.85
"""Two decisions that are so much alike are one, said twice."""


@dataclass(frozen=True)
class Meant:
    """What a sentence means: its vector, and how near it is to the nearest example of each kind."""

    row: Vector
    decision: float
    action: float
    neither: float


class Rules:
    """A `notes.minutes.Summariser` that needs no network.

    It understands English, and what is said in one sentence; "let us do that" is nothing to it.

    Args:
        embedder: Tells what means the same.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._examples: list[Vector] = []
        self._known: dict[str, Meant] = {}

    @property
    def name(self) -> str:
        """What progress calls it."""
        return "rules of minutes"

    async def warm(self) -> None:
        """Load the embedder, and have it read the examples."""
        await self._embedder.warm()
        if not self._examples:
            self._examples = [await self._embedder.embed(each) for each in (DECISIONS, ACTIONS, NEITHER)]

    async def close(self) -> None:
        """Close the embedder."""
        await self._embedder.close()

    async def summarise(self, said: Sequence[Said], *, today: date) -> Minutes:
        """Go through it sentence by sentence."""
        await self.warm()
        pairs = [(line, sentence) for line in said for sentence in sentences(line.text)]
        await self._learn([sentence for _, sentence in pairs])
        # Off the loop: of the 5,000 lines of a day it takes a moment.
        return await asyncio.to_thread(self._read, pairs, dict(self._known), today)

    def _read(self, pairs: Sequence[tuple[Said, str]], known: Mapping[str, Meant], today: date) -> Minutes:
        speakers = list(dict.fromkeys(line.speaker for line, _ in pairs))
        decisions: list[tuple[Decision, Vector]] = []
        actions: list[Action] = []
        for line, sentence in pairs:
            meant = known[sentence]
            task = task_of(sentence, line.speaker, speakers, today)
            is_task = task is not None and meant.action > meant.neither
            if is_task and task is not None and (task.owner is not None or meant.action > meant.decision):
                actions.append(Action(task.task, task.owner, line, task.due, task.due_on))
            elif may_decide(sentence) and meant.decision > meant.neither:
                _decide(decisions, Decision(without_fillers(sentence), line), meant.row)
        return Minutes([decision for decision, _ in decisions], actions)

    async def _learn(self, texts: Sequence[str]) -> None:
        """Embed what is new; a meeting is summarised again with each thing that is said."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            rows = await self._embedder.embed(new)
            now = dict.fromkeys(texts)
            self._known = {text: meant for text, meant in self._known.items() if text in now}
            for text, row in zip(new, rows, strict=True):
                self._known[text] = Meant(
                    row, *(float(np.max(examples @ row)) for examples in self._examples)
                )


def _decide(decisions: list[tuple[Decision, Vector]], decision: Decision, row: Vector) -> None:
    for place, (_, before) in enumerate(decisions):
        if float(before @ row) >= SAME:
            decisions[place] = decision, row  # the later word counts
            return
    decisions.append((decision, row))
