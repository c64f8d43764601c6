# SPDX-License-Identifier: Apache-2.0
"""A SIGHUP while ``serve`` starts: a reload that comes too early, or a terminal that is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.peers import calling, next_audio
from support.processes import program

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no signals")]

BOT = """
async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)
"""

START = """
import os, signal, sys
from audio_connector import cli

def find_spec(name, before=cli.find_spec):
    os.kill(os.getpid(), signal.SIGHUP)
    return before(name)

os.chdir(sys.argv[1])
sys.argv[1:] = ["serve", "bot:on_connect", "--port", "0", *sys.argv[2:]]
cli.find_spec = find_spec
sys.exit(cli.main())
"""
"""It is hung up on as it looks for what it needs, a second before it listens."""


async def test_with_workers_it_starts_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(BOT)
    async with program(START, str(tmp_path), "--workers", "1") as (process, address):
        async with calling(address) as caller:
            await caller.send(bytes(640))
            assert await next_audio(caller, 1)
        process.terminate()
        assert await process.wait() == 0


def test_without_them_it_ends_by_that(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(BOT)
    done = subprocess.run([sys.executable, "-c", START, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGHUP
    assert done.stdout == done.stderr == b""


def test_under_nohup_it_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("raise SystemExit(7)")
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = subprocess.run(
        [sys.executable, "-c", ignored + START, str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 2, "it came to the application"


def test_process_1_of_a_container_ends_by_sigterm_before_it_serves(tmp_path: Path) -> None:
    """The kernel hands it only signals that it has a handler for."""
    (tmp_path / "bot.py").write_text("raise SystemExit(7)")
    as_process_1 = START.replace("os.chdir", "own = os.getpid()\nos.getpid = lambda: 1\nos.chdir", 1)
    as_process_1 = as_process_1.replace("os.kill(os.getpid(), signal.SIGHUP)", "os.kill(own, signal.SIGTERM)")
    done = subprocess.run(
        [sys.executable, "-c", as_process_1, str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == done.stderr == b""
