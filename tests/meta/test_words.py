# SPDX-License-Identifier: Apache-2.0
"""What users write and read, in the code and in the docs: every figure, option and word of a scenario has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from audio_connector.cli.app import app_of
from audio_connector.simulator import METRICS, PROFILES, Impairments, Participant, Scenario
from audio_connector.simulator.script import VERBS
from audio_connector.simulator.talk.expect import Expect
from audio_connector.simulator.talk.persona import Judge, Persona, Rule
from audio_connector.simulator.talk.words import Wanted

DOCS = Path(__file__).parents[2] / "docs" / "testing"
SIMULATOR = (DOCS / "simulator.md").read_text(encoding="utf-8")
SCENARIOS = (DOCS / "scenarios.md").read_text(encoding="utf-8")
TALKING = (DOCS / "talking.md").read_text(encoding="utf-8")
CHECK = (DOCS / "check.md").read_text(encoding="utf-8")
PLAYGROUND = (DOCS / "playground.md").read_text(encoding="utf-8")


def table_words(text: str, heading: str) -> set[str]:
    """The words in backticks in the first column of the table below a heading."""
    found = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|^:::|\Z)", text, flags=re.MULTILINE | re.DOTALL
    )
    assert found, f"no heading {heading!r}"
    cells = re.findall(r"^\| (`[^|]*) \|", found.group(1), flags=re.MULTILINE)
    return {re.split(r"[: ]", word)[0] for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_every_figure_is_explained() -> None:
    assert table_words(SIMULATOR, "What it reports") == set(METRICS)


def test_every_word_of_a_scenario_is_explained() -> None:
    assert table_words(SCENARIOS, "The whole") == set(Scenario.model_fields)
    assert table_words(SCENARIOS, "A participant") == set(Participant.model_fields)
    assert table_words(SCENARIOS, "A step") - {"destroyed"} == set(VERBS)
    assert table_words(SCENARIOS, "Impairments") == set(Impairments.model_fields)


def test_every_word_of_a_caller_that_talks_is_explained() -> None:
    assert table_words(TALKING, "What has to be true of the words") == set(Expect.model_fields)
    assert table_words(TALKING, "A persona") == set(Persona.model_fields)
    assert table_words(TALKING, "A rule") == set(Rule.model_fields)
    assert table_words(TALKING, "The judge") == set(Judge.model_fields)
    for way in Wanted.ways:
        assert f"`{{{way}: " in TALKING


@pytest.mark.parametrize(
    ("name", "page", "heading"),
    [
        ("simulate", SIMULATOR, "Call your server"),
        ("check", CHECK, "Options"),
        ("playground", PLAYGROUND, "Call your own bot"),
    ],
)
def test_every_option_of_a_command_is_explained(name: str, page: str, heading: str) -> None:
    command = typer.main.get_command(app_of()).commands[name]  # type: ignore[attr-defined]  # a group has them
    options = [{*each.opts, *each.secondary_opts} for each in command.params if each.opts[0].startswith("-")]
    explained = {word for word in table_words(page, heading) if word.startswith("--")}
    assert explained <= set().union(*options)
    # Of a flag with two forms one is enough: that which is not what happens anyhow.
    assert [names for names in options if not names & explained] == []


def test_every_profile_has_its_column() -> None:
    heading = next(line for line in SIMULATOR.splitlines() if line.startswith("| | `"))
    assert re.findall(r"`(\w+)`", heading) == list(PROFILES)


def test_a_missing_row_is_found() -> None:
    assert table_words("## A\n\n| `x: Y` or `z` | t |\n## B\n| `q` | |\n", "A") == {"x", "z"}
