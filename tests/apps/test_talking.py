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

from audio_connector.cli.talk import LocalVoices
from audio_connector.engines import EngineMissing
from audio_connector.simulator import Expect, Impairments, Persona, RouterCall, SayText, Step, Talk
from audio_connector.testing import router, serve

pytestmark = [pytest.mark.apps, pytest.mark.timeout(300)]

ANSWERS = {
    "table": "Sure. For how many people?",
    "four": "Your table is booked for four people. Goodbye.",
    "bye": "Goodbye.",
}


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
async def voices(request: pytest.FixtureRequest) -> AsyncIterator[LocalVoices]:
    made = LocalVoices(request.param)
    try:
        await made.named(None)
    except EngineMissing as error:
        pytest.skip(str(error))
    yield made
    await made.close()


async def test_a_caller_hears_what_it_waits_for(ear: Any, voices: LocalVoices, tmp_path: Path) -> None:
    _, voice = await voices.named(None)
    bot = voice_bot(ear, voice, greeting="Welcome. How may I help you?", answers=ANSWERS)
    steps = [
        Step(after_s=0, hear="help"),
        Step(after_s=0.3, say=SayText(text="I would like to book a table, please.")),
        Step(after_s=0, hear={"any": ["how many", "people"]}, within_s=15),
        Step(after_s=0, hang_up=True),
    ]
    talk = Talk(voices=voices, recogniser=ear, cache=tmp_path)
    async with serve(bot) as server, router(talk=talk) as phone:
        call = RouterCall(
            url=server.url, steps=steps, expect=Expect(said="how many people", never_said="goodbye")
        )
        report = await phone.run(call)
    assert (report.missed, report.unmet) == ((), ()), report.transcript
    assert len(report.transcript) == 3
    assert len(report.turns) == 1


async def test_a_persona_reaches_its_goal(ear: Any, tmp_path: Path) -> None:
    voices = LocalVoices("piper")
    voice, minilm = await ready("piper", "Piper"), await ready("minilm", "MiniLm")
    bot = voice_bot(ear, voice, greeting="Hello. What can I do for you?", answers=ANSWERS)
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
