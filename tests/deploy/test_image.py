# SPDX-License-Identifier: Apache-2.0
"""The steps of the Dockerfile, done in a folder instead of an image.

No container is built: that takes Docker and a base image from a registry. So these are not tried: the base images
themselves and their Python, the creation of the user and running as it, and the compiled form, which `make
test-compiled` tries.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from support.deployed import DEPLOY
from support.peers import FRAME, calling, next_audio
from support.proxies import free_port, swapped, wait_until
from support.serving import DEADLINE_S

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.timeout(600),  # pip fetches what is installed
    pytest.mark.skipif(os.name != "posix", reason="its paths are of Linux"),
]

ROOT = DEPLOY.parent


class Step(NamedTuple):
    """One instruction."""

    word: str
    rest: str


def steps() -> list[list[Step]]:
    """Those of each stage, without the FROM."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: list[list[Step]] = []
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        elif word:
            stages[-1].append(Step(word, rest.strip()))
    return stages


def environment_of(stage: list[Step]) -> dict[str, str]:
    """What ENV says."""
    told = [pair for step in stage if step.word == "ENV" for pair in step.rest.split()]
    return dict(pair.split("=", 1) for pair in told)


def one(stage: list[Step], word: str) -> str:
    [rest] = [step.rest for step in stage if step.word == word]
    return rest


def is_in_context(path: str) -> bool:
    """Whether Docker gets it, by the last line of the ignore file that has a word on it."""
    included = True
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        wanted = parts if pattern.startswith("**/") else above
        if any(fnmatch.fnmatch(each, pattern.removeprefix("**/")) for each in wanted):
            included = line.startswith("!")
    return included


class Built(NamedTuple):
    """What the image would have."""

    programs: Path
    folder: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Do the steps of both stages."""
    folder = tmp_path_factory.mktemp("image")
    context, venv, work = folder / "src", folder / "venv", folder / "bot"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(is_in_context, tracked.splitlines()):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context / name)
    first, second = steps()
    assert [step.word for step in first] == ["ARG", "ENV", "COPY", "RUN"]
    assert one(first, "COPY") == ". /src"
    extras = one(first, "ARG").split("=")
    command = swapped(
        one(first, "RUN"), {"/opt/venv": str(venv), "/src": str(context), "python ": f"{sys.executable} "}
    )
    told = {**environment_of(first), extras[0]: extras[1], "AUDIO_CONNECTOR_COMPILE": "0"}
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        ["sh", "-c", command], env={**own, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    copies = [step.rest for step in second if step.word == "COPY"]
    assert copies == ["--from=build /opt/venv /opt/venv", "examples/echo.py bot.py"]
    work.mkdir()
    shutil.copy(context / "examples/echo.py", work / "bot.py")
    return Built(venv / "bin", work)


@contextmanager
def contained(built: Built, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run what the image runs, with no more of the environment than the image has; `port` in place of its own."""
    _, last = steps()
    told = {
        **environment_of(last),
        "PATH": f"{built.programs}:/usr/bin:/bin",
        "AUDIO_CONNECTOR_PORT": str(port),
    }
    told["AUDIO_CONNECTOR_HOST"] = "127.0.0.1"  # no other machine is to reach a test
    entry, command = json.loads(one(last, "ENTRYPOINT")), json.loads(one(last, "CMD"))
    process = subprocess.Popen(
        [built.programs / entry[0], *entry[1:], *command],
        cwd=built.folder,
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def health_of(built: Built, port: int) -> int:
    """The status of the image's health check."""
    [check] = [step.rest for step in steps()[1] if step.word == "HEALTHCHECK"]
    program, *arguments = json.loads(check[check.index("CMD") + 3 :])
    told = {"AUDIO_CONNECTOR_PORT": str(port)}
    return subprocess.run(
        [built.programs / program, *arguments], env=told, capture_output=True, check=False, timeout=DEADLINE_S
    ).returncode


async def test_what_is_built_serves_and_drains(built: Built) -> None:
    port = free_port()
    with contained(built, port) as process:
        assert process.stderr is not None
        line = await asyncio.to_thread(process.stderr.readline)
        assert json.loads(line)["message"] == f"listening on ws://127.0.0.1:{port}"
        async with calling(f"ws://127.0.0.1:{port}", proxy=None) as caller:
            await caller.send(FRAME)
            assert await next_audio(caller, 1) == [FRAME]
            process.send_signal(getattr(signal, one(steps()[1], "STOPSIGNAL")))
            await asyncio.wait_for(caller.wait_closed(), DEADLINE_S)
            assert caller.close_code == 1001
        _, errors = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
        assert [json.loads(line)["level"] for line in errors.splitlines()].count("error") == 0


def test_nothing_but_what_the_build_needs_gets_into_it() -> None:
    assert is_in_context("src/audio_connector/__init__.py")
    assert not is_in_context("src/audio_connector/__pycache__/x.pyc")
    assert not any(
        map(is_in_context, (".git/config", "tests/support/proxies.py", "key.pem", "examples/greeter.py"))
    )


def test_the_health_check_fails_where_nobody_serves(built: Built) -> None:
    assert health_of(built, free_port()) == 1


def test_the_health_check_finds_a_server_well(built: Built) -> None:
    port = free_port()
    with contained(built, port) as process:
        assert process.stderr is not None
        wait_until(lambda: "listening" in str(process.stderr and process.stderr.readline()), "the server")
        assert health_of(built, port) == 0
