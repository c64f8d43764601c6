# SPDX-License-Identifier: Apache-2.0
"""The page that builds an assistant: its test passes, as a reader would run it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.inner_pytest import OPTIONS, run_python
from support.titled import titled_blocks

from audio_connector.engines import engine_of
from audio_connector.engines.retrieval import read_knowledge
from audio_connector.simulator import load_scenario

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("first")
    for name, text in titled_blocks("first-assistant.md").items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_its_test_passes(folder: Path) -> None:
    ended = run_python("-m", "pytest", *OPTIONS, folder=folder)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("file", "voice"), [("settings.toml", "Piper"), ("cloud.toml", "ElevenLabsSynthesiser")]
)
def test_its_settings_name_engines_that_there_are(file: str, voice: str) -> None:
    settings = tomllib.loads(titled_blocks("first-assistant.md")[file])
    engines = {job: engine_of(job, table) for job, table in settings.items()}
    assert {job: type(engine).__name__ for job, engine in engines.items()} == {
        "recogniser": "FasterWhisper",
        "synthesiser": voice,
        "embedder": "MiniLm",
    }


def test_its_program_takes_other_settings(folder: Path) -> None:
    words = (folder / "cloud.toml").read_text(encoding="utf-8").replace("elevenlabs", "parrot")
    (folder / "parrot.toml").write_text(words, encoding="utf-8")
    ended = run_python("main.py", "parrot.toml", folder=folder)
    assert "got engine 'parrot' as synthesiser" in ended.stderr


def test_its_caller_is_a_scenario(folder: Path) -> None:
    scenario = load_scenario(folder / "call.yaml")
    assert len(scenario.participants[0].steps) == 3


def test_its_knowledge_has_three_answers(folder: Path) -> None:
    assert [entry.asks[0] for entry in read_knowledge(folder / "knowledge.md")] == [
        *("When are you open?", "How much is a repair?", "Where are you?")
    ]
