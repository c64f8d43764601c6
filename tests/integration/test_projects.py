# SPDX-License-Identifier: Apache-2.0
"""A project of each application as `audio-connector new` makes it: its test passes, its style holds, it starts."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from support.inner_pytest import OPTIONS, run_python
from support.small_application import write_application

from audio_connector.cli.projects.applications import MARKS, Application
from audio_connector.cli.projects.plan import plan, write

pytestmark = pytest.mark.programs

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/app.py"))
SMALL = "small"
DEADLINE_S = 60


@pytest.fixture(scope="module", params=[SMALL, *NAMES])
def application(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Application:
    name = request.param
    folder = write_application(tmp_path_factory.mktemp("shelf"), name) if name == SMALL else EXAMPLES / name
    return Application(name, folder)


@pytest.fixture(scope="module")
def project(application: Application, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "my-bot"
    write(plan("my-bot", application).items(), folder)
    return folder


def test_it_has_what_marks_an_application(application: Application) -> None:
    assert {path.name for path in application.files()} >= MARKS
    assert application.test.is_file()


@pytest.mark.skipif(shutil.which("git") is None, reason="asks git what it ignores")
def test_git_takes_all_of_it(application: Application, tmp_path: Path) -> None:
    files = plan("my-bot", application)
    write(files.items(), tmp_path)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert sorted(listed.stdout.splitlines()) == sorted(files)


def test_what_is_installed_of_it_is_whole(project: Path, application: Application, tmp_path: Path) -> None:
    """As its Dockerfile does: pages, settings and audio too."""
    ended = run_python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), folder=project)
    assert ended.returncode == 0, ended.stderr
    (wheel,) = tmp_path.glob("my_bot-0.1.0-*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if not name.startswith("my_bot-0.1.0.dist-info/")}
    assert packed == {way for way in plan("my-bot", application) if way.startswith(f"{application.name}/")}


def test_its_own_test_passes_as_generated(project: Path) -> None:
    ended = run_python("-m", "pytest", *OPTIONS, folder=project)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_its_style_is_in_order(project: Path) -> None:
    for command in (["check", "."], ["format", "--check", "."]):
        ended = run_python("-m", "ruff", *command, "--no-cache", folder=project)
        assert ended.returncode == 0, ended.stdout


async def first_words(process: asyncio.subprocess.Process) -> str:
    """What it says until it serves, or until its end."""
    assert process.stdout is not None
    told = ""
    while "ws://" not in told and (line := (await process.stdout.readline()).decode()):
        told += line
    if "ws://" not in told:
        assert await process.wait() == 2, told
    return told


async def test_it_starts_or_says_what_to_install(
    project: Path, application: Application, tmp_path: Path
) -> None:
    """Engines and models may be there or not, where this runs: both is told in a line."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            application.name,
            *([] if application.name == SMALL else ["--port", "0", "--page-port", "0"]),
        ),
        cwd=project,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told = await asyncio.wait_for(first_words(process), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert "Traceback" not in told
    assert "ws://" in told or "pip install" in told, told
