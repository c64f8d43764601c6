# SPDX-License-Identifier: Apache-2.0
"""Scenarios in YAML: read, and where something is wrong, the line that it is in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_connector.audio.wav import FilePath
from audio_connector.errors import UsageError
from audio_connector.simulator.scenario import Scenario

if TYPE_CHECKING:
    import yaml

MAX_FILE_BYTES: Final = 4 << 20
"""A scenario with ten thousand steps has half of it."""


def load_scenario(path: FilePath) -> Scenario:
    """Read a scenario's file. Paths in it are looked for in its folder.

    Args:
        path: A YAML file (JSON is YAML as well); ``docs`` describe its words.

    Raises:
        UsageError: The file cannot be read, is not YAML, or has a value that a scenario cannot have; the text names
            the file, the line, the place in it, and what is expected.
    """
    name = os.fspath(path)
    file = Path(os.fsdecode(name))
    return parse_scenario(_read(file), name=str(file)).in_folder(file.parent)


def parse_scenario(text: str, *, name: str = "scenario") -> Scenario:
    """Read a scenario's text.

    Args:
        text: YAML.
        name: What to call it in errors.

    Raises:
        UsageError: As `load_scenario`.
    """
    root = _compose(text, name)
    values = _construct(root, name)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{name}: expected a mapping of a scenario's fields, such as 'participants:'")
    try:
        return Scenario(**values)
    except UsageError as error:
        if not error.faults:
            raise
        lines = [_where(root, fault.loc, name) + fault.text for fault in error.faults]
        raise UsageError("; ".join(lines)) from error


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"{file}: {file.stat().st_size} bytes are no scenario; expected {MAX_FILE_BYTES} at most"
            )
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not a text in UTF-8, from byte {error.start} on") from error


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        import yaml  # noqa: PLC0415 - of the extra cli
    except ImportError as error:
        raise UsageError(
            f"{name}: reading a scenario needs PyYAML: pip install 'audio-connector[cli]'"
        ) from error
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{name}{at}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    _refuse_doubles(root, name)
    return root


def _construct(root: yaml.Node | None, name: str) -> Any:  # noqa: ANN401 - whatever the file holds
    import yaml  # noqa: PLC0415 - of the extra cli

    if root is None:
        raise UsageError(f"{name}: the file is empty; expected a scenario")
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def _refuse_doubles(node: yaml.Node | None, name: str) -> None:
    """YAML's own answer to a key that comes twice is to forget the first."""
    import yaml  # noqa: PLC0415 - of the extra cli

    waiting, seen = [node], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.SequenceNode):
            waiting += each.value
        elif isinstance(each, yaml.MappingNode):
            keys = set()
            for key, value in each.value:
                if key.value in keys:
                    raise UsageError(f"{name}, line {key.start_mark.line + 1}: {key.value!r} comes twice")
                if isinstance(key, yaml.ScalarNode):
                    keys.add(key.value)
                waiting.append(value)


def _where(root: yaml.Node | None, loc: Sequence[str | int], name: str) -> str:
    """The file, the line and the place, with a colon and a blank."""
    import yaml  # noqa: PLC0415 - of the extra cli

    node, line = root, 0
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    parents = ".".join(str(part) for part in loc[:-1])
    return f"{name}, line {line + 1}: {f'{parents}: ' if parents else ''}"
