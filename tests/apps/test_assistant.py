# SPDX-License-Identifier: Apache-2.0
"""The assistant with real engines: a caller who speaks, and whose recogniser hears what is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner, Phrases

from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.engines.piper import Piper
from audio_connector.engines.retrieval import read_knowledge
from audio_connector.simulator import RouterCall, SayText, Step, Talk, word_errors
from audio_connector.testing import router, serve

pytestmark = [pytest.mark.apps, pytest.mark.timeout(300)]

KNOWLEDGE = Path(__file__).parents[2] / "examples" / "assistant" / "knowledge.md"


class OneVoice:
    """The caller speaks with the assistant's own voice, which is loaded already."""

    def __init__(self, piper: Piper) -> None:
        self.piper = piper

    async def named(self, name: str | None) -> tuple[str, Piper]:
        return "piper", self.piper


class NoPage:
    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        pass


@pytest.fixture
def assistant(tiny: FasterWhisper, piper: Piper, minilm: MiniLm) -> Assistant:
    manner = Manner(phrases=Phrases(greeting="Hello."))
    brain = Brain(read_knowledge(KNOWLEDGE), minilm, goodbyes=["goodbye", "that is all, thank you, goodbye"])
    made = Assistant(tiny, piper, brain, page=NoPage(), manner=manner)
    for engine in made.engines:
        asyncio.run(engine.warm())
    return made


def says(text: str, after_s: float = 0.3) -> Step:
    return Step(after_s=after_s, say=SayText(text=text))


def hears(*words: str) -> Step:
    return Step(after_s=0, hear={"any": words}, within_s=8)


async def test_it_answers_is_interrupted_and_takes_leave(
    assistant: Assistant, tiny: FasterWhisper, piper: Piper
) -> None:
    steps = [
        says("When are you open?", after_s=1.5),
        hears("nine", "9"),
        says("How much does it cost to repair a flat tire?"),
        says("Stop. What is your address?", after_s=4.0),  # in the middle of the answer
        hears("mill", "station"),
        says("That is all, thank you. Goodbye."),
        hears("goodbye", "bye"),
    ]
    talk = Talk(voices=OneVoice(piper), recogniser=tiny)
    async with serve(assistant.on_connect) as server, router(talk=talk) as phone:
        report = await phone.run(RouterCall(url=server.url, steps=steps, tail_s=5, allow_hangup=True))
    assert report.missed == (), [*report.transcript, *assistant.turns]
    assert (report.closed_by, report.close_code) == ("peer", 1000)
    hours, price, address, leave = assistant.turns
    assert [hours.unheard, address.unheard, leave.unheard] == ["", "", ""]
    heard = next(line.text for line in report.transcript if line.who == "bot" and "flat" in line.text.lower())
    assert "thirty" in price.unheard
    assert "thirty" not in heard
    # A word more or less at the cut, "$15" for "fifteen dollars", and what a small model mistakes.
    assert abs(len(price.heard.split()) - len(heard.split())) <= 3, (price.heard, heard)
    assert word_errors(price.heard, heard) < 0.7, (price.heard, heard)
    assert word_errors(f"{price.heard} {price.unheard}", heard) > 0.6, (price.heard, heard)
    # The best of four: what else this machine does counts in the others.
    assert min(turn.latency_ms for turn in report.turns) < 1200
    assert min(turn.latency_ms or 0 for turn in assistant.turns) < 1200
