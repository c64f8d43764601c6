# SPDX-License-Identifier: Apache-2.0
"""Scenarios in YAML: read, and where something is wrong, the line that it is in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from audio_connector.audio.wav import FilePath, read_wav
from audio_connector.errors import AudioFileError, Fault, UsageError
from audio_connector.simulator.samples import is_sample
from audio_connector.simulator.scenario import Scenario
from audio_connector.simulator.script import SayText
from audio_connector.simulator.yaml_file import YamlFile, read_text


def load_scenario(path: FilePath) -> Scenario:
    """Read a scenario's file. Paths in it are looked for in its folder.

    Args:
        path: A YAML file (JSON is YAML as well); ``docs`` describe its words.

    Raises:
        UsageError: The file cannot be read, is not YAML, or has a value that a scenario cannot have, such as a WAV
            or a persona that is none; the text names the file, the line, the place in it, and what is expected.
    """
    file = Path(os.fsdecode(os.fspath(path)))
    opened = YamlFile(read_text(file, kind="scenario"), str(file), kind="scenario")
    scenario = _with_personas(opened.values(Scenario).in_folder(file.parent), opened)
    for loc, wav in _paths_of(scenario):
        try:
            read_wav(wav)
        except AudioFileError as error:
            is_text = not (Path(wav).suffix or Path(wav).exists())
            hint = f'; words to be spoken are written {{text: "{Path(wav).name}"}}' if is_text else ""
            raise AudioFileError(opened.told(Fault(loc, f"{loc[-1]}: {error}{hint}"))) from error
    return scenario


def parse_scenario(text: str, *, name: str = "scenario") -> Scenario:
    """Read a scenario's text.

    Args:
        text: YAML.
        name: What to call it in errors.

    Raises:
        UsageError: As `load_scenario`; but whether a WAV can be read is not looked at.
    """
    return YamlFile(text, name, kind="scenario").values(Scenario)


def _with_personas(scenario: Scenario, opened: YamlFile) -> Scenario:
    participants = []
    for number, participant in enumerate(scenario.participants):
        try:
            participants.append(participant.with_persona())
        except UsageError as error:
            fault = Fault(("participants", number, "persona"), f"persona: {error}")
            raise UsageError(opened.told(fault)) from error
    return scenario.model_copy(update={"participants": tuple(participants)})


def _paths_of(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every WAV file that is said, once, and where it stands."""
    seen = set()
    for number, participant in enumerate(scenario.participants):
        here: tuple[str | int, ...] = ("participants", number)
        says = [((*here, "say"), participant.say)]
        says += [((*here, "steps", at, "say"), step.say) for at, step in enumerate(participant.steps)]
        for loc, say in says:
            path = None if say is None or isinstance(say, bytes | SayText) else str(say)
            if path is not None and path not in seen and not is_sample(path):
                seen.add(path)
                yield loc, path
