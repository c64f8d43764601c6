# SPDX-License-Identifier: Apache-2.0
"""Minutes on this machine: the form of a sentence says what it may be, its meaning whether it is."""

from __future__ import annotations

from collections.abc import Sequence
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


class Rules:
    """A `notes.minutes.Summariser` that needs no network.

    It understands English, and what is said in one sentence; "let us do that" is nothing to it.

    Args:
        embedder: Tells what means the same.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._examples: list[Vector] = []
        self._known: dict[str, Vector] = {}

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
        speakers = list(dict.fromkeys(line.speaker for line in said))
        pairs = [(line, sentence) for line in said for sentence in sentences(line.text)]
        await self._learn([sentence for _, sentence in pairs])
        decisions: list[Decision] = []
        actions: list[Action] = []
        for line, sentence in pairs:
            decision, action, neither = self._likeness(sentence)
            task = task_of(sentence, line.speaker, speakers, today)
            if task is not None and action > neither and (task.owner is not None or action > decision):
                actions.append(Action(task.task, task.owner, line, task.due, task.due_on))
            elif may_decide(sentence) and decision > neither:
                self._decide(decisions, Decision(without_fillers(sentence), line))
        return Minutes(decisions, actions)

    async def _learn(self, texts: Sequence[str]) -> None:
        """Embed what is new; a meeting is summarised again with each thing that is said."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            rows = await self._embedder.embed(new)
            now = dict.fromkeys(texts)
            self._known = {text: row for text, row in self._known.items() if text in now}
            self._known.update(zip(new, rows, strict=True))

    def _likeness(self, sentence: str) -> list[float]:
        return [float(np.max(rows @ self._known[sentence])) for rows in self._examples]

    def _decide(self, decisions: list[Decision], decision: Decision) -> None:
        row = self._row(decision.text)
        for place, before in enumerate(decisions):
            if float(self._row(before.text) @ row) >= SAME:
                decisions[place] = decision  # the later word counts
                return
        decisions.append(decision)

    def _row(self, text: str) -> Vector:
        return next(row for known, row in self._known.items() if without_fillers(known) == text)
