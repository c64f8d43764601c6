# SPDX-License-Identifier: Apache-2.0
"""What to say: out of a file of knowledge, or by a chat model that is given what the file has about the question."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from audio_connector.engines import Answerer, Embedder, Message
from audio_connector.engines.base.plain import plain
from audio_connector.engines.base.sentences import sentences
from audio_connector.engines.retrieval import THRESHOLD, Entry, Retrieval

PROMPT = (
    "You answer the telephone. Answer in one or two short sentences, as one speaks, without lists or markup. "
    "A dash at the end of something you said means that the caller interrupted you there and heard no more of it."
)
FACTS = 3
"""Entries of the file that a chat model is given: the right one is among them, and they are short."""


class Brain:
    """Answers, and knows when the caller takes leave.

    Args:
        entries: What is known, as `read_knowledge` returns it.
        embedder: Finds by meaning.
        chat: A chat model; without one the answers are those of the entries.
        prompt: What the chat model is told to be.
        goodbyes: What a caller says who takes leave.
        unknown: What is said where nothing is known.
    """

    name = "brain"

    def __init__(
        self,
        entries: Sequence[Entry],
        embedder: Embedder,
        *,
        chat: Answerer | None = None,
        prompt: str = PROMPT,
        goodbyes: Sequence[str] = ("goodbye", "that is all, thank you, bye"),
        unknown: str = "I am sorry, I do not know that.",
    ) -> None:
        self._embedder = embedder
        self._chat = chat
        self._entries = tuple(entries)
        self._unknown = unknown
        self._prompt = prompt
        self._facts = Retrieval(entries, embedder, unknown=unknown)
        self._goodbyes = Retrieval([Entry(tuple(goodbyes), "goodbye")], embedder)

    @property
    def openings(self) -> list[str]:
        """The sentences with which its answers begin, where that is known."""
        if self._chat is not None:
            return []
        return [
            next(sentences(answer)) for answer in (self._unknown, *(each.answer for each in self._entries))
        ]

    async def warm(self) -> None:
        """Load what it answers with."""
        await self._facts.warm()
        await self._goodbyes.warm()
        if self._chat is not None:
            await self._chat.warm()

    async def close(self) -> None:
        """Free it."""
        await self._embedder.close()
        if self._chat is not None:
            await self._chat.close()

    async def is_goodbye(self, text: str) -> bool:
        """Whether somebody takes leave with these words, and asks for nothing."""
        leaves = (await self._goodbyes.find(text)).likeness
        return leaves >= THRESHOLD and leaves > (await self._facts.find(text)).likeness

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Iterate over the sentences of the answer, each as soon as it is known."""
        pieces: AsyncIterator[str]
        if self._chat is None:
            pieces = self._facts.answer(messages)
        else:
            pieces = self._chat.answer([await self._briefing(messages), *messages])
        async with aclosing(by_sentence(pieces)) as found:
            async for sentence in found:
                # Many models write Markdown, whatever they are told. What the file says are words already.
                if words := sentence if self._chat is None else plain(sentence):
                    yield words

    async def _briefing(self, messages: Sequence[Message]) -> Message:
        asked = " ".join([each.text for each in messages if each.role == "user"][-2:])
        facts = [found.entry for found in await self._facts.nearest(asked, FACTS)]
        known = "\n".join(f"{fact.asks[0]} {fact.answer}" for fact in facts)
        return Message(
            "system", f"{self._prompt}\nThis is what you know; say so where it is not in it:\n{known}"
        )


async def by_sentence(pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """Iterate over the sentences of a text that comes piece by piece; one is told when the next has begun."""
    text = ""
    try:
        async for piece in pieces:
            text += piece
            *whole, text = list(sentences(text)) or [""]
            for sentence in whole:
                yield sentence
            if piece[-1:].isspace():
                text += " "  # which is not the sentence's, and parts it from the next word
        for sentence in sentences(text):
            yield sentence
    finally:
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
