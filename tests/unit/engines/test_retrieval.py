# SPDX-License-Identifier: Apache-2.0
"""Answers by meaning: how the file is read, what is near enough, and what is said where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audio_connector.engines import Answerer, EngineError, Message, Vector
from audio_connector.engines.retrieval import UNKNOWN, Entry, Retrieval, parse_knowledge, read_knowledge

TEXT = """# For people

Not read.

## When are you open?
- opening hours
* open on Sundays

From {from}
to six. Closed on Sundays - sorry.

## Where are you?

In Canada {{the country}}.
"""


class Letters:
    """Texts mean the same where they have the same letters; counts its work."""

    def __init__(self) -> None:
        self.warmed = 0
        self.asked: list[list[str]] = []

    async def warm(self) -> None:
        self.warmed += 1

    async def close(self) -> None:
        raise AssertionError("it is not ours")

    async def embed(self, texts: Sequence[str]) -> Vector:
        self.asked.append(list(texts))
        rows = np.zeros((len(texts), 128), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % 128] = 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)  # type: ignore[no-any-return]


def user(*texts: str) -> list[Message]:
    return [Message("user", text) for text in texts]


async def answer(retrieval: Retrieval, *said: str) -> str:
    return "".join([piece async for piece in retrieval.answer(user(*said))]).strip()


def made(text: str = TEXT, **options: object) -> tuple[Retrieval, Letters]:
    letters = Letters()
    return Retrieval(parse_knowledge(text), letters, values={"from": "nine"}, **options), letters  # type: ignore[arg-type]


def test_a_section_is_an_answer_and_ways_to_ask_for_it() -> None:
    assert parse_knowledge(TEXT) == (
        Entry(
            ("When are you open?", "opening hours", "open on Sundays"),
            "From {from} to six. Closed on Sundays - sorry.",
        ),
        Entry(("Where are you?",), "In Canada {{the country}}."),
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no section"),
        ("# Title\nwords", "has no section"),
        ("## Question\n- only\n- a list", "the section 'Question' has no answer"),
        ("## Question\n## Other\nanswer", "the section 'Question' has no answer"),
        ("## Question\nanswer\n\n##Other\n\nanswer", "the section 'Question' has '##Other' within"),
        ("## Question\nanswer\n\n### Other\n\nanswer", "the section 'Question' has '### Other' within"),
        ("## Question\nanswer\n\n# Other\n\n## Third\n\nanswer", "'Question' has '# Other' within"),
    ],
)
def test_a_file_without_answers_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "knowledge.md"
    path.write_text(text)
    with pytest.raises(EngineError, match=rf"knowledge\.md.*{fault}"):
        read_knowledge(path)


def test_a_file_may_begin_with_a_byte_order_mark_and_an_answer_with_a_number(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.md"
    path.write_text("## Who are you?\n\n#1 in town.\n", encoding="utf-8-sig")
    assert read_knowledge(path) == (Entry(("Who are you?",), "#1 in town."),)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"cannot read '.*none\.md'"):
        read_knowledge(tmp_path / "none.md")
    (tmp_path / "image.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EngineError, match="expected a Markdown file in UTF-8"):
        read_knowledge(tmp_path / "image.md")


def test_a_value_that_is_not_given_is_told_at_once() -> None:
    with pytest.raises(EngineError, match="the answer to 'When are you open\\?' cannot be filled in: 'from'"):
        Retrieval(parse_knowledge(TEXT), Letters())


def test_no_entries_are_refused_at_once() -> None:
    with pytest.raises(EngineError, match="got no entries; expected one at least"):
        Retrieval([], Letters())


async def test_the_nearest_entry_answers_sentence_by_sentence() -> None:
    retrieval, _ = made()
    assert isinstance(retrieval, Answerer)
    pieces = [piece async for piece in retrieval.answer(user("opening hours?"))]
    assert pieces == ["From nine to six. ", "Closed on Sundays - sorry. "]
    assert await answer(retrieval, "where are you") == "In Canada {the country}."


async def test_an_answer_is_found_by_its_own_words_too() -> None:
    retrieval, _ = made(threshold=0.9)
    assert await answer(retrieval, "in canada the country") == "In Canada {the country}."


async def test_what_is_near_to_nothing_is_not_known() -> None:
    retrieval, _ = made()
    assert await answer(retrieval, "zzz qqq jjj") == UNKNOWN
    strict, _ = made(threshold=1.01, unknown="No idea.")
    assert await answer(strict, "opening hours") == "No idea."


async def test_a_question_that_means_nothing_alone_is_read_with_the_one_before() -> None:
    retrieval, letters = made(threshold=0.97)
    assert await answer(retrieval, "opening", "hours") == "From nine to six. Closed on Sundays - sorry."
    assert letters.asked[-1] == ["opening hours"]
    assert await answer(retrieval, "hours") == UNKNOWN


async def test_the_entries_are_read_once() -> None:
    retrieval, letters = made()
    await retrieval.warm()
    await retrieval.warm()
    await answer(retrieval, "opening hours")
    assert letters.warmed == 1
    assert [len(texts) for texts in letters.asked] == [6, 1]
    await retrieval.close()


async def test_only_what_the_user_said_counts() -> None:
    retrieval, _ = made()
    with pytest.raises(EngineError, match="no message of the user"):
        await anext(retrieval.answer([Message("assistant", "opening hours")]))
    messages = [*user("where are you"), Message("assistant", "opening hours")]
    assert [piece async for piece in retrieval.answer(messages)] == ["In Canada {the country}. "]


def test_marks_of_markdown_are_not_said() -> None:
    text = "## When are you **open**?\n- `hours`\n\n**Nine** to six:\n\n- [Monday](https://x.y)\n- Friday\n"
    assert parse_knowledge(text) == (Entry(("When are you open?", "hours"), "Nine to six: Monday, Friday."),)


def test_an_answer_of_marks_alone_is_none() -> None:
    with pytest.raises(EngineError, match="has no answer"):
        parse_knowledge("## Question\n\n---\n")
