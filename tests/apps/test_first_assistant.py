# SPDX-License-Identifier: Apache-2.0
"""The programs of the page that builds an assistant, with the engines that it names, called in real time."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ends import heed_interrupts
from support.spoken import errors, folded
from support.titled import titled_blocks

from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.engines.piper import Piper
from audio_connector.simulator import LiveCall, RouterCall, run_calls
from audio_connector.testing import Audio

pytestmark = pytest.mark.apps

BLOCKS = titled_blocks("first-assistant.md")
DEADLINE_S = 60
RATE_HZ = 16_000
COMMAND = Path(sys.executable).with_name("audio-connector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, whose programs take a free port."""
    folder = tmp_path_factory.mktemp("first")
    for name, text in BLOCKS.items():
        free = text.replace('run({"on_connect"', 'run({"port": 0, "on_connect"')
        (folder / name).write_text(free, encoding="utf-8")
    return folder


@dataclass
class Program:
    """A program that runs, and what it says."""

    process: asyncio.subprocess.Process
    url: str = ""
    said: str = ""

    async def read(self) -> str:
        assert self.process.stdout is not None
        try:
            line = (await asyncio.wait_for(self.process.stdout.readline(), DEADLINE_S)).decode()
        except (asyncio.TimeoutError, TimeoutError):
            pytest.fail(f"nothing more for {DEADLINE_S} s after: {self.said}")
        self.said += line
        return line


@asynccontextmanager
async def started(name: str, folder: Path) -> AsyncIterator[Program]:
    """A program of the page, from where it listens to its quiet end; its errors are among what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, name),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=heed_interrupts,
    )
    program = Program(process)
    try:
        while line := await program.read():
            _, listens, program.url = line.strip().partition("listening on ")
            if listens:
                break
        assert program.url, program.said
        yield program
        process.send_signal(2)
        while await program.read():
            pass
        assert await process.wait() == 0
        assert "Traceback" not in program.said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def call(program: Program, said: Audio | None, *, until: str, times: int) -> bytes:
    """Call, say something, and return what is heard until it has printed these words so often."""
    heard = bytearray()
    lives: list[LiveCall] = []
    pcm = None if said is None else said.at_rate(RATE_HZ).pcm
    told = RouterCall(url=program.url, speech=pcm, tail_s=None, heard=heard.extend, allow_silence=True)
    running = asyncio.ensure_future(run_calls([told], on_start=lives.append))
    while program.said.count(until) < times:
        assert await program.read(), program.said
    lives[0].hang_up()
    (report,) = await running
    assert report.error is None
    return bytes(heard)


@dataclass
class Outcome:
    """What a caller heard of a program, and what the program printed."""

    heard: bytes
    printed: str


@pytest.fixture(scope="module")
def outcomes(folder: Path, piper: Piper, minilm: MiniLm, tiny: FasterWhisper) -> dict[str, Outcome]:
    """All three programs at once, since most of it is waiting for what is said."""

    async def run(name: str, said: Audio | None, until: str, times: int) -> Outcome:
        async with started(name, folder) as program:
            heard = await call(program, said, until=until, times=times)
        return Outcome(heard, program.said)

    async def simulate(name: str) -> Outcome:
        """With the command of the page, which fails where its caller does not hear what she waits for."""
        async with started(name, folder) as program:
            command = await asyncio.create_subprocess_exec(
                *(str(COMMAND), "simulate", program.url, "--scenario", "call.yaml", "--json"),
                cwd=folder,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            told, _ = await asyncio.wait_for(command.communicate(), DEADLINE_S)
        assert command.returncode == 0, told.decode() + program.said
        return Outcome(b"", program.said)

    async def run_all() -> tuple[Outcome, ...]:
        novel = Audio.of("sample:he-was-not") + Audio.silence(1.0) + Audio.of("sample:unless-to-be")
        return await asyncio.gather(
            run("hello.py", None, "Played(", 1), run("ears.py", novel, " s: ", 2), simulate("main.py")
        )

    return dict(zip(("hello.py", "ears.py", "main.py"), asyncio.run(run_all()), strict=True))


async def test_it_speaks(outcomes: dict[str, Outcome], tiny: FasterWhisper) -> None:
    heard = await tiny.transcribe(outcomes["hello.py"].heard, sample_rate=RATE_HZ)
    assert {"hello", "bicycle", "shop"} <= set(folded(heard.text))


def test_it_prints_what_it_heard_as_the_page_shows(outcomes: dict[str, Outcome]) -> None:
    """But for a few words: two machines need not decode alike, and "disposed" was "old-a-sposed" on one."""
    printed = re.findall(r"^[\d.]+ s: (.*)$", outcomes["ears.py"].printed, flags=re.MULTILINE)
    quoted = re.findall(r"^[\d.]+ s: (.*)$", BLOCKS["ears.py prints"], flags=re.MULTILINE)
    assert len(printed) == len(quoted) == 2
    assert errors(" ".join(quoted), " ".join(printed)) <= len(folded(" ".join(quoted))) // 5


def test_it_answers_a_question_that_is_not_in_its_file_word_for_word(outcomes: dict[str, Outcome]) -> None:
    asked = re.findall(r"^caller: (.*)$", outcomes["main.py"].printed, flags=re.MULTILINE)
    assert "sunday" in folded(" ".join(asked))
    assert "when are you open" not in " ".join(folded(" ".join(asked)))
