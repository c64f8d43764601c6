# SPDX-License-Identifier: Apache-2.0
"""What was meant, whatever the words: groups of example phrases, and an `Embedder` that says what is near to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audio_connector.engines import Embedder, Vector

MAX_SENTENCES: Final = 12
"""Of one utterance: what a turn of ten seconds has, and more."""

MIN_WORDS: Final = 2
"""A single word is near to everything and means nothing."""


@dataclass(frozen=True)
class Match:
    """A sentence that is near to a group: ``likeness`` is that of its nearest phrase, -1 to 1."""

    group: str
    sentence: str
    likeness: float


class Meanings:
    """Groups of phrases; each is embedded once.

    Args:
        embedder: Warm by the time of the first question.
        groups: Phrases by the name of their group.
        threshold: From which likeness on a sentence counts.
    """

    def __init__(self, embedder: Embedder, groups: Mapping[str, Sequence[str]], *, threshold: float) -> None:
        self._embedder = embedder
        self._names = [name for name, phrases in groups.items() for _ in phrases]
        self._phrases = [phrase for phrases in groups.values() for phrase in phrases]
        self._threshold = threshold
        self._rows: Vector | None = None

    async def warm(self) -> None:
        """Embed the phrases.

        Raises:
            EngineError: The embedder fails.
        """
        if self._rows is None:
            self._rows = await self._embedder.embed(self._phrases)

    async def find(self, text: str) -> dict[str, Match]:
        """Return the groups that something in a text is near to, with the nearest of its sentences.

        Raises:
            EngineError: The embedder fails.
        """
        sentences = sentences_of(text)
        if not sentences or not self._phrases:
            return {}
        await self.warm()
        if self._rows is None:  # cannot be
            return {}
        alike = await self._embedder.embed(sentences) @ self._rows.T
        found: dict[str, Match] = {}
        for column, group in enumerate(self._names):
            row = int(np.argmax(alike[:, column]))
            likeness = float(alike[row, column])
            if likeness >= self._threshold and (group not in found or found[group].likeness < likeness):
                found[group] = Match(group, sentences[row], round(likeness, 3))
        return found


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, and where there are several all of it: what was said may be spread over them."""
    parts = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text.strip())]
    sentences = [part for part in parts if len(part.split()) >= MIN_WORDS][: MAX_SENTENCES - 1]
    return [*sentences, text.strip()] if len(sentences) > 1 else sentences
