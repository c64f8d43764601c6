# SPDX-License-Identifier: Apache-2.0
"""The examples of the page on the test kit, run by pytest as a reader would, and the failures that it quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.inner_pytest import run_pytest

from audio_connector.testing import Audio

PAGE = (Path(__file__).parents[2] / "docs" / "testing" / "kit.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, flags=re.MULTILINE | re.DOTALL)
QUOTED = [
    line
    for block in re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
FAIL = ("test_wrong.py", "test_stuck.py", "test_task.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, and the audio that they name."""
    folder = tmp_path_factory.mktemp("kit")
    for name, code in BLOCKS:
        (folder / name).write_text(code, encoding="utf-8")
    Audio.of("sample:he-was-not").save(folder / "welcome.wav")
    (Audio.of("sample:unless-to-be").between(0, 2.5) + Audio.silence(0.2)).save(folder / "question.wav")
    return folder


def test_the_examples_pass(folder: Path) -> None:
    names = [name for name, _ in BLOCKS if name.startswith("test_") and name not in FAIL]
    output = run_pytest(*names, folder=folder)
    assert re.search(r"^5 passed in ", output, flags=re.MULTILINE), output


def test_the_failures_are_those_that_the_page_quotes(folder: Path) -> None:
    output = run_pytest(*FAIL, folder=folder)
    assert "4 failed in " in output, output
    assert len(QUOTED) == 13
    output = without_numbers(output)
    assert [line for line in QUOTED if without_numbers(line.strip()) not in output] == [], output


def without_numbers(text: str) -> str:
    """The text as it is whichever tests ran before: tasks are counted through."""
    return re.sub(r"Task-\d+", "Task", text)
