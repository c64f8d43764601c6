# SPDX-License-Identifier: Apache-2.0
"""Callers and bots that really speak and really understand: words cross the wire as sound, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.voice_bot import voice_bot

from audio_connector.engines import EngineMissing
from audio_connector.simulator import Expect, Impairments, Persona, RouterCall, SayText, Step, Talk
from audio_connector.simulator.talk.meaning import Meaning
from audio_connector.testing import router, serve
from audio_connector.testing.talk import EngineVoices

pytestmark = [pytest.mark.apps, pytest.mark.timeout(300)]

ANSWERS = {
    "table": "Sure. For how many people?",
    "four": "Your table is booked for four people. Goodbye.",
    "bye": "Goodbye.",
}


SAME = [
    ("How may I help you?", "How can I help you?"),
    ("What can I do for you?", "How can I help you?"),
    ("Your table is booked for Friday. Is there anything else?", "Your table is booked for Friday."),
    ("You have a reservation for four persons.", "Your table is booked for four people."),
    ("The table is reserved for Friday evening.", "Your table is booked for Friday."),
    ("For how many people?", "How many guests are you?"),
    ("What size is your party?", "How many people?"),
    ("When would you like to come?", "On which day would you like to visit?"),
    ("We are open from nine to five.", "Our opening hours are 9 to 17."),
    ("Thank you, goodbye.", "Bye, have a nice day."),
    ("I have cancelled your order.", "Your order was cancelled."),
    ("You will be called back tomorrow.", "Somebody will ring you tomorrow."),
]
OTHER = [
    ("For how many people?", "Your table is booked for Friday."),
    ("Sorry, I did not get that.", "How can I help you?"),
    ("We are closed on Friday.", "Your table is booked for Friday."),
    ("For when would you like a table?", "Your table is booked for Friday."),
    ("When would you like to come?", "How many people?"),
    ("Thank you, goodbye.", "How can I help you?"),
    ("Your order is on its way.", "Your order was cancelled."),
    ("Your table could not be booked for Friday.", "Your table is booked for Friday."),
    ("We are open from nine to five.", "We are closed on Mondays."),
    ("Please hold the line.", "Somebody will ring you tomorrow."),
]


async def ready(module: str, name: str, *arguments: Any) -> Any:
    """An engine, or a reason to skip."""
    try:
        engine = getattr(import_module(f"audio_connector.engines.{module}"), name)(*arguments)
        await engine.warm()
    except (ImportError, EngineMissing) as error:
        pytest.skip(str(error))
    return engine


@pytest.fixture
async def ear() -> AsyncIterator[Any]:
    engine = await ready("faster_whisper", "FasterWhisper", "tiny.en")
    yield engine
    await engine.close()


@pytest.fixture(params=["piper", "espeak"])
async def voices(request: pytest.FixtureRequest) -> AsyncIterator[EngineVoices]:
    made = EngineVoices(request.param)
    try:
        await made.named(None)
    except EngineMissing as error:
        pytest.skip(str(error))
    yield made
    await made.close()


async def test_a_caller_hears_what_it_waits_for(ear: Any, voices: EngineVoices, tmp_path: Path) -> None:
    _, voice = await voices.named(None)
    bot = voice_bot(ear, voice, greeting="Welcome. How may I help you?", answers=ANSWERS)
    steps = [
        Step(
            after_s=0, hear={"any": ["welcome", "help"]}
        ),  # Piper says nothing twice alike, and one may be misheard
        Step(after_s=0.3, say=SayText(text="I would like to book a table, please.")),
        Step(after_s=0, hear={"any": ["how many", "people"]}, within_s=15),
        Step(after_s=0, hang_up=True),
    ]
    talk = Talk(voices=voices, recogniser=ear, cache=tmp_path)
    async with serve(bot) as server, router(talk=talk) as phone:
        call = RouterCall(
            url=server.url,
            steps=steps,
            expect=Expect(said={"any": ["how many", "people"]}, never_said="goodbye"),
        )
        report = await phone.run(call)
    assert (report.missed, report.unmet) == ((), ()), report.transcript
    assert len(report.transcript) == 3
    assert len(report.turns) == 1


async def test_a_persona_reaches_its_goal(ear: Any, tmp_path: Path) -> None:
    voices = EngineVoices("piper")
    voice, minilm = await ready("piper", "Piper"), await ready("minilm", "MiniLm")
    bot = voice_bot(ear, voice, greeting="Hello. How can I help you today?", answers=ANSWERS)
    persona = Persona.from_values(
        {
            "goal": "Book a table for four.",
            "language": "en",
            "patience_s": 20,
            "rules": [
                {"when": "goodbye", "say": "Bye.", "then": "hang_up"},
                {"when": "how many", "say": "For four people."},
                {"when": {"meaning": "How may I help you?"}, "say": "I would like a table, please."},
            ],
            "judge": {
                "goal": "You have a reservation for four persons.",
                "must": "booked",
                "must_not": "sorry",
            },
        }
    )
    talk = Talk(voices=voices, recogniser=ear, embedder=minilm, cache=tmp_path)
    async with serve(bot) as server, router(talk=talk) as phone:
        call = RouterCall(url=server.url, persona=persona, tail_s=None, impairments=Impairments(seed=1))
        report = await phone.run(call)
    assert report.outcome is not None
    assert report.outcome.reached, (report.outcome, report.transcript)
    assert (report.outcome.judged_by, report.outcome.turns) == ("meaning", 3)
    await asyncio.gather(voices.close(), voice.close(), minilm.close())


async def test_what_meaning_tells_apart() -> None:
    minilm = await ready("minilm", "MiniLm")
    meaning = Meaning(minilm)
    same = [await meaning.says(said, meant) for said, meant in SAME]
    other = [await meaning.says(said, meant) for said, meant in OTHER]
    await minilm.close()
    assert (sum(same), sum(other)) == (10, 2), (same, other)
