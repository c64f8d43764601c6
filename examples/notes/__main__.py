# SPDX-License-Identifier: Apache-2.0
"""``python -m notes``: the server, its page, and with ``--demo`` a meeting of two."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from audio_connector.engines import engine_of
from audio_connector.live.command import Command, Environment
from audio_connector.live.demo import Outcome
from audio_connector.live.settings import AppSettings, EngineTable, check_language
from audio_connector.simulator import CallReport
from audio_connector.turns import TurnSettings
from audio_connector.validation import FrozenValues
from notes.app import Notes
from notes.chat import Chat
from notes.demo import outcome
from notes.rules import Rules


class NotesTable(FrozenValues):
    """``[notes]``; see settings.toml."""

    language: str | None = None
    pause_ms: Annotated[float, Field(ge=20, le=60_000)] = 600
    every_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


class SummariserTable(FrozenValues):
    """``[summariser]``."""

    engine: Literal["rules", "chat"] = "rules"


class Settings(AppSettings):
    """settings.toml."""

    output: Path = Path("output/notes")
    notes: NotesTable = NotesTable()
    summariser: SummariserTable = SummariserTable()
    recogniser: EngineTable = Field(default_factory=dict)
    embedder: EngineTable = Field(default_factory=dict)
    answerer: EngineTable = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_for_its_language(self) -> Settings:
        language = self.notes.language
        check_language(language, self.recogniser, name="recogniser")
        if language not in (None, "en") and self.summariser.engine == "rules":
            raise ValueError(
                f"language = {language!r}, and the summariser's rules understand English only; expected "
                'engine = "chat" in [summariser], and a model in [answerer]'
            )
        return self


class Application(Notes):
    """Notes that know what the demo says."""

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Compare what was noted with what was said."""
        del reports
        await self.settle()
        return outcome(self)


def make(around: Environment[Settings]) -> Application:
    """Make the application of its settings."""
    settings = around.settings
    summariser: Any
    if settings.summariser.engine == "rules":
        summariser = Rules(engine_of("embedder", settings.embedder))
    else:
        summariser = Chat(engine_of("answerer", settings.answerer))
    return Application(
        engine_of("recogniser", settings.recogniser),
        summariser,
        sessions=lambda: around.sessions,
        output=around.output,
        page=around.page,
        language=settings.notes.language,
        settings=TurnSettings(pause_ms=settings.notes.pause_ms),
        every_s=settings.notes.every_s,
    )


COMMAND = Command(
    "notes",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Notes of a meeting: transcript, decisions and action items, with the audio of each line.",
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
