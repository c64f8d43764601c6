# SPDX-License-Identifier: Apache-2.0
"""The systemd unit's commands, with the socket that systemd's own program hands over.

No systemd runs them: that needs it as the first process of a machine. What it does with the unit beyond starting it,
such as the hardening, is only checked by tests/deploy/test_files.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.deployed import DEPLOY, ends_within_s
from support.processes import children_of, is_running
from support.proxies import free_port, tool, wait_until
from support.serving import DEADLINE_S, until
from support.workers import MAIN, guests

pytestmark = [pytest.mark.deploy, pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")]

BOT = """
VERSION = 1

async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)
    await client.send_json_packet({"version": VERSION, "is_resumed": client.is_resumed})
"""

ENDLESS = """
import asyncio

async def on_connect(client):
    async def on_disconnect():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    client.set_handler(on_disconnect=on_disconnect)
    await client.send_json_packet({"version": 1})
    async with client.speech() as speech:
        while True:
            await speech.write(bytes(640))
"""
"""Speaks for ever, and will not end."""


def line_of(name: str) -> list[str]:
    """A command of the unit."""
    unit = (DEPLOY / "systemd" / "audio-connector.service").read_text()
    [line] = re.findall(rf"^{name}=(.*)$", unit, flags=re.MULTILINE)
    return shlex.split(line)


@contextmanager
def activated(folder: Path, bot: str, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start it at the first call, as a socket unit does; and where to call."""
    (folder / "bot.py").write_text(bot)
    _, *arguments = line_of("ExecStart")
    arguments = [
        str(DEPLOY / "systemd" / "audio-connector.toml") if each == "/etc/audio-connector.toml" else each
        for each in arguments
    ]
    port = free_port()
    # A cache tells two texts of one second and one length not apart, and a test may write both in one second.
    set_here = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    kept = [
        f"--setenv={name}={value}" for name, value in {**set_here, "PYTHONDONTWRITEBYTECODE": "1"}.items()
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(
                    tool("systemd-socket-activate", "apt install systemd"),
                    f"--listen=127.0.0.1:{port}",
                    *kept,
                ),
                *(sys.executable, "-W", "error", "-c", MAIN, *arguments, *flags),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        # It listens: looked up, since a connection would start the program.
        place = f":{port:04X} 00000000:0000 0A"
        wait_until(lambda: place in Path("/proc/net/tcp").read_text(), "systemd-socket-activate listening")
        yield process, f"ws://127.0.0.1:{port}"
    finally:
        everybody = [process.pid, *children_of(process.pid)]
        for pid in filter(is_running, everybody):
            with contextlib.suppress(ProcessLookupError):  # the others end as soon as the first one has
                os.kill(pid, signal.SIGKILL)
        process.wait()


def reload(pid: int) -> None:
    """Do what ``systemctl reload`` does."""
    subprocess.run([each.replace("$MAINPID", str(pid)) for each in line_of("ExecReload")], check=True)


async def test_it_takes_the_socket_reloads_and_drains(tmp_path: Path) -> None:
    with activated(tmp_path, BOT) as (process, address):
        async with guests(address, "/", proxy=None, open_timeout=DEADLINE_S) as [guest]:
            (tmp_path / "bot.py").write_text(BOT.replace("VERSION = 1", "VERSION = 2"))
            speaking = asyncio.create_task(guest.talk(100))
            await until(lambda: len(guest.frames) > 10, "some echo")
            reload(process.pid)
            await until(lambda: len(guest.told) == 2, "the new workers")
            assert guest.told == [{"version": 1, "is_resumed": False}, {"version": 2, "is_resumed": True}]
            await speaking
            await until(lambda: len(guest.frames) >= 100, "every frame")
            assert guest.numbers == list(range(1, 101))
            process.send_signal(signal.SIGTERM)  # KillMode=mixed: to this one alone
            await until(lambda: guest.is_over, "the end of the call")
            assert guest.how[0] == 1001
        assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
        log = (tmp_path / "log").read_text()
        assert "Traceback" not in log, log


async def test_what_will_not_end_has_ended_before_it_would_be_killed(tmp_path: Path) -> None:
    """`TimeoutStopSec` and its like are compared with this sum in tests/meta/test_deploy.py."""
    with activated(tmp_path, ENDLESS, "--drain-s", "1") as (process, address):
        async with guests(address, "/", proxy=None, open_timeout=DEADLINE_S) as [guest]:
            everybody = children_of(process.pid)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert await asyncio.to_thread(process.wait, DEADLINE_S) == 1
            assert time.monotonic() - began < ends_within_s(1.0)
            await until(lambda: guest.is_over, "the end of the call")
            assert guest.how[0] == 1001
            assert not any(map(is_running, everybody))
