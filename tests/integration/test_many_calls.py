# SPDX-License-Identifier: Apache-2.0
"""Many calls, and calls that go wrong: afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.peers import BINARY, FRAME, TEXT, Frame, bare, calling, close_frame, first_message, how_closed
from support.serving import (
    BOTH_LOOPS,
    io_threads,
    sawtooth,
    serving,
    speak_and_iterate,
    traces_of,
    until,
    warnings_of,
)

from audio_connector import (
    AudioConnectorConnection,
    ConnectionStatistics,
    Disconnected,
    Limits,
    Playback,
    RouterStalled,
    Speech,
    Timeouts,
)
from audio_connector.intake.dispatch import Dispatcher
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.playback.schedule import Schedule
from audio_connector.server.link import Link
from audio_connector.server.session import Session
from audio_connector.wire.picows import _Socket

pytestmark = pytest.mark.programs

OF_A_CALL = (
    AudioConnectorConnection,
    Session,
    Dispatcher,
    Link,
    Schedule,
    Speech,
    AudioStream,
    EventStream,
    _Socket,
)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names do not matter


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def busy(client: AudioConnectorConnection) -> None:
    """What a real application does with a call: handlers, iterators, speech, an echo, a task that outlives it."""
    client.set_handler(on_audio=client.send_audio_buffer, on_event=lambda _: None, on_disconnect=lambda: None)
    await speak_and_iterate(client)


async def come_and_go(address: str, number: int) -> None:
    """One call: every second ends abruptly, at any point."""
    async with bare(address) as peer:
        peer.send(Frame(TEXT, first_message(8000 if number % 3 else 16000).encode()))
        for _ in range(number % 7):
            peer.send(Frame(BINARY, FRAME))
        if number % 5:
            await peer.frame()
        if number % 4 == 0:
            peer.reset()
        elif number % 2 == 0:
            peer.shut()
        else:
            peer.send(close_frame(1000))
            await peer.rest()


async def all_come_and_go(address: str, calls: int, *, at_once: int = 20) -> None:
    for first in range(0, calls, at_once):
        await asyncio.gather(*(come_and_go(address, number) for number in range(first, first + at_once)))


@BOTH_LOOPS
@pytest.mark.parametrize("calls", [200, pytest.param(2000, marks=pytest.mark.slow)])
async def test_calls_that_come_and_go_leave_nothing(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(busy, limits=Limits(upgrades_per_second_per_address=None)) as handle:

        async def run(count: int) -> None:
            await all_come_and_go(handle.get_address(), count)
            await until(lambda: len(handle.connections) == 0, "the end of all calls")
            await until(lambda: traces_of(*OF_A_CALL) == 0, "the last trace of all calls")
            await until(lambda: len(asyncio.all_tasks()) == tasks, "the end of all tasks")

        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        await run(200)  # what is made once is made now
        files, blocks, resident = open_files(), sys.getallocatedblocks(), resident_bytes()
        await run(calls)
        await until(lambda: open_files() <= files, "the end of all sockets")
        assert threading.active_count() == threads
        # The interpreter's own caches take up to 800 more, once.
        assert sys.getallocatedblocks() - blocks < 1000 + calls // 5, "memory blocks of Python stay behind"
        # picows keeps up to 4 kB of each call; what 200 calls take is less than the noise of the figure.
        assert resident_bytes() - resident < max(6_000_000, 4096 * calls)
    assert io_threads() == 0
    # None of this is worth a line in the log; that counting all objects is in the way is left out.
    assert warnings_of(caplog) == []


@BOTH_LOOPS
async def test_stop_with_200_open_calls() -> None:
    ends: dict[str, list[Disconnected]] = {}

    async def on_connect(client: AudioConnectorConnection) -> None:
        ended: list[Disconnected] = []
        ends[client.path] = ended
        client.set_handler(on_audio=client.send_audio_buffer, on_disconnect=ended.append)
        await client.send_audio_buffer(sawtooth(16000))

    async def call(number: int) -> tuple[int | None, str | None]:
        async with calling(address, f"/{number}") as caller:
            await caller.send(FRAME)
            ready.append(number)
            return await how_closed(caller)

    ready: list[int] = []
    async with serving(on_connect) as handle:
        address = handle.get_address()
        calls = [asyncio.ensure_future(call(number)) for number in range(200)]
        await until(lambda: len(ready) == len(ends) == 200, "all calls", 60)
        begun = time.monotonic()
        await handle.stop()
        assert time.monotonic() - begun < 2
        assert len(handle.connections) == 0
        assert set(await asyncio.gather(*calls)) == {(1001, "the server has stopped")}
    assert (
        list(ends.values())
        == [[Disconnected(code=1001, reason="the server has stopped", closed_by="server")]] * 200
    )
    assert traces_of(Session, Link, _Socket) == 0
    assert io_threads() == 0


async def test_stop_with_calls_that_do_not_answer_or_read() -> None:
    """Each second application is in the middle of something, too."""
    ends: list[Disconnected] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)
        client.set_buffer_timing(60)
        if client.path == "/0":
            await client.send_audio_buffer(sawtooth(16000 * 25))
        else:
            await asyncio.sleep(3600)

    async with serving(on_connect) as handle:
        peers = [bare(handle.get_address(), read_buffer=4096) for _ in range(20)]
        for peer in peers:
            await peer.__aenter__()
        await until(lambda: len(handle.connections) == 20, "all calls")
        begun = time.monotonic()
        await handle.stop()
        assert time.monotonic() - begun < 2
        for peer in peers:
            await peer.__aexit__(None, None, None)
    assert ends == [Disconnected(code=1001, reason="the server has stopped", closed_by="server")] * 20


@BOTH_LOOPS
async def test_a_call_that_ends_at_once_runs_through_its_whole_life() -> None:
    order: dict[str, list[str]] = {}

    async def on_connect(client: AudioConnectorConnection) -> None:
        steps = order.setdefault(client.path, ["connect"])
        await asyncio.sleep(0)
        client.set_handler(
            on_message=lambda _: steps.append("message"), on_disconnect=lambda: steps.append("disconnect")
        )

    async with serving(on_connect) as handle:
        for number in range(20):
            async with calling(handle.get_address(), f"/{number}") as caller:
                await caller.send(FRAME)
        await until(
            lambda: [steps[-1] for steps in order.values()] == ["disconnect"] * 20, "the end of all calls"
        )
    assert list(order.values()) == [["connect", "message", "message", "disconnect"]] * 20


# A peer that does not read.


async def an_hour() -> AsyncIterator[bytes]:
    """Speech as fast as it is taken."""
    second = sawtooth(16000)
    for _ in range(3600):
        yield second


@pytest.mark.parametrize("way", ["speech", "send"])
async def test_a_router_that_never_reads_is_given_up(way: str) -> None:
    errors: list[Exception] = []
    ends: list[Disconnected] = []
    written_s: list[int] = []
    failures: list[Exception] = []
    statistics: list[ConnectionStatistics] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append, on_disconnect=ends.append)
        if way == "speech":
            async with client.speech() as speech:
                async for second in an_hour():
                    await speech.write(second)
                    written_s.append(1)
            statistics.append(client.statistics())
            return
        try:
            async for second in an_hour():
                await client.send_audio_buffer(second)
                written_s.append(1)
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)
        statistics.append(client.statistics())

    async with serving(
        on_connect, timeouts=Timeouts(stall_s=1), playback=Playback(lead_ms=60_000, max_buffer_s=5)
    ) as handle:
        tracemalloc.start()
        try:
            async with bare(handle.get_address(), read_buffer=4096) as peer:
                peer.send(Frame(TEXT, first_message().encode()))
                begun = time.monotonic()
                await until(lambda: ends, "the end")
                took_s = time.monotonic() - begun
                await until(lambda: statistics, "the end of the speech")
                _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(handle.connections) == 0
    assert 0.9 < took_s < 3
    assert ends == [Disconnected(code=1006, reason="the router stopped reading", closed_by="server")]
    assert [type(error) for error in errors] == [RouterStalled]
    assert str(errors[0]).startswith("the router read nothing for 1 s while ")
    assert str(errors[0]).endswith(
        " ms of audio waited, so the connection was ended. Timeouts.stall_s sets the limit"
    )
    assert 5 <= len(written_s) < 30
    assert statistics[0].stalls >= 1
    assert peak < 3_000_000  # an hour is 115 MB; 5 s wait here and a little in the socket
    if way == "send":
        assert type(failures[0]).__name__ == "ConnectionClosed"
        assert (
            failures[0]
            .args[0]
            .startswith(
                "cannot play the rest of the audio: the connection was closed by the server with 1006"
            )
        )


async def test_a_router_that_pauses_for_less_than_the_limit_hears_everything() -> None:
    audio = sawtooth(16000 * 20)

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(audio, pad_last_frame=True)

    async with (
        serving(on_connect, timeouts=Timeouts(stall_s=5), playback=Playback(lead_ms=60_000)) as handle,
        bare(handle.get_address(), read_buffer=4096) as peer,
    ):
        peer.send(Frame(TEXT, first_message().encode()))
        await until(lambda: len(handle.connections) == 1, "the call")
        client = handle.connections.all()[0]
        await until(lambda: client.statistics().stalls, "the stall")
        await asyncio.sleep(0.3)
        heard = bytearray()
        while len(heard) < len(audio):
            heard += (await peer.frame()).payload
        assert heard == audio
        assert client.statistics().underruns == 0


async def test_texts_to_a_router_that_never_reads_wait_until_it_is_given_up() -> None:
    sent: list[int] = []
    errors: list[Exception] = []
    ends: list[Disconnected] = []
    text = '"' + "x" * 100_000 + '"'

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append, on_disconnect=ends.append)
        for number in range(200):
            await client.send_json_packet(text)
            sent.append(number)

    async with (
        serving(on_connect, timeouts=Timeouts(stall_s=1)) as handle,
        bare(handle.get_address(), read_buffer=4096),
    ):
        await until(lambda: ends, "the end")
    assert ends == [Disconnected(code=1006, reason="the router stopped reading", closed_by="server")]
    assert [type(error) for error in errors] == [RouterStalled]
    assert len(sent) < 100  # the kernel takes a part of them
