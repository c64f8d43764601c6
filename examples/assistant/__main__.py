# SPDX-License-Identifier: Apache-2.0
"""Starts it: ``python -m assistant``, ``python -m assistant --demo``."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from assistant.app import Assistant
from assistant.brain import PROMPT, Brain
from assistant.manner import Manner, Words
from audio_connector.engines import engine_of
from audio_connector.engines.retrieval import read_knowledge
from audio_connector.live.command import Command, Environment
from audio_connector.live.settings import AppSettings, EngineTable


class Settings(AppSettings):
    """What settings.toml says."""

    language: str | None = None
    recogniser: EngineTable = Field(default_factory=dict)
    synthesiser: EngineTable = Field(default_factory=dict)
    embedder: EngineTable = Field(default_factory=dict)
    answerer: EngineTable = Field(default_factory=lambda: {"engine": "retrieval"})
    knowledge: Path = Path("knowledge.md")
    unknown: Words = "I am sorry, I do not know that."
    goodbyes: Sequence[Words] = ("goodbye",)
    prompt: str = PROMPT
    talk: Manner = Manner()


def make(around: Environment[Settings]) -> Assistant:
    """Make the assistant that the settings describe."""
    settings = around.settings
    has_chat = settings.answerer.get("engine") != "retrieval"
    brain = Brain(
        read_knowledge(around.path(settings.knowledge)),
        engine_of("embedder", settings.embedder),
        chat=engine_of("answerer", settings.answerer) if has_chat else None,
        prompt=settings.prompt,
        goodbyes=settings.goodbyes,
        unknown=settings.unknown,
    )
    return Assistant(
        engine_of("recogniser", settings.recogniser),
        engine_of("synthesiser", settings.synthesiser),
        brain,
        page=around.page,
        manner=settings.talk,
        language=settings.language,
    )


COMMAND = Command(
    "assistant",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="A voice that answers out of a small file of knowledge, and can be interrupted.",
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
