# SPDX-License-Identifier: Apache-2.0
"""The wheel has the applications where `audio-connector new` looks for them, and asks for what it was tried with."""

from __future__ import annotations

import re
import runpy
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.small_application import write_application

from audio_connector.cli.projects import applications

ROOT = Path(__file__).parents[2]
HOOK = runpy.run_path(str(ROOT / "hatch_build.py"))


def test_the_wheel_has_all_of_an_application_but_its_pictures(tmp_path: Path) -> None:
    folder = write_application(tmp_path / "examples")
    (tmp_path / "examples" / "echo.py").touch()
    placed = HOOK["_applications"](tmp_path)
    needed = [
        *applications.Application("parrot", folder).files(),
        folder / "test_parrot.py",
        folder / "requirements.txt",
    ]
    assert placed == {
        str(path): f"{HOOK['APPLICATIONS']}/parrot/{path.name}" for path in [*needed, folder / "README.md"]
    }


def test_they_are_put_where_they_are_looked_for() -> None:
    shelf = Path(applications.__file__).parent / "sources"
    assert shelf.parts[-4:] == Path(HOOK["APPLICATIONS"]).parts


def test_an_image_without_examples_can_be_built(tmp_path: Path) -> None:
    assert HOOK["_applications"](tmp_path) == {}


@pytest.mark.parametrize("name", ["picows", "aiofastnet"])
def test_of_what_we_know_the_inside_no_other_minor_version_will_do(name: str) -> None:
    """Classes of theirs that are not public have ours below them, and modules have come and gone: 1.1 lacks one."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [line] = re.findall(rf'"({name}>=[^"]+)"', text)
    allowed, tried = Requirement(line).specifier, Version(version(name))
    assert tried in allowed
    assert Version(f"{tried.major}.{tried.minor - 1}.99") not in allowed
    assert Version(f"{tried.major}.{tried.minor + 1}.0") not in allowed
