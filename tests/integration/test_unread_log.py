# SPDX-License-Identifier: Apache-2.0
"""A program whose log nobody reads: its calls do not notice, and it ends as any other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.audio import numbered
from support.peers import calling, next_audio
from support.processes import children_of, is_running
from support.serving import until

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no signals")]

BOT = """
import logging

async def on_connect(client):
    async def on_audio(frame):
        logging.getLogger("bot").warning("x" * 20_000)
        await client.send_audio_buffer(frame)

    client.set_handler(on_audio=on_audio)
"""
"""With every frame it says more than a third of a pipe, to stderr."""

RUN = "import logging, sys; sys.path.insert(0, '.'); import bot, audio_connector; "
LIBRARY = f"{RUN}logging.basicConfig(); audio_connector.run(bot.on_connect, port=0)"
NO_LOGGING = f"{RUN}audio_connector.run(bot.on_connect, port=0)"
SERVE = (
    "import sys; from audio_connector.cli import main; "
    "sys.argv[1:] = ['serve', 'bot:on_connect', '--port', '0', *sys.argv[1:]]; sys.exit(main())"
)


@contextmanager
def served(folder: Path, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run it; whoever has started it reads its first line, and nothing of its log."""
    (folder / "bot.py").write_text(BOT)
    process = subprocess.Popen(
        [sys.executable, "-c", *command],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().removeprefix("listening on ").strip()
    finally:
        everybody = children_of(process.pid)
        process.kill()
        process.communicate()
    assert not any(map(is_running, everybody))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((LIBRARY,), id="run"),
        pytest.param((NO_LOGGING,), id="run without logging"),
        pytest.param((SERVE,), id="serve"),
        pytest.param((SERVE, "--isolation", "thread"), id="serve in a thread"),
        pytest.param((SERVE, "--workers", "1"), id="serve with a worker"),
    ],
)
async def test_calls_go_on_and_it_drains_although_nobody_reads_its_log(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with served(tmp_path, *command) as (process, address):
        async with calling(address) as caller:
            for number in range(1, 41):
                await caller.send(numbered(number, 640))
                assert await next_audio(caller, 1)
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, "its end")
        assert process.returncode == 0


async def test_once_somebody_reads_again_all_is_there(tmp_path: Path) -> None:
    with served(tmp_path, LIBRARY) as (process, address):
        async with calling(address) as caller:
            for number in range(1, 41):
                await caller.send(numbered(number, 640))
                assert await next_audio(caller, 1)
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.to_thread(process.communicate)
        assert log.count(b"x" * 20_000) == 40
