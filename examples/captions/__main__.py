# SPDX-License-Identifier: Apache-2.0
"""``python -m captions``: the server, its page, and with ``--demo`` two callers."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from audio_connector.engines import engine_of
from audio_connector.live.command import Command, Environment
from audio_connector.live.demo import Outcome
from audio_connector.live.settings import AppSettings, EngineTable, check_language
from audio_connector.simulator import CallReport
from audio_connector.validation import FrozenValues
from captions.app import Captions, Wishes
from captions.demo import outcome


class CaptionsTable(FrozenValues):
    """``[captions]``; see settings.toml."""

    language: str | None = None
    languages: tuple[str, ...] = ()
    partial_languages: tuple[str, ...] = ()
    translate_to: str | None = None
    speak: bool = False
    pause_ms: Annotated[float, Field(ge=20, le=60_000)] = 500
    longest_s: Annotated[float, Field(ge=1, le=30)] = 12


class Settings(AppSettings):
    """settings.toml."""

    output: Path = Path("output/captions")
    captions: CaptionsTable = CaptionsTable()
    partials: EngineTable | None = None
    finals: EngineTable = Field(default_factory=dict)
    translator: EngineTable | None = None
    synthesiser: EngineTable = Field(default_factory=dict)

    @model_validator(mode="after")
    def _know_their_languages(self) -> Settings:
        told = self.captions
        for language in (told.language, *told.languages):
            check_language(language, self.finals, name="finals")
            if not told.partial_languages or language in told.partial_languages:
                check_language(language, self.partials, name="partials")
        return self


class Application(Captions):
    """Captions that know what the demo says."""

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Compare what was understood with what was said."""
        del reports
        await self.settle()
        return outcome(self)


def make(around: Environment[Settings]) -> Application:
    """Make the application of its settings."""
    settings = around.settings
    told = settings.captions
    finals = engine_of("recogniser", settings.finals)
    translator: Any = None
    if told.translate_to is not None and settings.translator is not None:
        is_same = settings.translator == settings.finals and hasattr(finals, "translate")
        translator = finals if is_same else engine_of("translator", settings.translator)
    speaks = translator is not None and told.speak
    return Application(
        finals,
        sessions=lambda: around.sessions,
        output=around.output,
        page=around.page,
        partials=None if settings.partials is None else engine_of("recogniser", settings.partials),
        translator=translator,
        voice=engine_of("synthesiser", settings.synthesiser) if speaks else None,
        wishes=Wishes(
            language=told.language,
            languages=told.languages,
            partial_languages=told.partial_languages,
            translate_to=told.translate_to,
            pause_ms=told.pause_ms,
            longest_s=told.longest_s,
        ),
    )


COMMAND = Command(
    "captions",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Live captions of a session, with partials, speakers and translation.",
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
