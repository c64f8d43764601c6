# SPDX-License-Identifier: Apache-2.0
"""Words as they are compared: without case and punctuation. Pure.

A recogniser writes "I'd like a table, please." where a test says "id like a table please"; both are the same words
here. What it writes otherwise, "7" for "seven", is not: `Wanted.any` has room for both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from audio_connector.errors import UsageError
from audio_connector.simulator.talk.patterns import is_found
from audio_connector.validation import FrozenValues

MAX_TEXT_CHARS: Final = 2000
"""Most of one text: two minutes of speech."""

MAX_REFERENCE_CHARS: Final = 200_000
"""Most of what a whole call is compared with: six hours of speech have as much."""

_APOSTROPHES: Final = "'\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without blanks: each character counts as a word."""


def folded(text: str) -> tuple[str, ...]:
    """The words of a text, without case and punctuation; apostrophes join, everything else parts."""
    kept = []
    for char in unicodedata.normalize("NFKC", text).casefold():
        if char in _APOSTROPHES:
            continue
        if _UNSPACED.match(char):
            kept.append(f" {char} ")
        else:
            # Marks belong to the letter before them: an accent, or a vowel of Hindi.
            is_kept = char.isalnum() or unicodedata.category(char)[0] == "M"
            kept.append(char if is_kept else " ")
    return tuple("".join(kept).split())


def contains(text: str, phrase: str) -> bool:
    """Whether a text has the words of a phrase, whole and in a row."""
    return f" {' '.join(folded(phrase))} " in f" {' '.join(folded(text))} "


def word_errors(reference: str, heard: str) -> float:
    """The word error rate: words to replace, to leave out and to add, per word of the reference.

    Args:
        reference: What should have been said; with a word in it at least.
        heard: What was understood.

    Returns:
        0 for the same words; 1 where nothing is right, and above where much was added.

    Raises:
        UsageError: The reference has no word.
    """
    wanted, got = folded(reference), folded(heard)
    if not wanted:
        raise UsageError(f"the reference is {reference!r}; expected a text with words in it")
    numbers: dict[str, int] = {}
    rows, columns = (
        np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)
        for words in (wanted, got)
    )
    # Levenshtein's distance, row by row. What a row takes from its own left is a running minimum, once each place
    # has its distance from the beginning subtracted: so a row is a few operations on arrays.
    places = np.arange(len(columns) + 1)
    distances = places.copy()
    for row, word in enumerate(rows, start=1):
        without_left = np.empty_like(distances)
        without_left[0] = row
        without_left[1:] = np.minimum(distances[1:] + 1, distances[:-1] + (columns != word))
        distances = places + np.minimum.accumulate(without_left - places)
    return float(distances[-1]) / len(wanted)


def _as_pattern(value: object) -> object:
    if isinstance(value, str):
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:  # the last two where it is far too much
            raise ValueError(f"no regular expression: {error}") from error
    return value


def _as_phrases(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _has_words(phrases: Sequence[str]) -> None:
    for phrase in phrases:
        if not folded(phrase):
            raise ValueError(f"{phrase!r} has no word in it")


Phrase = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]

if TYPE_CHECKING:  # one is as good as a list, and a list as a tuple, which pydantic makes of it
    Phrases: TypeAlias = Sequence[str]
else:
    Phrases = Annotated[tuple[Phrase, ...], BeforeValidator(_as_phrases), Field(min_length=1, max_length=100)]


class Wanted(FrozenValues):
    """Words that are looked for in what somebody said: one of these.

    Attributes:
        any: One of these phrases; case and punctuation do not count, words do as a whole.
        all: Each of these phrases, in any order.
        pattern: A regular expression (Python's, without regard to case), in the text as it was written.

    Raises:
        UsageError: None of them, or two, or a phrase without a word.
    """

    error_class: ClassVar[type[UsageError]] = UsageError
    ways: ClassVar[tuple[str, ...]] = ("any", "all", "pattern")

    any: Phrases | None = None
    all: Phrases | None = None
    pattern: Annotated[Phrase, BeforeValidator(_as_pattern)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_phrase(cls, value: object) -> object:
        return {"any": (value,)} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one(self) -> Wanted:
        given = [name for name in self.ways if getattr(self, name) is not None]
        if len(given) != 1:
            has = f"has {' and '.join(given)}" if given else "is empty"
            raise ValueError(f"it {has}; expected a phrase, or one of {', '.join(self.ways)}")
        _has_words(self.any or ())
        _has_words(self.all or ())
        return self

    @classmethod
    def of(cls, value: Any) -> Any:  # noqa: ANN401 - whatever a file has; pydantic judges it
        """Take a phrase, or a mapping; what is neither is refused by name, and pydantic judges the rest."""
        if isinstance(value, str):
            return cls(any=(value,))
        if not isinstance(value, dict | Wanted):
            raise ValueError(f"expected a phrase, or a mapping with {', '.join(cls.ways)}")
        return value

    def found_in(self, text: str) -> bool:
        """Whether a text has it."""
        if self.any is not None:
            return any_of(text, self.any)
        if self.all is not None:
            return all(contains(text, phrase) for phrase in self.all)
        return self.pattern is not None and is_found(self.pattern, text)

    def __str__(self) -> str:
        if self.any is not None:
            return " or ".join(map(repr, self.any))
        if self.all is not None:
            return " and ".join(map(repr, self.all))
        return f"/{self.pattern}/"


def any_of(text: str, phrases: Sequence[str]) -> bool:
    """Whether a text has one of the phrases."""
    return any(contains(text, phrase) for phrase in phrases)


if TYPE_CHECKING:  # a phrase and a mapping are as good, which `Wanted.of` takes
    AnyWanted: TypeAlias = Wanted | str | Mapping[str, object]
else:
    AnyWanted = Annotated[Wanted, BeforeValidator(Wanted.of)]
