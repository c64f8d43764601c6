# SPDX-License-Identifier: Apache-2.0
"""What people write into the settings of applications and that would be taken for something else."""

from __future__ import annotations

from typing import Any

import assistant.__main__
import captions.__main__
import coaching.settings
import notes.__main__
import pytest

from audio_connector import UsageError
from audio_connector.live.settings import AppSettings

ENGINES: dict[str, Any] = {"recogniser": {}, "embedder": {}}
ITEM = {"name": "greet", "phrases": ["Hello!"]}


@pytest.mark.parametrize(
    ("settings", "values", "error"),
    [
        (assistant.__main__.Settings, {"talk": {"phrases": {"greeting": " "}}}, "talk.phrases.greeting="),
        (assistant.__main__.Settings, {"unknown": ""}, "unknown=''"),
        (assistant.__main__.Settings, {"goodbyes": ["bye", ""]}, "goodbyes.1=''"),
        (coaching.settings.Settings, {"roles": {"agent": "rep"}}, "expected what agent and customer say"),
        (coaching.settings.Settings, {"roles": {"agnt": "a", "customer": "b"}}, "agent and customer"),
        (coaching.settings.Settings, {"roles": {"agent": "a", "customer": "a"}}, "two different texts"),
        (coaching.settings.Settings, {"checklist": [ITEM, ITEM]}, "two things have one name"),
        (notes.__main__.Settings, {"notes": {"language": "de"}}, "rules understand English only"),
        (
            notes.__main__.Settings,
            {
                "notes": {"language": "de"},
                "summariser": {"engine": "chat"},
                "recogniser": {"model": "tiny.en"},
            },
            "'tiny.en' of recogniser knows English only",
        ),
        (
            captions.__main__.Settings,
            {"captions": {"languages": ["en", "es"]}, "finals": {"model": "base.en"}},
            "language = 'es', and model = 'base.en' of finals",
        ),
        (
            captions.__main__.Settings,
            {"captions": {"language": "de"}, "finals": {"model": "base"}, "partials": {"model": "tiny.en"}},
            "'tiny.en' of partials knows English only",
        ),
        (coaching.settings.Settings, {"checklist": [{**ITEM, "phrases": [""]}]}, "phrases.0=''"),
    ],
)
def test_what_would_do_something_else_is_refused(
    settings: type[AppSettings], values: dict[str, Any], error: str
) -> None:
    with pytest.raises(UsageError, match=error):
        settings.from_values(values if settings.__module__.startswith("captions") else {**ENGINES, **values})


CAPTIONS = {"finals": {"model": "base"}, "partials": {"model": "tiny.en"}}


def test_a_language_that_the_partials_do_not_know_is_for_the_finals_alone() -> None:
    told = {"language": "de", "partial_languages": ["en"]}
    captions.__main__.Settings.from_values({**CAPTIONS, "captions": told})
