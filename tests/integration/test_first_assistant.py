# SPDX-License-Identifier: Apache-2.0
"""The page that builds an assistant: its test passes, as a reader would run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inner_pytest import OPTIONS, run_python
from support.titled import titled_blocks

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("first")
    for name, text in titled_blocks("first-assistant.md").items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_its_test_passes(folder: Path) -> None:
    ended = run_python("-m", "pytest", *OPTIONS, folder=folder)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr
