# SPDX-License-Identifier: Apache-2.0
"""Whether somebody said something, by its words or by what they mean."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from audio_connector.simulator.talk.persona import Meant
from audio_connector.simulator.talk.ports import Embedder
from audio_connector.simulator.talk.words import folded

LEAST_ALIKE: Final = 0.6
"""Cosine from which on two sentences mean about the same to MiniLM. Of the pairs in tests/apps/test_talking.py it
finds 10 of 12 that do, and takes 2 of 10 that do not: a sentence and its negation are as alike as two paraphrases."""

LEAST_SHARE: Final = 0.6
"""Without an engine: so many of the sentence's words were said. It takes "not booked" for "booked": a crutch."""

_SENTENCE_END: Final = re.compile(r"(?<=[.!?\u3002\uff1f\uff01])\s*")


class Meaning:
    """Judges texts.

    Args:
        embedder: Knows what they mean; their words are compared without one.
    """

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder

    @property
    def judged_by(self) -> str:
        """How: "meaning" or "words"."""
        return "words" if self._embedder is None else "meaning"

    async def found(self, meant: Meant, text: str) -> bool:
        """Whether a text has what is looked for."""
        if meant.meaning is None:
            return meant.found_in(text)
        return await self.says(text, meant.meaning)

    async def says(self, text: str, meaning: str) -> bool:
        """Whether a sentence of a text means about the same as another one, or two sentences in a row."""
        if self._embedder is None:
            return share_of(meaning, text) >= LEAST_SHARE
        sentences = sentences_of(text)
        if not sentences:
            return False
        pairs = [" ".join(pair) for pair in pairwise(sentences)]
        rows = await self._embedder.embed([meaning, *sentences, *pairs])
        return bool(max(float(row @ rows[0]) for row in rows[1:]) >= LEAST_ALIKE)


def share_of(meaning: str, text: str) -> float:
    """The share of a sentence's words that a text has."""
    wanted, got = folded(meaning), set(folded(text))
    return sum(word in got for word in wanted) / len(wanted) if wanted else 0.0


def sentences_of(text: str) -> list[str]:
    """The sentences of a text that have words."""
    return [sentence for sentence in _SENTENCE_END.split(text) if folded(sentence)]
