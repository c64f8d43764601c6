# SPDX-License-Identifier: Apache-2.0
"""``audio-connector serve --workers`` as a program, an application for it, and many who call it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.audio import numbered, numbers_of
from support.peers import calling
from support.processes import children_of, command_of, is_running
from support.serving import DEADLINE_S, until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

MAIN = "import sys; from audio_connector.cli import main; sys.exit(main())"

LAST = 60_000
"""The number of the frame after which an application says what it has heard."""

BOT = """
import asyncio, os, time
from audio_connector import AudioConnectorServerConfig
from audio_connector.auth import Rejected

VERSION = 1

async def authenticate(request):
    await asyncio.sleep(0)
    if request.path == "/nobody":
        raise Rejected(403, "nobody is let in there")
    return {"decided_by": os.getpid(), "path": request.path}

def numbered(number):
    return number.to_bytes(2, "little") * 320

async def tell(client, **more):
    who = {"pid": os.getpid(), "id": client.id, "is_resumed": client.is_resumed, "version": VERSION}
    who["identity"] = client.identity
    await client.send_json_packet({**who, "rate_hz": client.format.rate_hz, **more})

def listen(client):
    heard = []

    async def on_audio(frame):
        heard.append(int.from_bytes(frame[:2], "little"))
        if heard[-1] == LAST:
            await tell(client, heard=heard)

    client.set_handler(on_audio=client.send_audio_buffer if client.path == "/echo" else on_audio)

async def on_connect(client):
    listen(client)
    forked = os.fork() if client.path == "/fork" else 0
    if client.path == "/fork" and not forked:
        time.sleep(60)
        os._exit(0)
    await tell(client, forked=forked)
    if client.path == "/speak":
        await client.send_audio_buffer(b"".join(map(numbered, range(1, 1 + int(client.query)))))
    elif client.path == "/block":
        time.sleep(float(client.query))
    elif client.path == "/die":
        os._exit(3)

async def on_resume(client):
    listen(client)
    await tell(client)
    if client.path == "/die":
        os._exit(3)

config = AudioConnectorServerConfig(
    host="127.0.0.1", port=0, on_connect=on_connect, on_resume=on_resume, authenticate=authenticate
)
""".replace("LAST", str(LAST))
"""Says who it is, and does what the path says."""


class Served:
    """The program."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.address = ""
        self._folder = folder
        self._lines_before = 0

    @property
    def pid(self) -> int:
        """The number of the supervisor."""
        return self.process.pid

    def change(self, text: str) -> None:
        """What a worker that is started from now on serves."""
        (self._folder / "bot.py").write_text(text)

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self._folder / "log").read_text()

    @property
    def lines(self) -> list[str]:
        """The same since `forget_lines`, without time and name."""
        return [line.partition(": ")[2] or line for line in self.log.splitlines()[self._lines_before :]]

    def wait_for_address(self) -> str:
        """What the log says where stdout says nothing; empty where the program has ended before."""
        while self.process.poll() is None:
            for line in self.log.splitlines():
                if "listening on " in line:
                    return str(json.loads(line)["message"])
            time.sleep(0.02)
        return ""

    def forget_lines(self) -> None:
        """What was logged so far is of no interest any more."""
        self._lines_before = len(self.log.splitlines())

    def workers(self) -> list[int]:
        return [pid for pid in children_of(self.pid) if "cli.worker" in command_of(pid)]

    def io_processes(self) -> list[int]:
        return [pid for pid in children_of(self.pid) if ".io_child" in command_of(pid)]

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        await until(lambda: self.process.poll() is not None, "its end")
        return self.process.returncode


@contextmanager
def supervised(
    folder: Path, *flags: str, workers: int = 2, bot: str = BOT, app: str = "bot:config"
) -> Iterator[Served]:
    """Run it, and end it with whatever it has started."""
    (folder / "bot.py").write_text(bot)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error", "-c", MAIN, "serve", app, "--workers", str(workers)),
                *("--log-level", "warning", *flags),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    served = Served(process, folder)
    everybody: list[int] = []
    try:
        assert process.stdout is not None
        line = process.stdout.readline() if "json" not in flags else served.wait_for_address()
        if not line:
            pytest.fail(f"status {process.wait()}: {served.log}")
        served.address = line.removeprefix("listening on ").strip()
        yield served
    finally:
        everybody = children_of(process.pid)
        process.kill()
        process.communicate()  # which waits for whoever else has its stdout
    give_up_at = time.monotonic() + DEADLINE_S
    while any(map(is_running, everybody)):
        assert time.monotonic() < give_up_at, "processes are left"
        time.sleep(0.01)


@dataclass
class Guest:
    """One who calls: what came, and when."""

    socket: ClientConnection
    frames: list[bytes] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    told_at: list[float] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> None:
        """Take everything, until the end."""
        try:
            async for message in self.socket:
                if isinstance(message, bytes):
                    self.frames.append(message)
                else:
                    self.told.append(json.loads(message))
                    self.told_at.append(time.monotonic())
        except ConnectionClosed:
            pass
        self.is_over = True

    @property
    def numbers(self) -> list[int]:
        """Those of the frames."""
        return numbers_of(self.frames)

    @property
    def how(self) -> tuple[int | None, str | None]:
        """How it ended."""
        return self.socket.close_code, self.socket.close_reason

    async def talk(self, frames: int, *, start: int = 1) -> None:
        """Send so many as a router does, in real time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at in range(frames):
            await self.say(start + at)
            await asyncio.sleep(began + (at + 1) * 0.02 - loop.time())

    async def say(self, *numbers: int) -> None:
        """Send so numbered frames, as fast as it goes."""
        for number in numbers:
            await self.socket.send(numbered(number, 640))


@asynccontextmanager
async def guests(
    address: str, *paths: str, is_told: bool = True, **options: Any
) -> AsyncIterator[list[Guest]]:
    """Call once for each path; each was answered by an application, unless that is not waited for."""
    async with AsyncExitStack() as stack:
        made = [Guest(await stack.enter_async_context(calling(address, path, **options))) for path in paths]
        tasks = [asyncio.ensure_future(guest.run()) for guest in made]
        try:
            if is_told:
                await until(lambda: all(guest.told for guest in made), "the word of an application")
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
