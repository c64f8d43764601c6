# SPDX-License-Identifier: Apache-2.0
"""Every example, started as a program, and dialled as the media router would dial it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import signal
import struct
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ends import heed_interrupts
from websockets.asyncio.client import ClientConnection, connect

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 20
FRAME_BYTES = 640
LOUD = b"".join(struct.pack("<h", round(9000 * math.sin(k / 5))) for k in range(FRAME_BYTES // 2))
SILENT = bytes(FRAME_BYTES)
ANY_PORT = ("--port", "0")
HEADERS = {"x-opentok-ws-connectionid": "caller-1"}

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(sys.platform == "win32", reason="stops the examples with SIGINT"),
]


@dataclass
class Example:
    """A running example and the address that it printed."""

    process: asyncio.subprocess.Process
    address: str

    async def next_line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), DEADLINE_S)).decode().rstrip("\n")


@contextlib.asynccontextmanager
async def started(
    program: str | Path, *arguments: str, number: signal.Signals = signal.SIGINT
) -> AsyncIterator[Example]:
    """The example on a free port; at the end it gets a signal, and has to leave quietly."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / program),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
        if not first.startswith("listening on ws://"):
            _, errors = await process.communicate()
            pytest.fail(f"{program} said {first!r} and {errors.decode()}")
        yield Example(process, first.removeprefix("listening on ").strip())
        process.send_signal(number)
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert (errors.decode(), process.returncode) == ("", 0)
        assert output.decode().splitlines()[-1:] == ["stopped"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@contextlib.asynccontextmanager
async def dialled(example: Example) -> AsyncIterator[ClientConnection]:
    """A call at 16 kHz. No bound to its queue: with unread audio a client waits 10 s for its close frame."""
    async with connect(
        example.address, additional_headers=HEADERS, compression=None, max_queue=None
    ) as socket:
        await socket.send(
            json.dumps({"content-type": "audio/l16;rate=16000", "event": "websocket:connected"})
        )
        yield socket


async def audio_from(socket: ClientConnection, frames: int) -> list[bytes]:
    """The next audio messages; texts are passed over."""
    heard: list[bytes] = []
    while len(heard) < frames:
        message = await asyncio.wait_for(socket.recv(), DEADLINE_S)
        if isinstance(message, bytes):
            heard.append(message)
    return heard


async def test_echo_sends_back_what_it_hears() -> None:
    async with started("echo.py", *ANY_PORT) as example, dialled(example) as socket:
        for _ in range(10):
            await socket.send(LOUD)
        assert await audio_from(socket, 10) == [LOUD] * 10
        assert "websocket:connected" in await example.next_line()


async def test_greeter_greets_is_interrupted_and_answers() -> None:
    async with started("greeter.py", *ANY_PORT) as example, dialled(example) as socket:
        greeting = await audio_from(socket, 5)
        assert {len(frame) for frame in greeting} == {FRAME_BYTES}
        assert any(any(frame) for frame in greeting)
        for frame in [SILENT] * 10 + [LOUD] * 20:
            await socket.send(frame)
        said = sorted([await example.next_line(), await example.next_line()])
        assert said[0].startswith("caller-1: Interrupted(")
        assert said[1].startswith("caller-1: barge-in, Flushed(")
        for _ in range(30):
            await socket.send(SILENT)
        assert (await example.next_line()).startswith("caller-1: Played(")


async def test_greeter_goes_on_after_a_cough() -> None:
    async with started("greeter.py", *ANY_PORT) as example, dialled(example) as socket:
        await audio_from(socket, 5)
        for frame in [SILENT] * 10 + [LOUD] * 7 + [SILENT] * 40:
            await socket.send(frame)
        assert await example.next_line() == "caller-1: Played(played_ms=3000.0)"


async def test_greeter_plays_a_file(tmp_path: Path) -> None:
    path = tmp_path / "greeting.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(LOUD * 5)
    async with (
        started("greeter.py", *ANY_PORT, "--greeting", str(path)) as example,
        dialled(example) as socket,
    ):
        assert await audio_from(socket, 5) == [LOUD] * 5


async def test_recorder_writes_the_call_to_a_file(tmp_path: Path) -> None:
    async with started("recorder.py", *ANY_PORT, "--folder", str(tmp_path), "--rate", "8000") as example:
        async with dialled(example) as socket:
            for _ in range(50):
                await socket.send(LOUD)
            await audio_from(socket, 1)
        path = tmp_path / "caller-1.wav"
        assert await example.next_line() == f"recorded {path}"
        with wave.open(str(path), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 2, 2)
            assert file.getnframes() == pytest.approx(8000, rel=0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_bot_of_the_readme_echoes_and_leaves_with_1001(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The first Python block of the README, word for word but for its port, at its end with a call open."""
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    bot = readme.split("```python\n")[1].split("```")[0]
    assert "port=8765" in bot
    path = tmp_path / "bot.py"
    path.write_text(bot.replace("port=8765", "port=0"), encoding="utf-8")
    async with contextlib.AsyncExitStack() as stack:
        async with started(path, number=number) as example:
            socket = await stack.enter_async_context(dialled(example))
            await socket.send(LOUD)
            assert await audio_from(socket, 1) == [LOUD]
        await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
        assert (socket.close_code, socket.close_reason) == (1001, "the server has stopped")


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.glob("[a-z]*.py") if path.name != "own_engine.py")
)  # which is no program
async def test_help_is_there(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0
    assert output.startswith(b"usage:")


async def test_the_comparison_in_the_readme_holds() -> None:
    """This library's column of the table is what the probes print."""
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| ([^|]*) \|$", readme, flags=re.MULTILINE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / "compare_sdks.py"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S * 2)
    printed = dict(line.split(": ", 1) for line in output.decode().splitlines())
    stated = dict(rows)
    # A length of time: the 0.5 s and the lead, give or take what a busy machine makes of it.
    ahead_s, stated_s = (float(facts.pop("long_audio").split()[0]) for facts in (printed, stated))
    assert ahead_s == pytest.approx(stated_s, abs=0.3)
    assert printed == stated
