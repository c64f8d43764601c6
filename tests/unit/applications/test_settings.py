# SPDX-License-Identifier: Apache-2.0
"""What people write into the settings of applications and that would be taken for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import assistant.__main__
import captions.__main__
import coaching.settings
import notes.__main__
import pytest
from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner
from moderation.policy import Category, Policy

from audio_connector import UsageError
from audio_connector.engines.retrieval import Entry
from audio_connector.live import LivePage
from audio_connector.live.settings import AppSettings
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, ScriptedHearing, ScriptedVoice, WordEmbedder

ENGINES: dict[str, Any] = {"recogniser": {}, "embedder": {}}
ITEM = {"name": "greet", "phrases": ["Hello!"]}


@pytest.mark.parametrize(
    ("settings", "values", "error"),
    [
        (assistant.__main__.Settings, {"talk": {"phrases": {"greeting": " "}}}, "talk.phrases.greeting="),
        (assistant.__main__.Settings, {"unknown": ""}, "unknown=''"),
        (
            assistant.__main__.Settings,
            {"language": "de", "recogniser": {"model": "tiny.en"}},
            "'tiny.en' of recogniser knows English only",
        ),
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


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[categories.x]", "categories.x finds nothing; expected words"),
        ("[categories.x]\nwords = ['C++']", "got the rule 'C..'; expected words as they are spoken"),
        ("[categories.x]\nmeaning = ['', '...']", "expected sentences with words in them"),
        ("[categories.x]\nmeaning = ['You are mad.']\nnearness = '0.5'", "expected a number above 0"),
        ("categories = ['x']", "expected a table"),
    ],
)
def test_a_policy_that_would_find_nothing_or_anything_is_refused(
    text: str, error: str, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=error):
        Policy.read(path)


def test_a_mark_within_a_word_is_part_of_it() -> None:
    policy = Policy([Category("x", words=["R&B", "don't", "self-harm!"])])
    assert [each.rule for each in policy.find("Don't play R&B.")] == ["don't", "R&B"]


class Asked(ScriptedEars):
    """Ears that note the languages."""

    def __init__(self) -> None:
        super().__init__(["wo sind Sie?"])
        self.languages: set[str | None] = set()

    def hear(self, *, sample_rate: int, language: str | None = None) -> ScriptedHearing:
        self.languages.add(language)
        return super().hear(sample_rate=sample_rate, language=language)


@in_virtual_time
@pytest.mark.parametrize("partials", [False, True])
async def test_the_recogniser_of_an_assistant_is_told_the_language(partials: bool) -> None:
    ears, voice = Asked(), ScriptedVoice()
    brain = Brain([Entry(("wo sind Sie",), "In Wien.")], WordEmbedder())
    app = Assistant(
        ears,
        voice,
        brain,
        page=LivePage(Path(assistant.__file__).with_name("page.html")),
        manner=Manner(partials=partials),
        language="de",
    )
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say("sample:he-was-not")
        assert (await call.reply()).matches(Audio(voice.audio_of("In Wien."), voice.sample_rate))
    assert ears.languages == {"de"}
