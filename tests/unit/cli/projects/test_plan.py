# SPDX-License-Identifier: Apache-2.0
"""A project from an application: its files, its name, and that nothing is ever written over."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name
from support.small_application import FILES, write_application

from audio_connector import UsageError, __version__
from audio_connector.cli.projects.applications import Application
from audio_connector.cli.projects.plan import check_name, plan, write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OF_A_PROJECT = [
    *(".dockerignore", ".github/workflows/ci.yml", ".gitignore", "AGENTS.md", "Dockerfile", "README.md"),
    *("models.txt", "parrot/__init__.py", "parrot/__main__.py", "parrot/app.py", "parrot/page.html"),
    *("parrot/scenario.yaml", "parrot/settings.toml", "pyproject.toml", "tests/test_parrot.py"),
]


@pytest.fixture
def parrot(tmp_path: Path) -> Application:
    return Application("parrot", write_application(tmp_path / "shelf"))


@pytest.fixture
def project(parrot: Application) -> dict[str, bytes]:
    return plan("my-bot", parrot)


def test_it_has_all_that_a_project_has(project: dict[str, bytes]) -> None:
    assert list(project) == OF_A_PROJECT
    for way in ("app.py", "settings.toml", "scenario.yaml"):
        assert project[f"parrot/{way}"].decode() == FILES[way]
    assert project["tests/test_parrot.py"].decode() == FILES["test_parrot.py"]


def test_nothing_is_left_to_be_filled_in(project: dict[str, bytes]) -> None:
    assert [way for way, content in project.items() if b"@@" in content] == []


def test_its_metadata_is_what_pip_takes(project: dict[str, bytes], parrot: Application) -> None:
    told = tomllib.loads(project["pyproject.toml"].decode())["project"]
    assert told["name"] == "my-bot"
    assert told["description"] == parrot.summary
    library, other = told["dependencies"]
    assert re.fullmatch(rf"audio-connector\[cli,live\]>={re.escape(__version__)},<\d+(\.\d+)?", library)
    assert other == "some-package>=2"


def test_its_workflow_runs_its_test(project: dict[str, bytes]) -> None:
    workflow = yaml.safe_load(project[".github/workflows/ci.yml"])
    steps = [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert "python -m pytest" in steps
    assert workflow["jobs"]["test"]["steps"][1]["with"]["python-version"] == "${{ matrix.python }}"


def test_agents_are_told_what_each_file_is_for(project: dict[str, bytes]) -> None:
    text = project["AGENTS.md"].decode()
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", text, flags=re.MULTILINE))
    assert rows.keys() == {way for way in OF_A_PROJECT if way.startswith(("parrot/", "tests/"))}
    assert rows["parrot/app.py"] == "The application."


@pytest.mark.parametrize(
    "name",
    ["", "-bot", "bot-", "my bot", "my/bot", "..", "1bot", "bot--1", "bøt", "class", "None", "x" * 61, "a\n"],
)
def test_a_name_that_packaging_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="as the name of a project; expected letters"):
        check_name(name)


@pytest.mark.parametrize("name", ["audio-connector", "Audio_Connector", "pytest", "NumPy", "faster_whisper"])
def test_a_name_of_what_the_project_needs_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="needs a package of that name"):
        check_name(name)


@pytest.mark.parametrize("name", ["b", "my-bot", "My_Bot.2", "x" * 60])
def test_a_name_that_packaging_takes_is_taken(name: str) -> None:
    check_name(name)
    assert canonicalize_name(name, validate=True)


def test_it_is_written_where_nothing_is(project: dict[str, bytes], tmp_path: Path) -> None:
    for folder in (tmp_path / "new" / "my-bot", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        write(project.items(), folder)
        written = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert written == project


def test_what_is_there_is_left_alone(project: dict[str, bytes], tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    for there, said in ((theirs, "is not empty"), (theirs / "notes.txt", "is a file")):
        with pytest.raises(UsageError, match=said):
            write(project.items(), there)
    assert [(path.name, path.read_text()) for path in theirs.iterdir()] == [("notes.txt", "mine")]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file stands where a folder has to be: as a full disk, it shows in the middle."""
    with pytest.raises(OSError, match="b"):
        write([("a/b", b""), ("a/b/c", b"")], tmp_path / "new" / "my-bot")
    assert list(tmp_path.glob("new")) == []


def test_what_comes_there_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "my-bot"

    def items() -> Iterator[tuple[str, bytes]]:
        yield "a.txt", b"ours"
        (folder / "b.txt").write_text("theirs")
        yield "b.txt", b"ours"

    with pytest.raises(FileExistsError):
        write(items(), folder)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("b.txt", "theirs")]
