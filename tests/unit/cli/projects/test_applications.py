# SPDX-License-Identifier: Apache-2.0
"""Which folders are applications, and what of them belongs into a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_application import write_application

from audio_connector import UsageError
from audio_connector.cli.projects.applications import MARKS, Application, applications


def test_what_belongs_into_a_project(tmp_path: Path) -> None:
    folder = write_application(tmp_path)
    application = Application("parrot", folder)
    assert [path.name for path in application.files()] == [
        *("__init__.py", "__main__.py", "app.py", "page.html", "scenario.yaml", "settings.toml")
    ]
    assert application.test == folder / "test_parrot.py"


def test_it_is_described_in_its_own_words(tmp_path: Path) -> None:
    application = Application("parrot", write_application(tmp_path))
    assert application.summary == 'Says again what it heard, and "nothing" else.'
    assert application.modules() == {
        "__init__.py": application.summary,
        "__main__.py": "Starts it: `python -m parrot`.",
        "app.py": "The application.",
    }
    assert application.requirements() == ["some-package>=2"]
    assert application.settings() == {"max_calls": 3}


def test_without_a_file_of_requirements_there_are_none(tmp_path: Path) -> None:
    folder = write_application(tmp_path)
    (folder / "requirements.txt").unlink()
    assert Application("parrot", folder).requirements() == []


def test_only_a_folder_with_all_that_marks_one_is_an_application(tmp_path: Path) -> None:
    for name in ("parrot", "other"):
        write_application(tmp_path, name)
    for mark in MARKS:
        folder = write_application(tmp_path, f"no_{mark.strip('_').partition('.')[0].strip('_')}")
        (folder / mark).unlink()
    (write_application(tmp_path, "untested") / "test_untested.py").unlink()
    (tmp_path / "file").touch()
    assert list(applications(tmp_path)) == ["other", "parrot"]


def test_where_there_are_none_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there are no applications in .*expected those of the wheel"):
        applications(tmp_path)
