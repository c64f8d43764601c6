# SPDX-License-Identifier: Apache-2.0
"""Commands that pages show: subcommands and options are those that there are, and ``make`` has the targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from audio_connector.cli.app import app_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")])

COMMANDS = {
    name: {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    | {"--help", "-h"}
    for name, command in typer.main.get_command(app_of()).commands.items()  # type: ignore[attr-defined]  # a group
}


def shown_commands(text: str) -> list[list[str]]:
    """The words of each call of ``audio-connector`` or ``make`` in the console blocks of a page."""
    blocks = re.findall(r"^( *)```console\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for _, block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line[1:], comments=True) for line in lines if line.startswith("$")]
    return [each for each in words if each and each[0] in ("audio-connector", "make")]


def command_faults(words: list[str], targets: set[str]) -> list[str]:
    """A subcommand, an option or a target that there is not."""
    if words[0] == "make":
        return [
            word for word in words[1:] if "=" not in word and not word.startswith("-") and word not in targets
        ]
    named = words[1] if len(words) > 1 else "--help"
    if named.startswith("-"):
        return [] if named in ("--help", "--version", "-h") else [named]
    if named not in COMMANDS:
        return [named]
    return [
        f"{named} {word}"
        for word in words[2:]
        if word.startswith("-") and word.split("=")[0] not in COMMANDS[named]
    ]


def make_targets() -> set[str]:
    """Those that are named, and the applications, which one rule is for."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    one_for_all = "\n$(APPLICATIONS):" in makefile
    return named | {path.parent.name for path in (ROOT / "examples").glob("*/app.py") if one_for_all}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_those_that_there_are(page: Path) -> None:
    targets = make_targets()
    shown = shown_commands(page.read_text(encoding="utf-8"))
    assert [fault for words in shown for fault in command_faults(words, targets)] == []


# What follows shows, on bad input, that the check above can fail.


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("audio-connector nothing", ["nothing"]),
        ("audio-connector new my-bot --ap assistant", ["new --ap"]),
        ("audio-connector simulate ws://h --fail-on='a>1' \\\n    --nope", ["simulate --nope"]),
        ("audio-connector --nope", ["--nope"]),
        ("make nothing ARGS=--keep", ["nothing"]),
        ("audio-connector new --list  # all --of them", []),
        ("audio-connector --version", []),
        ("make test WORKERS=0", []),
    ],
)
def test_a_command_that_there_is_not_is_found(line: str, fault: list[str]) -> None:
    (words,) = shown_commands(f"- a\n\n    ```console\n    $ {line}\n    made\n    ```\n")
    assert command_faults(words, {"test"}) == fault
