# SPDX-License-Identifier: Apache-2.0
"""Calls that last, and calls that end, beside peers that do all that a peer can do wrong, for SOAK_SECONDS.

Nobody else notices, no frame is lost that nobody counts, nothing is left, and nothing grows.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.cutting_proxy import cutting
from support.peers import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    UPGRADE,
    BarePeer,
    Frame,
    bare,
    calling,
    first_message,
    request,
)
from support.processes import children_of, descriptors_of
from support.serving import DEADLINE_S, serving, traces_of, until

from audio_connector import AudioConnectorConnection, ConnectionClosed, Disconnected, Timeouts
from audio_connector.server.link import Link

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
FRAME_S = 0.02
FRAME_BYTES = 640

LONG_CALLS = 10
SHORT_CALLS = 5
SHORT_S = 2.0
MAKERS_OF_EACH_FAULT = 3
GROWTH_KIB = 30_000
"""Of all processes: what the peers and the allocator keep; a KiB for each call would be more in 15 minutes."""

TIMEOUTS = Timeouts(ping_interval_s=1.0, ping_timeout_s=5.0, stall_s=1.5, close_s=0.5, handshake_s=2.0)
"""Short, so that all of them come to pass in a minute."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 120),
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="reads memory and descriptors from /proc"
    ),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),  # of asyncio's, after a reset
]


def processes() -> list[int]:
    """This one, and its children: with an I/O side in a process there is one."""
    return [os.getpid(), *children_of(os.getpid())]


def resident_kib() -> int:
    texts = [Path(f"/proc/{pid}/status").read_text(encoding="ascii") for pid in processes()]
    return sum(int(text.split("VmRSS:")[1].split()[0]) for text in texts)


def descriptors() -> Counter[str]:
    """What is open."""
    return sum((Counter(descriptors_of(pid)) for pid in processes()), Counter())


def threads() -> set[str]:
    """What runs, but for those that the loop keeps for its next call into a thread."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


@dataclass
class Echo:
    """The application. What does not add up in a call is a fault."""

    begun: int = 0
    ended: int = 0
    frames: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def on_connect(self, client: AudioConnectorConnection) -> None:
        """Echo every frame, and count."""
        self.begun += 1
        taken: Counter[type] = Counter()
        written_ms = 0.0

        async def on_message(message: bytes | str) -> None:
            nonlocal written_ms
            taken[type(message)] += 1
            if isinstance(message, bytes) and len(message) == FRAME_BYTES:
                with suppress(ConnectionClosed):
                    await client.send_audio_buffer(message)
                    written_ms += client.format.duration_ms(len(message))

        def on_disconnect(how: Disconnected) -> None:
            self.ended += 1
            self.frames += taken[bytes]
            self.ends[how.closed_by] += 1
            seen = client.statistics()
            came = seen.audio_messages_received + seen.text_messages_received
            told = taken.total() + seen.dropped_messages + seen.unwanted_messages
            if came != told:
                self.faults.append(f"{came} messages came, and {told} were handed over or counted: {seen}")
            if written_ms > seen.audio_ms_sent + seen.unsent_ms + FRAME_S * 1000:
                self.faults.append(f"{written_ms:g} ms were written; sent or counted as unsent: {seen}")

        client.set_handler(
            on_message=on_message,
            on_disconnect=on_disconnect,
            on_error=lambda _: None,
            on_event=lambda _: None,
        )


def numbered(seed: int, number: int) -> bytes:
    """A frame that is like no other."""
    return (bytes([seed, number >> 16 & 255, number >> 8 & 255, number & 255]) * (FRAME_BYTES // 4))[
        :FRAME_BYTES
    ]


async def talk(address: str, seconds: float, seed: int) -> int:
    """A call that means well: returns how many frames did not come back as they were, in order."""
    frames = int(seconds / FRAME_S)
    async with calling(address) as router:

        async def speak() -> None:
            started = time.monotonic()
            for number in range(frames):
                await asyncio.sleep(max(0.0, started + number * FRAME_S - time.monotonic()))
                await router.send(numbered(seed, number))

        speaking = asyncio.create_task(speak())
        wrong = number = 0
        while number < frames:
            message = await asyncio.wait_for(router.recv(), DEADLINE_S)
            if isinstance(message, bytes):
                wrong += message != numbered(seed, number)
                number += 1
        await speaking
    return wrong


# Those who do it wrong. Each is one peer, from its dial to its end.


async def _speak(peer: BarePeer, frames: int) -> None:
    peer.send(Frame(TEXT, first_message().encode()))
    for number in range(frames):
        peer.send(Frame(BINARY, numbered(1, number)))
        await peer.drain()
        await asyncio.sleep(FRAME_S / 4)


async def _hear(peer: BarePeer) -> None:
    """Until the end, in order and without a hole."""
    expected = 0
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while (frame := await peer.frame()).opcode != CLOSE:
            if frame.opcode == BINARY:
                assert frame.payload == numbered(1, expected), f"frame {expected} is missing, doubled or late"
                expected += 1


async def reset_in_a_call(address: str, chance: random.Random) -> None:
    async with bare(address) as peer:
        await _speak(peer, chance.randrange(40))
        peer.send(*[Frame(PING, b"")] * chance.randrange(50))
        peer.reset()


async def read_slowly(address: str, chance: random.Random) -> None:
    async with bare(address, read_buffer=4096) as peer:
        peer.hold()
        await _speak(peer, chance.randrange(100, 300))
        await asyncio.sleep(chance.uniform(0.0, 2.5))  # some of them longer than a stall may be
        peer.release()
        if chance.random() < 0.5:
            peer.send(Frame(CLOSE, b"\x03\xe8"))
            await _hear(peer)


async def be_cut(address: str, chance: random.Random) -> None:
    """Through the proxy, which ends it in the middle of the request, of the opening or of the call."""
    async with bare(address, request(UPGRADE)) as peer:
        await peer.answer()
        hearing = asyncio.ensure_future(_hear(peer))
        try:
            await _speak(peer, chance.randrange(200))
        finally:
            peer.shut()
            await hearing


def noise(chance: random.Random) -> bytes:
    """Noise, heads with a wrong byte, frames that are none after a good request."""
    rubbish = chance.randbytes(chance.randrange(1, 400))
    kind = chance.randrange(4)
    if kind == 0:
        return rubbish
    head = bytearray(request(UPGRADE))
    if kind == 1:
        head[chance.randrange(len(head))] = chance.randrange(256)
        return bytes(head)
    if kind == 2:
        return bytes(head) + rubbish
    return (
        bytes(head) + bytes([chance.randrange(256), 0x80 | min(125, len(rubbish))]) + bytes(4) + rubbish[:125]
    )


async def write_garbage(address: str, chance: random.Random) -> None:
    async with bare(address, noise(chance)) as peer:
        if chance.random() < 0.5:
            peer.reset()
        else:
            peer.end_stream()
            await peer.rest()


async def again_and_again(
    fault: Callable[[str, random.Random], Awaitable[None]],
    address: str,
    chance: random.Random,
    until_s: float,
) -> int:
    """Do it wrong until the time is over; that the server ends it is as it should be."""
    times = 0
    while time.monotonic() < until_s:
        with suppress(OSError, asyncio.IncompleteReadError):
            await fault(address, chance)
        times += 1
        await asyncio.sleep(chance.uniform(0.0, 0.05))
    return times


async def soak(address: str, cut_address: str, seconds: float) -> tuple[list[int], list[int]]:
    """All at once; returns what was wrong in each call that meant well, and how often each fault was made."""
    until_s = time.monotonic() + seconds
    seeds = iter(range(2, 256))

    async def short_calls() -> int:
        seed, wrong = next(seeds), 0
        while time.monotonic() < until_s:
            wrong += await talk(address, SHORT_S, seed)
        return wrong

    good = [talk(address, seconds, next(seeds)) for _ in range(LONG_CALLS)]
    good += [short_calls() for _ in range(SHORT_CALLS)]
    bad = [
        again_and_again(fault, cut_address if fault is be_cut else address, random.Random(seed), until_s)
        for fault in (reset_in_a_call, read_slowly, be_cut, write_garbage)
        for seed in range(MAKERS_OF_EACH_FAULT)
    ]
    results = await asyncio.gather(*good, *bad)
    return results[: len(good)], results[len(good) :]


async def test_nobody_notices_nothing_is_lost_uncounted_and_nothing_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)  # pytest keeps every record, and a quarter of an hour has many
    echo = Echo()
    tasks_before, threads_before = asyncio.all_tasks(), threads()
    async with serving(echo.on_connect, timeouts=TIMEOUTS) as handle:
        address = handle.get_address()
        async with cutting(int(handle.port), random.Random(7)) as cut_port:
            open_before = descriptors()
            cut_address = f"ws://127.0.0.1:{cut_port}"
            await soak(address, cut_address, min(3.0, SECONDS))  # what grows once grows here
            gc.collect()
            before_kib = resident_kib()
            wrong, times = await soak(address, cut_address, SECONDS)
            assert wrong == [0] * len(wrong)
            assert min(times) > 1
            await until(lambda: len(handle.connections) == 0, "the end of every call")
            await until(lambda: not descriptors() - open_before, "the end of every descriptor")
            gc.collect()
            assert resident_kib() - before_kib < GROWTH_KIB
    assert echo.faults == []
    assert echo.begun == echo.ended > 0
    assert set(echo.ends) == {"router", "server", "network"}, "every kind of end has come to pass"
    assert asyncio.all_tasks() == tasks_before
    await until(lambda: threads() <= threads_before, "the end of every thread")
    assert traces_of(Link) == 0
