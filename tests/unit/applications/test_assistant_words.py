# SPDX-License-Identifier: Apache-2.0
"""What the assistant says of what a file, or a chat model, has written."""

from __future__ import annotations

import pytest
from assistant.brain import Brain

from audio_connector.engines import Message
from audio_connector.engines.retrieval import parse_knowledge
from audio_connector.testing.scripted import ScriptedAnswerer, WordEmbedder

WRITTEN = r"Say \*menu\* or **press** 2*3."


@pytest.mark.parametrize("has_chat", [False, True])
async def test_markup_leaves_once(has_chat: bool) -> None:
    entries = parse_knowledge(f"## what can I press\n\n{WRITTEN}\n")
    brain = Brain(entries, WordEmbedder(), chat=ScriptedAnswerer([WRITTEN]) if has_chat else None)
    await brain.warm()
    said = [sentence async for sentence in brain.answer([Message("user", "what can I press")])]
    assert said == ["Say *menu* or press 2*3."]
    assert brain.openings[1:] == ([] if has_chat else said)
