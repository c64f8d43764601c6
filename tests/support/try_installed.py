# SPDX-License-Identifier: Apache-2.0
"""Tries the commands of an installed wheel with the extras cli and playground; run by ``make wheel``, not by pytest.

Takes the path of the ``audio-connector`` command. Writes into the current folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from audio_connector import AudioConnectorServer
from audio_connector.cli.projects.applications import applications
from audio_connector.playground.parrot import parrot

DEADLINE_S = 60
FOLDER = Path.cwd()
SCENARIO = """
name: Try
participants: [{ name: Ann, say: "sample:he-was-not" }]
tail_s: 5
fail_on: ["turns<1", "wrong_sizes>0"]
"""
TEST = """
from audio_connector.testing import in_virtual_time

@in_virtual_time
async def test_an_echo_is_heard(audio_connector_server, audio_connector_speech):
    async def echo(client):
        async for frame in client.audio():
            await client.send_audio_buffer(frame)

    async with audio_connector_server(echo) as server, server.call() as call:
        await call.say(audio_connector_speech)
        assert (await call.reply()).matches(audio_connector_speech)
"""


async def run(*command: str) -> str:
    """Run a command that has to succeed; return what it said."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0, (command, process.returncode, said.decode())
    return said.decode()


async def try_test_kit() -> None:
    """A test of a user's, with the fixtures of the plugin that its entry point names."""
    FOLDER.joinpath("test_try.py").write_text(TEST, encoding="utf-8")
    said = await run(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "test_try.py")
    assert "1 passed" in said, said


async def try_calls(command: str) -> None:
    """A scenario with its page, and a check, on a server of the installed package."""
    FOLDER.joinpath("try.yaml").write_text(SCENARIO, encoding="utf-8")
    config = {"host": "127.0.0.1", "port": 0, "on_connect": parrot}
    async with AudioConnectorServer(config) as server:
        url = server.get_address()
        said = await run(command, "simulate", url, "--scenario", "try.yaml", "--html", "try.html")
        assert "conditions held" in said, said
        assert "<svg" in FOLDER.joinpath("try.html").read_text(encoding="utf-8")
        sys.stdout.write(await run(command, "check", url, "--only", "framing"))


async def try_playground(command: str) -> None:
    """The page and everything that it loads."""
    process = await asyncio.create_subprocess_exec(
        command, "playground", "--port", "0", "--no-open", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), DEADLINE_S)).decode()
        address = next(word for word in line.split() if word.startswith("http://"))
        async with aiohttp.ClientSession() as session, session.get(address) as page:
            assert page.status == 200, page.status
            text = await page.text()
        for name in ("js/main.js", "css/base.css"):
            assert name in text, f"the page does not load {name}"
            async with aiohttp.ClientSession() as session, session.get(f"{address}{name}") as part:
                assert part.status == 200, (name, part.status)
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0, process.returncode
    sys.stdout.write(f"the playground answered at {address} and ended by an interrupt\n")


async def try_project(command: str) -> None:
    """A project of each application that the wheel has, whose test passes with what it asks for beside engines."""
    for name, application in applications().items():
        with TemporaryDirectory() as folder:
            await run(command, "new", f"{folder}/my-bot", "--app", name)
            if wanted := application.requirements():
                await run(
                    sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted
                )
            said = await run(
                sys.executable, "-m", "pytest", "-q", "--rootdir", f"{folder}/my-bot", f"{folder}/my-bot"
            )
            assert " passed" in said, said
            sys.stdout.write(f"a project of {name}: {said.splitlines()[-1]}\n")


async def main(command: str) -> None:
    """Try everything."""
    await try_test_kit()
    await try_project(command)
    await try_calls(command)
    await try_playground(command)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
