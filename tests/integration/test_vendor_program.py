# SPDX-License-Identifier: Apache-2.0
"""A program written for the vendor's SDK, run unchanged, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import support
from support.ends import heed_interrupts
from support.peers import FRAME, calling, first_message, how_closed, next_audio, next_text
from support.serving import DEADLINE_S
from websockets.asyncio.client import ClientConnection

pytestmark = pytest.mark.programs

PROGRAM = Path(support.__path__[0]) / "vendor_program.py"
HEADERS = {
    "x-opentok-ws-sessionid": "s",
    "x-opentok-ws-conferenceid": "f",
    "x-opentok-ws-connectionid": "c",
    "X-Token": "t",
}
CLEARS = ['{"action":"clear"}', '{"event":"websocket:cleared"}']


class Program:
    """The program while it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def told(self, what: str) -> dict[str, Any]:
        """What it says next, which has to be this."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), DEADLINE_S)
        values: dict[str, Any] = json.loads(line)
        assert values.pop("what") == what, values
        return values

    async def do(self, caller: ClientConnection, command: str) -> None:
        """Have it do something."""
        await caller.send(json.dumps({"do": command}))
        assert await self.told("text") == {"text": json.dumps({"do": command})}


@asynccontextmanager
async def running() -> AsyncIterator[Program]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", str(PROGRAM), stdout=pipe, stderr=pipe
    )
    try:
        yield Program(process)
        rest, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert (rest, errors, process.returncode) == (b"", b"", 0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def converse(program: Program, caller: ClientConnection) -> None:
    for _ in range(10):
        await caller.send(FRAME)
    assert await next_audio(caller, 10) == [FRAME] * 10
    await program.do(caller, "answer")
    assert json.loads(await next_text(caller)) == {"answer": 1}
    await program.do(caller, "misuse")
    assert await program.told("value error") == {"is_video_error": True}
    await program.do(caller, "fail")
    assert await program.told("error") == {"error": "KeyError('in a handler')"}


async def interrupt(program: Program, caller: ClientConnection) -> None:
    begun = asyncio.get_running_loop().time()
    await program.do(caller, "talk")
    assert await next_audio(caller, 300) == [b"\x07\x07" * 320] * 300
    assert asyncio.get_running_loop().time() - begun < 3  # 6 s of the 7.5 s that may be sent ahead
    await program.do(caller, "flush")
    assert [await next_text(caller), await next_text(caller)] == CLEARS
    await program.do(caller, "talk")
    await next_audio(caller, 5)
    await program.do(caller, "replace")
    assert [await next_text(caller), await next_text(caller)] == CLEARS
    assert await next_audio(caller, 1) == [(b"\x05\x05" * 100).ljust(640, b"\0")]


async def test_a_program_of_the_vendors_sdk() -> None:
    async with running() as program:
        assert await program.told("refused") == {"is_config_error": True}
        assert await program.told("started") == {}
        assert await program.told("in use") == {"is_video_error": True}
        listening = await program.told("listening")
        assert listening["running"] is True
        address = listening["address"]
        assert address.startswith("ws://localhost:")
        async with calling(address, "/room?x=1", rate_hz=None, additional_headers=HEADERS) as caller:
            assert await program.told("connected") == {
                "ids": ["s", "f", "c", "c"],
                "uri": "/room?x=1",
                "token": "t",
            }
            await caller.send(first_message())
            assert await program.told("text") == {"text": first_message()}
            await converse(program, caller)
            await interrupt(program, caller)
            await program.do(caller, "hang up")
            assert await how_closed(caller) == (1000, "")
        assert await program.told("disconnected") == {}
        assert await program.told("stopped") == {}
        assert await program.told("end") == {"running": False}


ENDLESS = """
import asyncio, time
from audio_connector_sdk.vonage_video import Video
from audio_connector_sdk.vonage_video.models.audio_connector import AudioConnectorServerConfig

async def on_connect(client):
    async def on_message(message):
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)
    client.set_handler(on_message=on_message)

async def main():
    config = AudioConnectorServerConfig(host="localhost", port=0, on_connect=on_connect)
    handle = await Video().start_audio_connector_server(config)
    print(handle.get_address(), flush=True)
    try:
        while True:
            await asyncio.sleep(3600)
    finally:
        {last}

try:
    asyncio.run(main())
except KeyboardInterrupt:
    time.sleep({for_s})
    print("bye")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="stops the program with SIGINT")
@pytest.mark.parametrize(("last", "for_s"), [("pass", 0.0), ("pass", 0.3), ("await handle.stop()", 0.0)])
async def test_at_ctrl_c_the_router_sees_1001_and_nothing_is_printed(last: str, for_s: float) -> None:
    """Whether or not the program stops the server: its loop ends, and that is noticed, before its end or at it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ENDLESS.format(last=last, for_s=for_s),
        stdout=pipe,
        stderr=pipe,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode().strip()
    async with calling(address) as caller:
        await caller.send(FRAME)
        assert await next_audio(caller, 1) == [FRAME]
        process.send_signal(signal.SIGINT)
        output = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert (output, process.returncode) == ((b"bye\n", b""), 0)
        assert (await how_closed(caller))[0] == 1001
