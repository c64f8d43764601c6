# SPDX-License-Identifier: Apache-2.0
"""Values in a YAML file: read, and where something is wrong, the line that it is in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from audio_connector.audio.wav import FilePath
from audio_connector.errors import Fault, UsageError
from audio_connector.simulator.yaml_nodes import YamlFault, compose, construct, line_of
from audio_connector.validation import FrozenValues

ValuesT = TypeVar("ValuesT", bound=FrozenValues)

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


def read_text(path: FilePath, *, kind: str) -> str:
    """Read a file of text that is not too long.

    Args:
        path: The file.
        kind: What it should be.

    Raises:
        UsageError: It cannot be read, or is no such file.
    """
    file = Path(os.fsdecode(os.fspath(path)))
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:  # a zero in the name
        raise UsageError(f"{str(file)!r} is no path: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{file}: more than {MAX_FILE_BYTES} bytes are no {kind}; is it the right file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {line}: not a text in UTF-8; is it the right file?") from error


_WORDS: Final = {"scenario": "participants", "persona": "goal"}
"""A word that each kind of file has, and the other has not."""


class YamlFile:
    """A file that is being read.

    Args:
        text: YAML.
        name: What it is called in errors.
        kind: What it should be: "scenario".

    Raises:
        UsageError: It is empty, or no YAML.
    """

    def __init__(self, text: str, name: str, *, kind: str) -> None:
        self._name = name
        self._kind, self._word = kind, _WORDS[kind]
        try:
            self._root = compose(text)
            self._values: Any = None if self._root is None else construct(self._root)
        except YamlFault as fault:
            line = "" if fault.line is None else f", line {fault.line}"
            raise UsageError(f"{name}{line}: {fault}") from fault
        if self._values is None:
            raise UsageError(f"{name}: the file is empty; expected a {kind}, with '{self._word}:' in it")

    def values(self, model: type[ValuesT]) -> ValuesT:
        """Make a model of it.

        Raises:
            UsageError: A value that it cannot have; the text names the line and the place.
        """
        if not isinstance(self._values, dict):
            raise UsageError(f"{self._name}: expected a {self._kind}'s words, such as '{self._word}:'")
        other = next((kind for kind, word in _WORDS.items() if word in self._values), self._kind)
        if other != self._kind and self._word not in self._values:
            raise UsageError(
                f"{self._name} is a {other}; expected a {self._kind}; a {other} goes to --{other}"
            )
        try:
            return model(**self._values)
        except UsageError as error:
            if not error.faults:
                raise
            raise UsageError("; ".join(map(self.told, _telling(error.faults)))) from error

    def told(self, fault: Fault) -> str:
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
