# SPDX-License-Identifier: Apache-2.0
"""``serve --reload``: what is saved answers next, also in calls that go on, and a mistake changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from support.ends import heed_interrupts
from support.peers import calling, next_text
from support.serving import DEADLINE_S

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]

BOT = """
async def on_connect(client):
    await client.send_json_packet({"answer": ANSWER, "again": client.is_resumed})
"""
SERVE = "from audio_connector.cli import main; main()"


async def line_with(stream: asyncio.StreamReader, words: str) -> str:
    """The next line that has these words."""
    while line := (await asyncio.wait_for(stream.readline(), DEADLINE_S)).decode():
        if words in line:
            return line
    pytest.fail(f"it ended without {words!r}")


def save(bot: Path, text: str) -> None:
    """As an editor, or a program that edits, does twice within one second of one and the same time."""
    beside = bot.with_suffix(".new")
    beside.write_text(text)
    os.utime(beside, (1_700_000_000, 1_700_000_000))
    beside.replace(bot)


async def test_what_is_saved_answers_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    bot = tmp_path / "saved_bot.py"
    save(bot, BOT.replace("ANSWER", "1"))
    flags = ("--port", "0", "--reload", "--move-s", "0.1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, "serve", "saved_bot:on_connect", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        address = (await line_with(process.stdout, "listening on")).split()[-1]
        async with calling(address) as caller:
            assert await next_text(caller) == '{"answer":1,"again":false}'
            save(bot, "this is no Python")
            await line_with(process.stderr, "the old ones go on: saved_bot cannot be imported: SyntaxError")
            async with calling(address) as other:
                assert await next_text(other) == '{"answer":1,"again":false}'
            save(bot, BOT.replace("ANSWER", "2"))
            assert await next_text(caller) == '{"answer":2,"again":true}'
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
