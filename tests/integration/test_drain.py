# SPDX-License-Identifier: Apache-2.0
"""SIGTERM while many calls speak: each sentence is heard to its end, and new calls are sent elsewhere."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest
from support.ends import heed_interrupts
from support.peers import calling, first_message, how_closed
from support.serving import DEADLINE_S, echo, serving, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.programs

CALLS = 50
FRAMES = 100
"""Of a sentence: 2 s. It is written in pieces, faster than it plays, as a speech service streams it."""

PROGRAM = f"""
import asyncio, struct, audio_connector

async def on_connect(client):
    if client.path == "/late":
        return
    number = int(client.path[1:])
    async with client.speech() as speech:
        for index in range({FRAMES}):
            await speech.write(struct.pack("<hh", number, index) * 160)
            await asyncio.sleep(0.01)

audio_connector.run({{"host": "127.0.0.1", "port": 0, "on_connect": on_connect}})
"""


async def hear(caller: ClientConnection, begun: list[int]) -> list[bytes]:
    """All audio until the end; as late as it is heard does not matter."""
    heard: list[bytes] = []
    async for message in caller:
        if isinstance(message, bytes):
            if not heard:
                begun.append(1)
            heard.append(message)
    assert (caller.close_code, caller.close_reason) == (1001, "the server has stopped")
    return heard


async def until_refused(address: str) -> None:
    """Call until a call is refused: a signal is noticed a moment after it was sent."""
    while True:
        async with connect(address, proxy=None):
            await asyncio.sleep(0.01)  # who dials faster gets 429


@pytest.mark.skipif(sys.platform == "win32", reason="it is sent a signal")
async def test_at_sigterm_every_sentence_is_heard_to_its_end() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
        address = line.removeprefix("listening on ").strip()
        begun: list[int] = []
        hearing = []
        for number in range(CALLS):
            caller = await connect(f"{address}/{number}", compression=None, proxy=None)
            await caller.send(first_message())
            hearing.append(asyncio.ensure_future(hear(caller, begun)))
        await until(lambda: len(begun) == CALLS, "all calls speak")
        process.send_signal(signal.SIGTERM)
        with pytest.raises(InvalidStatus) as refused:
            await asyncio.wait_for(until_refused(f"{address}/late"), DEADLINE_S)
        assert refused.value.response.status_code == 503
        for number, heard in enumerate(await asyncio.wait_for(asyncio.gather(*hearing), DEADLINE_S)):
            frames = [number.to_bytes(2, "little") + index.to_bytes(2, "little") for index in range(FRAMES)]
            assert heard == [frame * 160 for frame in frames]
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert (errors.decode(), process.returncode) == ("", 0)
        assert output.decode().splitlines()[-1] == "stopped"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_another_thread_may_ask_for_it() -> None:
    async with serving(echo) as handle, calling(handle.get_address()) as caller:
        await caller.send(first_message())
        await until(lambda: len(handle.connections) == 1, "the call")
        assert await asyncio.to_thread(lambda: asyncio.run(handle.drain(5)))
        assert not handle.running
        assert (await how_closed(caller))[0] == 1001
