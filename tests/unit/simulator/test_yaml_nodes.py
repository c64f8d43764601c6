# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
from typing import Any

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator import yaml_nodes
from audio_connector.simulator.yaml_nodes import YamlFault, compose, construct, line_of


def value_of(text: str) -> Any:
    root = compose(text)
    assert root is not None
    return construct(root)


def test_values_are_as_json_has_them() -> None:
    assert value_of("{a: [1, 1.5, true, null, 'x'], b: {c: yes}, d: 2026-03-23, e: 12:30:00, f: 0x10}") == {
        "a": [1, 1.5, True, None, "x"],
        "b": {"c": True},
        "d": "2026-03-23",  # a date is a text
        "e": 45000,
        "f": 16,
    }
    assert compose("") is None
    assert compose("# nothing") is None


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: 1\na: 2\n", 2, "'a' comes twice"),
        ("x:\n  - {b: 1, b: 2}\n", 2, "'b' comes twice"),
        ("a: 1\n<<: {a: 2}\n<<: {a: 3}\n", 3, "'<<' comes twice"),
        ("a:\n  5: x\n", 2, "'5' is no key; expected a word, in quotes where it looks like something else"),
        ("on: x\n", 1, "'on' is no key; expected a word, in quotes where it looks like something else"),
        ("? [a, b]\n: c\n", 1, "a list or a mapping is no key; expected a word, in quotes where it looks like something else"),
        ("a: !!python/object:os.system [x]\n", 1, "the tag 'python/object:os.system' is not known here; leave it out"),
        ("a: 1\nb: !thing x\n", 2, "the tag '!thing' is not known here; leave it out"),
        ("? !!str [a]\n: c\n", 1, "a list or a mapping is no key; expected a word, in quotes where it looks like something else"),
        ("a: 1\nb: !!int x\n", 2, "'x' cannot be read as int"),
        ("a: !!bool x\n", 1, "'x' cannot be read as bool"),
        ("a: !!timestamp x\n", 1, "'x' cannot be read as timestamp"),
        ("a: !!int ''\n", 1, "'' cannot be read as int"),
        ("a: 0x" + "f" * 257, 1, f"'0x{'f' * 38}' cannot be read as int"),
        ("a: " + "9" * 5000, 1, f"'{'9' * 40}' cannot be read as int"),
        ("a: [\n", 2, "not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("a: b: c\n", 1, "not YAML: mapping values are not allowed here"),
        ("a: *b\n", 1, "not YAML: found undefined alias 'b'"),
        ("a: 1\n--- b\n", 2, "not YAML: expected a single document in the stream, but found another document"),
        ("a: \x07\n", 1, "not YAML: the character '\\x07' cannot stand in it"),
        ("a: 1\nb: \ud800\n", 2, "not YAML: the character '\\ud800' cannot stand in it"),
        ("a:\n\t- b\n", 2, "not YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent with blanks, not with tabs"),
        ("a: &a\n  b: *a\n", 1, "nested deeper than 100 levels, or inside itself"),
        ("[" * 102 + "]" * 102, 1, "nested deeper than 100 levels, or inside itself"),
        ("[" * 5000 + "]" * 5000, None, "not YAML: nested too deeply"),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int | None, told: str) -> None:
    with pytest.raises(YamlFault) as caught:
        value_of(text)
    assert (caught.value.line, str(caught.value)) == (line, told)


def test_a_few_lines_that_stand_for_billions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(YamlFault, match="more than 1000000 values") as caught:
        value_of("\n".join(lines))
    assert caught.value.line == 6


def test_aliases_as_people_use_them_are_fine() -> None:
    assert value_of("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\nf: {<<: *x, b: 3}\n") == {
        "a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}, "f": {"b": 3},
    }  # fmt: skip


TEXT = """\
a: 1
b:
  - c: 1

  - c: 2
    d: [x,
        y]
e: &e {f: 1}
g:
  <<: *e
  f: 2
"""


@pytest.mark.parametrize(
    ("loc", "line"),
    [
        ((), 1),
        (("a",), 1),
        (("b",), 2),
        (("b", 0), 3),
        (("b", 1), 5),
        (("b", 1, "c"), 5),
        (("b", 1, "d"), 6),
        (("b", 1, "d", 1), 7),
        (("e", "f"), 8),
        (("g", "f"), 11),
        # The innermost that is there.
        (("z",), 1),
        (("b", 7), 2),
        (("b", "x"), 2),
        (("b", 1, "z"), 5),
        (("b", 1, "c", "deeper", 5), 5),
    ],
)
def test_the_line_of_a_place(loc: tuple[str | int, ...], line: int) -> None:
    root = compose(TEXT)
    assert root is not None
    construct(root)  # which merges, and so moves nodes about
    assert line_of(root, loc) == line


def test_without_pyyaml_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    yaml_nodes._loader.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError) as caught:
        compose("a: 1")
    assert str(caught.value) == "reading a scenario needs PyYAML: pip install 'audio-connector[cli]'"
