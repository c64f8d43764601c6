# SPDX-License-Identifier: Apache-2.0
"""What was said: good or bad, by a list of words and by meaning.

VADER knows words ("terrible", "thanks") and what turns them round ("not good"); it has nothing to say about "three
weeks, and nobody answers", which has no bad word. An `Embedder` knows what that is near to, and takes "not good" for
"good". So both are asked.

Of the nearest example alone, "I ordered a lamp three weeks ago, and nobody answers" would be an order. What tells
good from bad across topics is a direction in the space of meanings, which ridge regression finds over all examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from audio_connector.engines import Embedder, EngineMissing, Vector

RIDGE: Final = 0.3
"""How little the examples are trusted one by one: their topics are luck. 0.1 to 0.6 do about as well."""

WORDS_SHARE: Final = 0.5
"""Of the list of words: "yes" and "young" are good words to it, so it has less to say."""

MAX_CHARS: Final = 2000
"""Of an utterance; half a minute of fast speech is 600."""


class WordList(Protocol):
    """Tells by its words whether a text is good or bad."""

    def score(self, text: str) -> float:
        """Return -1, as bad as can be, to 1; 0 where it knows no word of it."""


class Vader:
    """VADER, the word list of C. Hutto and E. Gilbert (MIT); package ``vaderSentiment``.

    Raises:
        EngineMissing: The package is not there.
    """

    def __init__(self) -> None:
        try:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415 - may be missing
        except ImportError as error:
            raise EngineMissing(
                "the list of words is not there", mend="pip install vaderSentiment"
            ) from error
        self._analyser = SentimentIntensityAnalyzer()

    def score(self, text: str) -> float:
        """Return -1 to 1."""
        return float(self._analyser.polarity_scores(text)["compound"])


class Valence:
    """Tells how good or bad a text is.

    Args:
        words: A list of words.
        embedder: Knows meaning.
        good: What people say who are content.
        bad: What people say who are not.
        neutral: What is neither, and near to both: questions, numbers, small talk.
    """

    def __init__(
        self,
        words: WordList,
        embedder: Embedder,
        *,
        good: Sequence[str],
        bad: Sequence[str],
        neutral: Sequence[str],
    ) -> None:
        self._words = words
        self._embedder = embedder
        self._examples = [*good, *bad, *neutral]
        self._values = np.array([1.0] * len(good) + [-1.0] * len(bad) + [0.0] * len(neutral))
        self._direction: Vector | None = None

    async def of(self, text: str) -> float:
        """Return -1 to 1.

        Raises:
            EngineError: The embedder fails.
        """
        text = text.strip()[:MAX_CHARS]
        if not text:
            return 0.0
        return float(np.clip(WORDS_SHARE * self._words.score(text) + await self._meaning(text), -1.0, 1.0))

    async def _meaning(self, text: str) -> float:
        if not self._examples:
            return 0.0
        if self._direction is None:
            rows = await self._embedder.embed(self._examples)
            # In the form that solves for the examples, of which there are fewer than dimensions.
            weights = np.linalg.solve(rows @ rows.T + RIDGE * np.eye(len(rows)), self._values)
            self._direction = (rows.T @ weights).astype(np.float32)
        (row,) = await self._embedder.embed([text])
        return float(row @ self._direction)
