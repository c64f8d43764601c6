# SPDX-License-Identifier: Apache-2.0
"""Sentences by meaning, and the line between what the knowledge has and what it has not."""

from __future__ import annotations

import numpy as np
import pytest

from audio_connector.engines import Message
from audio_connector.engines.minilm import WIDTH, MiniLm
from audio_connector.engines.retrieval import THRESHOLD, UNKNOWN, Retrieval, parse_knowledge

pytestmark = pytest.mark.apps

KNOWLEDGE = """
## When are you open?
- opening hours

We are open from nine to six, Monday to Saturday.

## Where are you?
- your address
- how do I get to the shop

You find us at 12 Market Street, opposite the station.

## How do I return something?
- send an item back
- get my money back
- can I bring it back

Send it back within thirty days. We pay the postage.

## How long does delivery take?
- when will my parcel arrive

Two to three working days.
"""
ASKED = {
    "What time do you close on Friday?": "We are open",
    "at what time do you open": "We are open",
    "How do I find your shop?": "You find us",
    "I want my money back.": "Send it back",
    "I want to send my order back.": "Send it back",
    "My package has not come yet, when do I get it?": "Two to three",
}
FOREIGN = [
    "What is the capital of France?",
    "Do you like music?",
    "Tell me a joke.",
    "How tall is the tower?",
]


async def test_likeness_is_of_the_meaning(minilm: MiniLm) -> None:
    rows = await minilm.embed(
        ["When are you open?", "What are your opening hours?", "The cat sat on the mat.", ""]
    )
    assert rows.shape == (4, WIDTH)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.6
    assert abs(rows[0] @ rows[2]) < 0.2
    assert (await minilm.embed([])).shape == (0, WIDTH)


async def test_a_text_means_the_same_in_any_company(minilm: MiniLm) -> None:
    texts = [f"sentence number {number} " * (1 + number % 40) for number in range(70)]
    together = await minilm.embed(texts)
    alone = await minilm.embed(texts[65:66])
    assert together[65] @ alone[0] > 0.98  # eight-bit weights round otherwise beside longer texts


async def test_questions_find_their_answer_and_foreign_ones_none(minilm: MiniLm) -> None:
    retrieval = Retrieval(parse_knowledge(KNOWLEDGE), minilm)
    for question, begin in ASKED.items():
        found = await retrieval.find(question)
        assert found.entry.answer.startswith(begin), (question, found)
        assert found.likeness > THRESHOLD, (question, found)
    for question in FOREIGN:
        found = await retrieval.find(question)
        assert found.likeness < THRESHOLD, (question, found)
        assert (
            "".join([piece async for piece in retrieval.answer([Message("user", question)])]).strip()
            == UNKNOWN
        )
