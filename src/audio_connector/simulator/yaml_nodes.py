# SPDX-License-Identifier: Apache-2.0
"""YAML with the lines of what it holds: as JSON has it, with keys that are words, each once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from audio_connector.errors import UsageError

if TYPE_CHECKING:
    import yaml

MAX_VALUES: Final = 1_000_000
"""Values of a file whose aliases are written out; a few lines can stand for billions."""

MAX_DEPTH: Final = 100
"""Levels of a file; Python's own recursion is not for any depth."""

MAX_BITS: Final = 1024
"""Of a whole number: all that has a place among floats. Python does not even write one of some thousand digits."""

_TAG: Final = "tag:yaml.org,2002:"


class YamlFault(Exception):
    """What is wrong with a file.

    Attributes:
        line: Where, counted from 1; None where it is not known.
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def compose(text: str) -> yaml.Node | None:
    """Read YAML into nodes, which know their lines; None where there is nothing in it.

    Raises:
        YamlFault: It is not YAML, a key is no word or comes twice, or it stands for far too much.
        UsageError: PyYAML is not installed.
    """
    loader = _loader()
    import yaml  # noqa: PLC0415 - of the extra cli

    try:
        root: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        says = ", ".join(part for part in (error.context, error.problem) if part)
        if "'\\t'" in says:
            says += "; indent with blanks, not with tabs"
        raise YamlFault(f"not YAML: {says}", mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlFault(
            f"not YAML: the character {chr(error.character)!a} cannot stand in it", line
        ) from error
    except RecursionError as error:
        raise YamlFault("not YAML: nested too deeply") from error
    if root is not None:
        _check(root, {}, 0)
    return root


def construct(root: yaml.Node) -> Any:  # noqa: ANN401 - whatever the file holds
    """Make values of nodes.

    Raises:
        YamlFault: A value is not what its tag says, or its tag is not known.
    """
    import yaml  # noqa: PLC0415 - of the extra cli

    loader = _loader()("")
    try:
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFault(error.problem or "not a value", mark.line + 1 if mark else None) from error
    finally:
        loader.dispose()


def line_of(root: yaml.Node | None, loc: Sequence[str | int]) -> int:
    """Return the line of a place, or of the innermost one around it that is there."""
    import yaml  # noqa: PLC0415 - of the extra cli

    node, line = root, 0
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            # From behind, because what a merge has brought in stands in front, and counts less.
            found = next((pair for pair in reversed(node.value) if pair[0].value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


@cache
def _loader() -> type[yaml.SafeLoader]:
    try:
        import yaml  # noqa: PLC0415 - of the extra cli
    except ImportError as error:
        raise UsageError("reading a scenario needs PyYAML: pip install 'audio-connector[cli]'") from error

    class Loader(yaml.SafeLoader):
        """Values as JSON has them: what looks like a date is a text. Every error has its line."""

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401
            kind = node.tag.removeprefix(_TAG)
            if node.tag not in self.yaml_constructors:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the tag {kind!r} is not known here; leave it out", node.start_mark
                )
            try:
                value = super().construct_object(node, deep=deep)
                if isinstance(value, int) and value.bit_length() > MAX_BITS:
                    raise OverflowError(f"more than {MAX_BITS} bits")
            except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
                # Whatever PyYAML stumbles over in a value that has another form than its tag says.
                shown = f"{node.value[:40]!r}" if isinstance(node, yaml.ScalarNode) else "this"
                says = f"{shown} cannot be read as {kind}"
                raise yaml.constructor.ConstructorError(None, None, says, node.start_mark) from error
            return value

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    return Loader


def _check(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """Return how many values a node stands for, aliases written out."""
    import yaml  # noqa: PLC0415 - of the extra cli

    line = node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise YamlFault(f"nested deeper than {MAX_DEPTH} levels, or inside itself", line)
    if id(node) in sizes:
        return sizes[id(node)]
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_check(each, sizes, depth + 1) for each in node.value)
    elif isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            key_line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise YamlFault(
                    f"{shown} is no key; expected a word, in quotes where it looks like something else",
                    key_line,
                )
            if key.value in keys:
                raise YamlFault(f"{key.value!r} comes twice", key_line)
            keys.add(key.value)
            size += _check(value, sizes, depth + 1)
    if size > MAX_VALUES:
        raise YamlFault(f"with its aliases written out, the file has more than {MAX_VALUES} values", line)
    sizes[id(node)] = size
    return size
