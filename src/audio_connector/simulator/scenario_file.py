# SPDX-License-Identifier: Apache-2.0
"""Scenarios in YAML: read, and where something is wrong, the line that it is in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from audio_connector.audio.wav import FilePath, read_wav
from audio_connector.errors import AudioFileError, Fault, UsageError
from audio_connector.simulator.samples import is_sample
from audio_connector.simulator.scenario import Scenario
from audio_connector.simulator.yaml_nodes import YamlFault, compose, construct, line_of

MAX_FILE_BYTES: Final = 1 << 20
"""A scenario with ten thousand steps has half of it."""

_IN_WORDS_OF_YAML: Final = (
    (r"input should be a valid tuple", "expected a list"),
    (r"input should be a valid dictionary or instance of \w+", "expected a mapping, such as {name: value}"),
    (r"input should be a valid dictionary", "expected a mapping, such as {name: value}"),
    (r"tuple should have at most (\d+) items after validation, not .*", r"expected at most \1 of them"),
    (r"input should be True", "expected true"),
)
"""What is said of Python's values, and what of a file's."""


def load_scenario(path: FilePath) -> Scenario:
    """Read a scenario's file. Paths in it are looked for in its folder.

    Args:
        path: A YAML file (JSON is YAML as well); ``docs`` describe its words.

    Raises:
        UsageError: The file cannot be read, is not YAML, or has a value that a scenario cannot have, such as a WAV
            that is none; the text names the file, the line, the place in it, and what is expected.
    """
    name = os.fspath(path)
    file = Path(os.fsdecode(name))
    return _Reading(_read(file), str(file)).scenario(file.parent)


def parse_scenario(text: str, *, name: str = "scenario") -> Scenario:
    """Read a scenario's text.

    Args:
        text: YAML.
        name: What to call it in errors.

    Raises:
        UsageError: As `load_scenario`; but whether a WAV can be read is not looked at.
    """
    return _Reading(text, name).scenario()


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:  # a zero in the name
        raise UsageError(f"{str(file)!r} is no path: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{file}: more than {MAX_FILE_BYTES} bytes are no scenario; is it the right file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {line}: not a text in UTF-8; is it the right file?") from error


class _Reading:
    """One scenario that is being read.

    Args:
        text: YAML.
        name: What it is called in errors.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        try:
            self._root = compose(text)
            self._values: Any = None if self._root is None else construct(self._root)
        except YamlFault as fault:
            line = "" if fault.line is None else f", line {fault.line}"
            raise UsageError(f"{name}{line}: {fault}") from fault
        if self._values is None:
            raise UsageError(f"{name}: the file is empty; expected a scenario, with 'participants:' in it")

    def scenario(self, folder: Path | None = None) -> Scenario:
        """Return it; with a folder, its paths are looked for there, and its WAV files are read once."""
        if not isinstance(self._values, dict):
            raise UsageError(f"{self._name}: expected a scenario's words, such as 'participants:'")
        try:
            scenario = Scenario(**self._values)
        except UsageError as error:
            if not error.faults:
                raise
            raise UsageError("; ".join(map(self._told, _telling(error.faults)))) from error
        if folder is None:
            return scenario
        scenario = scenario.in_folder(folder)
        for loc, path in _paths_of(scenario):
            try:
                read_wav(path)
            except AudioFileError as error:
                raise AudioFileError(self._told(Fault(loc, f"{loc[-1]}: {error}"))) from error
        return scenario

    def _told(self, fault: Fault) -> str:
        """File, line, place, and what is wrong."""
        *parents, last = fault.loc if fault.loc else ("",)
        text = fault.text
        if isinstance(last, int) and text.startswith(f"{last}="):
            text = text.removeprefix(f"{last}=")
        elif last != "" and re.match(rf"{re.escape(str(last))}\b", text) and not isinstance(last, int):
            last = ""  # the text names it
        place = ".".join(str(part) for part in (*parents, last) if part != "")
        for theirs, ours in _IN_WORDS_OF_YAML:
            text = re.sub(theirs, ours, text)
        return f"{self._name}, line {line_of(self._root, fault.loc)}: {f'{place}: ' if place else ''}{text}"


def _telling(faults: Sequence[Fault]) -> list[Fault]:
    """Without what is missing only because its name has a typo."""
    meant = {
        match[1]
        for fault in faults
        if (match := re.search(r"; did you mean '(\w+)'\?$", fault.text)) is not None
    }
    return [fault for fault in faults if fault.text.removesuffix(" is missing") not in meant]


def _paths_of(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every WAV file that is said, once, and where it stands."""
    seen = set()
    for number, participant in enumerate(scenario.participants):
        here: tuple[str | int, ...] = ("participants", number)
        says = [((*here, "say"), participant.say)]
        says += [((*here, "steps", at, "say"), step.say) for at, step in enumerate(participant.steps)]
        for loc, say in says:
            path = None if say is None or isinstance(say, bytes) else str(say)
            if path is not None and path not in seen and not is_sample(path):
                seen.add(path)
                yield loc, path
