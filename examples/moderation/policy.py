# SPDX-License-Identifier: Apache-2.0
"""What is not to be said, and what follows: a policy as a file, and what a text has of it.

The rules of finding words:

1. A text is its words: in any case, without punctuation; "Idiot!" is "idiot". Languages that write no spaces between
   words cannot be searched this way.
2. A rule is a word, or several in a row. A star stands for any letters: "idiot*" finds "idiots" as well. Without one,
   a rule finds whole words only, so that "ass" is not found in "assistant".
3. What lies within a phrase of the ``allow`` list is not found.
4. While somebody speaks, what is understood changes. A finding is *suspected* from the first partial that has it,
   *certain* once the final has it, and *withdrawn* where the final lacks it. It is never deleted.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from audio_connector.engines import Embedder, Engine, Vector
from audio_connector.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Action: TypeAlias = Literal["log", "warn", "mute"]
State: TypeAlias = Literal["suspected", "certain", "withdrawn"]

MOST_SEVERE: Final = 3
_EDGES: Final = re.compile(r"^[^\w*]+|[^\w*]+$")


@dataclass(frozen=True)
class Category:
    """One kind of what is not to be said.

    Attributes:
        name: What it is called in flags.
        severity: From 1 to 3, for who looks at them.
        action: "log" flags only, "warn" speaks a warning into the session, "mute" mutes the stream in the mix.
        acts_on: "final" acts once it is certain, "partial" as soon as it is suspected.
        words: Words and phrases, see the rules above.
        meaning: Sentences; what means about the same is found too, once it was said to its end.
        nearness: How alike the meanings have to be, 0 to 1.
    """

    name: str
    severity: int = 1
    action: Action = "log"
    acts_on: Literal["partial", "final"] = "final"
    words: Sequence[str] = ()
    meaning: Sequence[str] = ()
    nearness: float = 0.6

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            UsageError: A value is none of those that are possible.
        """
        for name, expected in (("action", get_args(Action)), ("acts_on", ("partial", "final"))):
            if getattr(self, name) not in expected:
                raise self._wrong(name, f"one of {', '.join(expected)}")
        if self.severity not in range(1, MOST_SEVERE + 1):
            raise self._wrong("severity", f"1 to {MOST_SEVERE}")
        is_number = isinstance(self.nearness, int | float) and not isinstance(self.nearness, bool)
        if not is_number or not 0 < self.nearness <= 1:
            raise self._wrong("nearness", "a number above 0, up to 1")
        for name in ("words", "meaning"):
            listed = getattr(self, name)
            if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
                raise self._wrong(name, "a list of texts")
        if not all(map(words_of, self.meaning)):  # nothing is near to anything
            raise self._wrong("meaning", "sentences with words in them")
        if not self.words and not self.meaning:
            raise UsageError(
                f"categories.{self.name} finds nothing; expected words = [...] or meaning = [...]"
            )

    def _wrong(self, name: str, expected: str) -> UsageError:
        return UsageError(
            f"categories.{self.name}: got {name} = {getattr(self, name)!r}; expected {expected}"
        )


@dataclass(frozen=True)
class Finding:
    """One place of a text that breaks a rule.

    Attributes:
        category: Whose rule.
        rule: The rule, as the policy has it.
        said: What was said.
        at: Where in the text: 0 at its beginning, 1 at its end.
        occurrence: 1 for the first of this rule in the text.
    """

    category: Category
    rule: str
    said: str
    at: float
    occurrence: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same one in a later text."""
        return self.category.name, self.rule, self.occurrence


@dataclass(frozen=True)
class Change:
    """A finding that has got into another state."""

    finding: Finding
    state: State


class Policy:
    """All categories, and what is allowed though it looks like one of their words.

    Args:
        categories: In the order in which they are looked for.
        allow: Words and phrases.
    """

    def __init__(self, categories: Sequence[Category], allow: Sequence[str] = ()) -> None:
        if not categories:
            raise UsageError("got a policy without categories; expected one [categories.NAME] at least")
        self.categories = tuple(categories)
        self._allowed = _Phrases(allow)
        self._phrases = [(category, _Phrases(category.words)) for category in categories]

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Policy:
        """Read a policy from a TOML file.

        Raises:
            UsageError: It cannot be read, or has what is no policy; the text names the file and the place.
        """
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
            unknown = [*(values.keys() - {"categories", "allow"})]
            if unknown:
                raise UsageError(f"got {unknown[0]!r}; expected allow and [categories.NAME]")
            tables = values.get("categories", {})
            if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
                raise UsageError(f"got categories = {tables!r}; expected a table [categories.NAME] for each")
            return cls([_category(name, table) for name, table in tables.items()], values.get("allow", []))
        except OSError as error:
            raise UsageError(
                f"policy {str(path)!r}: cannot be read: {error.strerror}; policy of settings.toml names another file"
            ) from error
        except (ValueError, TypeError, AttributeError) as error:  # UsageError is a ValueError
            raise UsageError(f"policy {str(path)!r}: {error}") from error

    def find(self, text: str) -> list[Finding]:
        """Return what a text has of the words of the categories, each place once for each category."""
        words = words_of(text)
        allowed = [set(range(begin, end)) for begin, end, _ in self._allowed.places(words)]
        found = []
        for category, phrases in self._phrases:
            counted: dict[str, int] = {}
            for begin, end, rule in phrases.places(words):
                if any(set(range(begin, end)) <= each for each in allowed):
                    continue
                counted[rule] = counted.get(rule, 0) + 1
                said, at = " ".join(words[begin:end]), (begin + end) / 2 / len(words)
                found.append(Finding(category, rule, said, at, counted[rule]))
        return found


class Watch:
    """One utterance: what it has been flagged for, while what is understood of it changes.

    Args:
        policy: Whose words are looked for.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._suspected: dict[tuple[str, str, int], Finding] = {}

    def partial(self, text: str) -> list[Change]:
        """Take what is understood so far; what an earlier partial had and this one lacks is still suspected."""
        new = [each for each in self._policy.find(text) if each.key not in self._suspected]
        self._suspected.update((each.key, each) for each in new)
        return [Change(each, "suspected") for each in new]

    def final(self, text: str) -> list[Change]:
        """Take all that was said; afterwards nothing is suspected."""
        found = {each.key: each for each in self._policy.find(text)}
        withdrawn = [each for key, each in self._suspected.items() if key not in found]
        self._suspected.clear()
        return [Change(each, "certain") for each in found.values()] + [
            Change(each, "withdrawn") for each in withdrawn
        ]


class Judge(Engine, Protocol):
    """What finds more in a text that was said to its end than words do: by meaning, or by a model of toxicity.

    One that fails raises `audio_connector.engines.EngineError`; what the words have found holds all the same.
    """

    async def judge(self, text: str) -> Sequence[Finding]:
        """Return what it finds."""


class MeaningJudge:
    """Finds sentences that mean about what an example of the policy means; a `Judge`.

    Args:
        policy: Whose examples.
        embedder: What knows meanings.
    """

    name = "meaning"
    SHORTEST_WORDS: Final = 3
    """Below that a sentence has no meaning to speak of, and is near to anything."""

    def __init__(self, policy: Policy, embedder: Embedder) -> None:
        self._examples = [(each, text) for each in policy.categories for text in each.meaning]
        self._embedder = embedder
        self._rows: Vector | None = None

    async def warm(self) -> None:
        """Look up the examples."""
        await self._embedder.warm()
        if self._rows is None and self._examples:
            self._rows = await self._embedder.embed([text for _, text in self._examples])

    async def close(self) -> None:
        """Free the embedder."""
        await self._embedder.close()

    async def judge(self, text: str) -> Sequence[Finding]:
        """Return for each sentence and category the example that is the nearest, if it is near enough."""
        await self.warm()
        sentences = [each for each in sentences_of(text) if len(words_of(each)) >= self.SHORTEST_WORDS]
        if self._rows is None or not sentences:
            return []
        likeness = (await self._embedder.embed(sentences)) @ self._rows.T
        found: dict[tuple[str, str], Finding] = {}
        for number, (sentence, row) in enumerate(zip(sentences, likeness, strict=True)):
            for near, (category, example) in sorted(
                zip(row, self._examples, strict=True), key=lambda x: -x[0]
            ):
                if near >= category.nearness:
                    at = (number + 0.5) / len(sentences)
                    found.setdefault(
                        (category.name, sentence), Finding(category, f"as: {example}", sentence, at)
                    )
        return list(found.values())


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    plain = re.sub("[-/\u2010-\u2015]", " ", plain)
    return [word for each in plain.split() if (word := _EDGES.sub("", each)).strip("*")]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, as its punctuation has them."""
    return [each.strip() for each in re.split(r"(?<=[.!?…])\s+", text) if each.strip()]


@dataclass
class _Phrases:
    """Phrases by their first word, so that a list of thousands costs no more than one of ten."""

    listed: Sequence[str]
    _by_first: dict[str, list[tuple[str, list[Callable[[str], Any]]]]] = field(default_factory=dict)
    _with_star: list[tuple[str, list[Callable[[str], Any]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.listed, list | tuple) or not all(
            isinstance(each, str) for each in self.listed
        ):
            raise UsageError(f"got {self.listed!r} as words; expected a list of texts")
        for rule in self.listed:
            words = words_of(rule)
            if not words:
                raise UsageError(f"got the rule {rule!r}; expected a word, or several")
            edges = "".join(mark for each in rule.split() for mark in _EDGES.findall(each))
            if any(char in "#%&@" or unicodedata.category(char)[0] == "S" for char in edges):
                # "C++" would be "c", and find each of these.
                raise UsageError(
                    f"got the rule {rule!r}; expected words as they are spoken, such as 'c plus plus'"
                )
            phrase = (rule, [_matcher(word) for word in words])
            if "*" in words[0]:
                self._with_star.append(phrase)
            else:
                self._by_first.setdefault(words[0], []).append(phrase)

    def places(self, words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Give first word, word after the last, and rule; the longest at each place, and none that overlap."""
        free = 0
        for begin, word in enumerate(words):
            if begin < free:
                continue
            rules = [
                (len(phrase), rule)
                for rule, phrase in (*self._by_first.get(word, ()), *self._with_star)
                if len(words) - begin >= len(phrase)
                and all(fits(each) for fits, each in zip(phrase, words[begin:], strict=False))
            ]
            if rules:
                length, rule = max(rules, key=lambda each: each[0])
                free = begin + length
                yield begin, free, rule


def _matcher(word: str) -> Callable[[str], Any]:
    if "*" not in word:
        return word.__eq__
    return re.compile(r"\w*".join(re.escape(part) for part in word.split("*"))).fullmatch


def _category(name: str, table: Mapping[str, Any]) -> Category:
    known = list(Category.__dataclass_fields__)[1:]
    unknown = [each for each in table if each not in known]
    if unknown:
        raise UsageError(f"categories.{name}: got {unknown[0]!r}; expected some of {', '.join(known)}")
    return Category(name, **table)
