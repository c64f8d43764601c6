# SPDX-License-Identifier: Apache-2.0
"""The application's loop and the sockets' thread: neither holds up the other, and any thread may call."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
import support
from support.peers import FRAME, calling, how_closed, next_audio, next_text
from support.serving import BOTH_LOOPS, DEADLINE_S, all_warnings_of, own_loop, sawtooth, serving, until

from audio_connector import AudioConnectorConnection, Disconnected, Event, Flushed, Interrupted, Played

pytestmark = pytest.mark.programs

ROUTER = Path(support.__path__[0]) / "router_process.py"
BLOCKED_S = 1.2
CALLS = 20


def sleep() -> None:
    time.sleep(BLOCKED_S)


def spin() -> None:
    """Pure Python, which gives the interpreter away only when it is asked to."""
    give_up_at = time.monotonic() + BLOCKED_S
    while time.monotonic() < give_up_at:
        sum(range(100))


async def routed(address: str, calls: list[dict[str, Any]], expected_s: float) -> dict[str, Any]:
    """Have calls made by the router of another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROUTER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    task = json.dumps({"address": address, "calls": calls, "expected_s": expected_s})
    output, _ = await asyncio.wait_for(process.communicate(task.encode()), 60)
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(output)
    return result


@BOTH_LOOPS
async def test_a_blocked_application_makes_nobody_stutter(caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of 20 echoing and 20 speaking calls: asleep in a handler of one, spinning in another's."""
    frames: Counter[str] = Counter()
    errors: list[Exception] = []
    speaking_s = 4.4
    speech = sawtooth(round(16000 * speaking_s))
    blocks = {("/echo/7", 25): sleep, ("/echo/8", 110): spin}

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_audio(frame: bytes) -> None:
            frames[client.path] += 1
            block = blocks.get((client.path, frames[client.path]))
            if block is not None:
                block()
            await client.send_audio_buffer(frame)

        client.set_handler(on_audio=on_audio, on_error=errors.append)
        if client.path.startswith("/speak"):
            await client.send_audio_buffer(speech, pad_last_frame=True)

    calls = [
        *({"path": f"/echo/{at}", "speech_s": 4.2, "tail_s": 0.5} for at in range(CALLS)),
        *({"path": f"/speak/{at}", "speech_s": 0.0, "tail_s": speaking_s + 0.4} for at in range(CALLS)),
    ]
    # A lead that a busy machine does not use up, and that is far less than what is blocked.
    async with serving(on_connect, playback={"lead_ms": 500}) as handle:
        result = await routed(handle.get_address(), calls, speaking_s)
        await until(lambda: len(handle.connections) == 0, "the end of all calls")

    for call in result["calls"]:
        assert call["close_code"] == 1000
        if call["path"].startswith("/echo"):
            assert call["sent"] == 210
            assert frames[call["path"]] == call["sent"], "a frame was lost on its way in"
            assert call["received"] > 80
        else:
            assert call["is_exact"], call  # bit for bit, and in one piece
            assert (call["received"], call["underruns"]) == (round(speaking_s * 50), 0)
    assert errors == []
    assert result["pings"] > 100
    assert result["slowest_ping_s"] < 0.5, "pings waited for the application"
    warnings = all_warnings_of(caplog)
    assert ["is blocked" in warning for warning in warnings] == [True, False] * 2
    for warning, block in zip(warnings[1::2], (sleep, spin), strict=True):
        found = re.match(
            r"the application's event loop was blocked for (\d+\.\d) s, in the handler (\S+) ", warning
        )
        assert found is not None, warning
        assert BLOCKED_S - 0.2 <= float(found[1]) <= BLOCKED_S + 0.6
        assert found[2].endswith("on_connect.<locals>.on_audio") or sys.version_info < (3, 11)
        assert f"{block.__name__} (" in warning  # and the place inside


async def test_a_loop_that_is_busy_but_not_blocked_gets_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as handle, calling(handle.get_address()):
        for _ in range(10):
            time.sleep(0.1)  # noqa: ASYNC251 - on purpose
            await asyncio.sleep(0)
    assert all_warnings_of(caplog) == []


async def test_what_was_posted_just_before_the_block_is_not_held_up() -> None:
    """Neither what the blocked loop itself had handed over, nor what another thread sends meanwhile."""
    arrived = {"the loop": threading.Event(), "outside": threading.Event()}
    in_time: list[bool] = []

    async def on_event(event: Event) -> None:
        client = handle.connections.all()[0]
        await client.send_json_packet('{"from":"the loop"}')
        # Which blocks the loop; within less than the interval of pings, which would wake the I/O side.
        in_time.extend(each.wait(DEADLINE_S / 2) for each in arrived.values())

    async def send_from_outside() -> None:
        await asyncio.to_thread(arrived["the loop"].wait)  # by itself, and not with what follows
        await handle.connections.all()[0].send_json_packet('{"from":"outside"}')

    async def listen(address: str) -> None:
        async with calling(address) as caller:
            for _ in range(2):
                arrived[json.loads(await next_text(caller))["from"]].set()

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=on_event)

    async with serving(on_connect) as handle:
        with own_loop() as second, own_loop() as third:
            listening = asyncio.run_coroutine_threadsafe(listen(handle.get_address()), second)
            sending = asyncio.run_coroutine_threadsafe(send_from_outside(), third)
            await asyncio.wait_for(asyncio.wrap_future(sending), 3 * DEADLINE_S)
            await asyncio.wait_for(asyncio.wrap_future(listening), DEADLINE_S)
    assert in_time == [True, True], "it arrived only after the block"


@BOTH_LOOPS
async def test_every_call_may_come_from_another_loop() -> None:
    """As in vendor programs that run asyncio.run() in a thread of their own."""
    ends: list[Disconnected] = []
    events: list[Event] = []

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)

    async def converse(client: AudioConnectorConnection) -> list[Any]:
        said: list[Any] = []
        audio, router_events = client.audio(), client.events()
        await client.send_json_packet('{"hello":1}')
        await client.send_audio_buffer(sawtooth(320), pad_last_frame=True)
        said.append(await client.wait_until_played())
        async with client.speech() as speech:
            await speech.write(sawtooth(100))
            await speech.write(sawtooth(220, start=100))
        said.append(await speech.finished())
        said.append(await anext(audio))
        events.append(await anext(router_events))
        await client.send_audio_buffer(sawtooth(16000 * 5))
        said.append(await client.flush_buffer())
        said.append(client.playback.queued_ms)
        said.append(client.statistics().audio_messages_received)
        client.set_buffer_timing(active_seconds=1)
        await client.close(4000, "done")
        return said

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        await until(lambda: len(handle.connections) == 1, "the call")
        client = handle.connections.all()[0]
        with own_loop() as second:
            talking = asyncio.run_coroutine_threadsafe(converse(client), second)
            assert await next_text(caller) == '{"hello":1}'
            assert await next_audio(caller, 2) == [sawtooth(320)] * 2
            await caller.send(FRAME)
            await caller.send("{}")
            assert await how_closed(caller) == (4000, "done")
            said = await asyncio.wait_for(asyncio.wrap_future(talking), DEADLINE_S)
        await until(lambda: ends, "the end")
    assert isinstance(said[0], Played)
    assert said[1] == Played(20.0)
    assert said[2] == FRAME
    assert isinstance(said[3], Flushed)
    assert said[3].played_ms + said[3].discarded_ms == 5000
    assert said[4:] == [0.0, 1]
    assert len(events) == 1
    assert ends == [Disconnected(code=4000, reason="done", closed_by="server")]


@BOTH_LOOPS
async def test_four_threads_write_whole_utterances() -> None:
    """Utterances of several threads may interleave; none may be torn."""
    outcomes: list[Played | Interrupted] = []

    async def talk(client: AudioConnectorConnection, mark: int) -> Played | Interrupted:
        async with client.speech() as speech:
            for _ in range(50):
                await speech.write(bytes([mark, mark]) * 64)
                await asyncio.sleep(0.0005)
        return await speech.finished()

    # Begun once it is whole: a thread that gets its turn late leaves no gap in it, which would be padded.
    whole = {"prime_ms": 1000}
    async with serving(playback=whole) as handle, calling(handle.get_address()) as caller:
        await until(lambda: len(handle.connections) == 1, "the call")
        client = handle.connections.all()[0]
        client.set_buffer_timing(10)
        with own_loop() as one, own_loop() as two, own_loop() as three:
            waits: list[Awaitable[Played | Interrupted]] = [
                asyncio.wrap_future(asyncio.run_coroutine_threadsafe(talk(client, mark), loop))
                for mark, loop in ((1, one), (2, two), (3, three))
            ]
            waits.append(talk(client, 4))
            outcomes = list(await asyncio.wait_for(asyncio.gather(*waits), DEADLINE_S))
            heard = await next_audio(caller, 40)
    assert outcomes == [Played(200.0)] * 4
    marks = [frame[0] for frame in heard]
    assert heard == [bytes([mark, mark]) * 320 for mark in marks]
    assert sorted(marks) == [mark for mark in (1, 2, 3, 4) for _ in range(10)]
    assert [marks[at] for at in range(0, 40, 10)] == [marks[at + 9] for at in range(0, 40, 10)]


async def test_a_flush_from_outside_reaches_a_blocked_application_s_call() -> None:
    """Barge-in must not wait for the loop that is blocked."""
    blocked, flushed = threading.Event(), threading.Event()
    in_time: list[bool] = []

    async def on_event(event: Event) -> None:
        await handle.connections.all()[0].send_audio_buffer(sawtooth(16000 * 5), pad_last_frame=True)
        await asyncio.sleep(0.05)
        blocked.set()
        in_time.append(flushed.wait(DEADLINE_S))  # which blocks the loop

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=on_event)

    async def interrupt() -> float:
        await asyncio.to_thread(blocked.wait)
        outcome = await handle.connections.all()[0].flush_buffer()
        flushed.set()
        return outcome.discarded_ms

    async with serving(on_connect) as handle, calling(handle.get_address()):
        with own_loop() as second:
            interrupting = asyncio.run_coroutine_threadsafe(interrupt(), second)
            assert await asyncio.wait_for(asyncio.wrap_future(interrupting), 2 * DEADLINE_S) > 4000
        await until(lambda: in_time, "the end of the block")
    assert in_time == [True], "it was done only after the block"
