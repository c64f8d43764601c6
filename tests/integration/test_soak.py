# SPDX-License-Identifier: Apache-2.0
"""Long calls and hostile bytes, for SOAK_SECONDS each: nothing is lost, nothing grows, nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.peers import bare, calling, first_message, next_audio, request
from support.serving import serving

from audio_connector import AudioConnectorConnection

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
FRAME_S = 0.02
FRAME_BYTES = 640
UPGRADE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


async def echo(client: AudioConnectorConnection) -> None:
    async for frame in client.audio():
        await client.send_audio_buffer(frame)


async def talk(address: str, seconds: float, seed: int) -> tuple[int, int]:
    """A call that numbers its frames; returns how many went out, and how many came back in order."""
    frames = int(seconds / FRAME_S)
    start_bytes = bytes([seed])
    sent = [start_bytes + at.to_bytes(4, "big") * (FRAME_BYTES // 4) for at in range(frames)]
    sent = [frame[:FRAME_BYTES] for frame in sent]
    async with calling(address) as router:
        started = time.monotonic()

        async def speak() -> None:
            for at, frame in enumerate(sent):
                await asyncio.sleep(max(0.0, started + at * FRAME_S - time.monotonic()))
                await router.send(frame)

        speaking = asyncio.create_task(speak())
        heard = await next_audio(router, frames)
        await speaking
    return frames, sum(ours == theirs for ours, theirs in zip(sent, heard, strict=True))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory from /proc")
async def test_long_echoes_lose_nothing_and_memory_stays() -> None:
    async with serving(echo) as handle:
        address = handle.get_address()
        await asyncio.gather(*(talk(address, 2.0, seed) for seed in range(20)))  # what grows once grows here
        gc.collect()
        before_kib = resident_kib()
        results = await asyncio.gather(*(talk(address, SECONDS, seed) for seed in range(20)))
        gc.collect()
        grown_kib = resident_kib() - before_kib
    assert [heard for _, heard in results] == [sent for sent, _ in results]
    # The test itself keeps 20 calls of frames, twice; the server may keep next to nothing.
    kept_kib = 20 * SECONDS * 50 * FRAME_BYTES * 2 / 1024
    assert grown_kib < kept_kib * 1.5 + 20_000


def hostile(chance: random.Random) -> Iterator[bytes]:
    """Bytes that a peer might send: noise, broken heads, frames cut and bent after a good upgrade."""
    while True:
        kind = chance.randrange(4)
        noise = chance.randbytes(chance.randrange(1, 400))
        if kind == 0:
            yield noise
        elif kind == 1:
            head = bytearray(request(UPGRADE))
            head[chance.randrange(len(head))] = chance.randrange(256)
            yield bytes(head)
        elif kind == 2:
            yield request(UPGRADE) + noise
        else:
            first = chance.randrange(256)
            mask = b"\0\0\0\0"
            yield request(UPGRADE) + bytes([first, 0x80 | min(125, len(noise))]) + mask + noise[:125]


async def test_hostile_bytes_hurt_nobody() -> None:
    chance = random.Random(7)
    until = time.monotonic() + SECONDS
    async with serving(echo) as handle, calling(handle.get_address()) as good:
        attacks = 0
        for raw in hostile(chance):
            async with bare(handle.get_address(), raw) as peer:
                if chance.random() < 0.5:
                    peer.reset()
            attacks += 1
            await good.send(first_message())
            await good.send(bytes(FRAME_BYTES))
            assert await next_audio(good, 1) == [bytes(FRAME_BYTES)]
            if time.monotonic() > until:
                break
        assert attacks > 10
        for connection in handle.connections.all():
            connection.disconnect()
