# SPDX-License-Identifier: Apache-2.0
"""Answers out of a small file, found by meaning: no chat model, nothing invented.

The file is Markdown. Each section is an answer; its heading, and the items of a list right below it, are ways to ask
for it. What is said are the words: ``**now**`` is "now", and of a link its text. ``{name}`` in an answer is filled in
from ``values``::

    ## When are you open?
    - opening hours
    - are you open on Sundays

    We are open from nine to six, Monday to Saturday.
"""

from __future__ import annotations

import asyncio
import re
import string
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.plain import plain
from audio_connector.engines.base.ports import Embedder, Message, Vector
from audio_connector.engines.base.sentences import sentences

THRESHOLD: Final = 0.5
"""How alike a question and an entry are for the entry to be the answer. With MiniLM, 0.6 and more is
the same question in other words and 0.35 and less another subject; in between a wrong answer is as likely as a right
one, so that it is better not to know. More ways to ask, in the file, bring more questions above the line."""

UNKNOWN: Final = "I am sorry, I do not know that."


@dataclass(frozen=True)
class Entry:
    """One answer.

    Args:
        asks: Ways to ask for it.
        answer: What is said; ``{name}`` is filled in.
    """

    asks: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Found:
    """The entry that is nearest to a question, and how near: 1 is the same text."""

    entry: Entry
    likeness: float


def read_knowledge(path: str | Path) -> tuple[Entry, ...]:
    """Read the entries of a file.

    Raises:
        EngineError: It cannot be read, or a section has no answer.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"cannot read {str(path)!r}: {error}; expected a Markdown file in UTF-8") from error
    return parse_knowledge(text, name=str(path))


def parse_knowledge(text: str, *, name: str = "the knowledge") -> tuple[Entry, ...]:
    """Read the entries of a text, see above; what stands before the first ``##`` is for people.

    Raises:
        EngineError: There is no section, or one has no answer, or a heading within it.
    """
    entries = []
    for section in re.split(r"^##[ \t]+", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        items = re.match(r"(?:[ \t]*\n|[ \t]*[-*][ \t]+[^\n]*(?:\n|$))*", body)
        listed = items.group() if items is not None else ""
        items_of = re.findall(r"^[ \t]*[-*][ \t]+(.+?)[ \t]*$", listed, flags=re.MULTILINE)
        asks = [words for each in (heading, *items_of) if (words := plain(each))]
        answer = plain(body[len(listed) :])
        other = re.search(r"^[ \t]*#{1,6}(?:[ \t]|(?<=##))[^\n]*", body, flags=re.MULTILINE)
        if other is not None:
            raise EngineError(
                f"{name}: the section {heading.strip()!r} has {other.group().strip()!r} within, which would be said "
                "aloud; expected '## question' for each answer, and no other heading below the first one"
            )
        if not plain(heading) or not answer:
            raise EngineError(
                f"{name}: the section {heading.strip()!r} has no answer; expected '## question', perhaps a list of "
                "other ways to ask, and a paragraph"
            )
        entries.append(Entry(tuple(asks), answer))
    if not entries:
        raise EngineError(f"{name} has no section; expected '## question' and its answer below it")
    return tuple(entries)


class Retrieval:
    """Answers what is in its entries, and says so where a question is in none; an `Answerer`.

    Args:
        entries: As `read_knowledge` returns them.
        embedder: What makes meanings of texts; it is warmed with this, and closed by whoever made it.
        values: What ``{name}`` in an answer stands for.
        threshold: How alike question and entry have to be, 0 to 1.
        unknown: What is said where nothing is.

    Raises:
        EngineError: There is no entry, or an answer names a value that is not given.
    """

    name = "retrieval"

    def __init__(
        self,
        entries: Sequence[Entry],
        embedder: Embedder,
        *,
        values: Mapping[str, str] | None = None,
        threshold: float = THRESHOLD,
        unknown: str = UNKNOWN,
    ) -> None:
        self._entries = tuple(_filled(entry, values or {}) for entry in entries)
        if not self._entries:
            raise EngineError("got no entries; expected one at least, see read_knowledge()")
        self._embedder = embedder
        self._threshold = threshold
        self._unknown = unknown
        self._rows: Vector | None = None
        self._owners: list[Entry] = []
        self._lock = asyncio.Lock()

    async def warm(self) -> None:
        """Warm the embedder, and have it read the entries."""
        async with self._lock:
            if self._rows is not None:
                return
            await self._embedder.warm()
            # An answer often says better what is asked for than the question that its author thought of.
            texts = [(text, entry) for entry in self._entries for text in (*entry.asks, entry.answer)]
            self._rows = await self._embedder.embed([text for text, _ in texts])
            self._owners = [entry for _, entry in texts]

    async def close(self) -> None:
        """Nothing is held here; the embedder is closed by whoever made it."""

    async def find(self, question: str) -> Found:
        """Return the entry that is nearest to a question, however far it is."""
        return (await self.nearest(question, 1))[0]

    async def nearest(self, question: str, count: int) -> list[Found]:
        """Return so many entries that are near to a question, the nearest first, however far they are."""
        await self.warm()
        (row,) = await self._embedder.embed([question])
        if self._rows is None:
            raise EngineError("cannot happen: it is warm")
        likenesses = self._rows @ row
        found: dict[int, Found] = {}
        for best in map(int, np.argsort(-likenesses)):
            owner = self._owners[best]
            found.setdefault(id(owner), Found(owner, float(likenesses[best])))
            if len(found) == count:
                break
        return list(found.values())

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Iterate over the answer to the last thing that the user said, sentence by sentence.

        Where that alone is near to nothing ("and on Sundays?"), it is read together with what the user said before.

        Raises:
            EngineError: The user has said nothing yet.
        """
        said = [message.text for message in messages if message.role == "user"]
        if not said:
            raise EngineError("got no message of the user; expected one with role='user' at the end")
        found = await self.find(said[-1])
        if found.likeness < self._threshold and len(said) > 1:
            found = max(found, await self.find(f"{said[-2]} {said[-1]}"), key=lambda each: each.likeness)
        text = found.entry.answer if found.likeness >= self._threshold else self._unknown
        for sentence in sentences(text):
            yield f"{sentence} "


def _filled(entry: Entry, values: Mapping[str, str]) -> Entry:
    try:
        return Entry(entry.asks, string.Formatter().vformat(entry.answer, (), values))
    except (LookupError, ValueError) as error:
        raise EngineError(
            f"the answer to {entry.asks[0]!r} cannot be filled in: {error}; expected a value for each {{name}}, and "
            "{{ and }} for braces"
        ) from error
