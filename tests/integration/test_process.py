# SPDX-License-Identifier: Apache-2.0
"""The I/O side in a process of its own: what a death costs on either side, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import support
from support.peers import FRAME, calling, how_closed, next_audio, next_text
from support.processes import children_of, command_of, is_running, program
from support.serving import DEADLINE_S, Listener, echo, io_threads, sawtooth, serving, until, warnings_of
from support.watching import counts_in, fetch
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from audio_connector import (
    AudioConnectorConfigError,
    AudioConnectorConnection,
    AudioConnectorServerConfig,
    AudioConnectorServerHandle,
)
from audio_connector import (
    ConnectionClosed as Over,
)
from audio_connector.server.io_process import IoProcess

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there is no process form")]

ROUTER = Path(support.__path__[0]) / "router_process.py"


def process_of(handle: AudioConnectorServerHandle) -> int:
    """The number of the I/O process."""
    assert handle._server is not None
    assert handle._server._running is not None
    io = handle._server._running.io
    assert isinstance(io, IoProcess)
    assert io._process is not None
    return io._process.pid


def serving_apart(on_connect: Any = None, **options: Any) -> Any:
    return serving(on_connect, isolation="process", **options)


SPEAKING = """
import asyncio, os, struct, audio_connector

async def on_connect(client):
    async with client.speech() as speech:
        await speech.write(bytes(range(1, 129)) * 5 * 500)

config = {"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "isolation": "process"}
audio_connector.run(config)
"""


# Its death.


async def test_a_process_that_is_killed_ends_its_calls_with_a_reason_and_another_one_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener()
    async with serving_apart(listener) as handle:
        async with calling(handle.get_address()) as caller:
            heard = await listener.call()
            waiting = asyncio.create_task(heard.client.wait_until_played())
            await heard.client.send_audio_buffer(sawtooth(16000 * 5))
            await until(lambda: heard.client.statistics().audio_ms_sent, "the figures")
            os.kill(killed := process_of(handle), signal.SIGKILL)
            assert await how_closed(caller) == (1006, "")
        await listener.ended()
        await asyncio.wait_for(waiting, DEADLINE_S)
        lost = heard.client.statistics()
        assert lost.unsent_ms > 4000
        assert lost.played_ms + lost.unsent_ms <= 5000
        assert heard.client.statistics() == lost
        assert (heard.end.code, heard.end.reason, heard.end.closed_by) == (
            1006,
            "the I/O process has ended (signal 9)",
            "server",
        )
        with pytest.raises(Over, match="the I/O process has ended"):
            await heard.client.send_audio_buffer(FRAME)
        async with calling(handle.get_address()) as caller:  # at once: it waits in the socket
            again = await listener.call(1)
            await again.client.send_audio_buffer(FRAME, pad_last_frame=True)
            assert (await next_audio(caller, 1))[0] == FRAME
        assert process_of(handle) != killed
        assert not is_running(killed)
        counts = counts_in((await fetch(handle.get_address(), "/metrics")).body)
        assert counts["calls_ended", ("server", "1006")] == 1
        assert counts["unsent_seconds", ()] == pytest.approx(lost.unsent_ms / 1000)
    texts = warnings_of(caplog)
    assert len(texts) == 2
    assert texts[0].startswith("the I/O process has ended (signal 9; ")
    assert texts[0].endswith("): its 1 calls are over, and another one is started")
    assert texts[1] == "another I/O process listens"
    caplog.clear()


async def test_calls_that_are_over_by_its_death_in_a_drain_were_cut(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    async with serving_apart(listener) as handle, calling(handle.get_address()):
        heard = await listener.call()
        await heard.client.send_audio_buffer(sawtooth(16000 * 5))
        draining = asyncio.create_task(handle.drain(30.0))
        await asyncio.sleep(0)
        os.kill(process_of(handle), signal.SIGKILL)
        assert await asyncio.wait_for(draining, DEADLINE_S) is False
    caplog.clear()


async def test_nobody_is_turned_away_while_there_is_no_process() -> None:
    listener = Listener()
    async with serving_apart(listener) as handle:
        for round_ in range(3):
            os.kill(process_of(handle), signal.SIGKILL)
            async with calling(handle.get_address(), open_timeout=DEADLINE_S):
                await listener.call(round_)
            await listener.ended(round_)


async def test_stopping_while_another_one_is_started() -> None:
    async with serving_apart(echo) as handle:
        os.kill(killed := process_of(handle), signal.SIGKILL)
        await until(lambda: not is_running(killed), "its end")
        began = time.monotonic()
        await handle.stop()
        assert time.monotonic() - began < 5
    assert io_threads() == 0
    assert not children_of(os.getpid())


async def test_a_process_that_hangs_does_not_hold_up_the_stop() -> None:
    async with serving_apart(echo, timeouts={"stop_s": 0.5}) as handle:
        async with calling(handle.get_address()):
            os.kill(hung := process_of(handle), signal.SIGSTOP)
            began = time.monotonic()
            await handle.stop()
            assert time.monotonic() - began < 6
        assert not is_running(hung)


async def test_its_refusals_are_kept_beyond_its_death() -> None:
    async def refused() -> None:
        with pytest.raises(InvalidStatus):
            async with connect(handle.get_address(), additional_headers={"Transfer-Encoding": "x"}):
                pass

    async with serving_apart(echo) as handle:
        await refused()
        await until(lambda: handle.refusals == {"400": 1}, "the count")
        os.kill(process_of(handle), signal.SIGKILL)
        await refused()
        await until(lambda: handle.refusals == {"400": 2}, "the count of both")


# The death of the application.


async def test_a_parent_that_is_killed_leaves_no_child_and_a_goodbye() -> None:
    async with program(SPEAKING) as (process, address), calling(address) as caller:
        assert len(await next_audio(caller, 5)) == 5
        children = children_of(process.pid)
        assert len(children) == 1
        process.kill()
        assert await how_closed(caller) == (1001, "the server has stopped")
        await until(lambda: not any(map(is_running, children)), "the end of the child")


FORKS = """
import os, time, warnings

warnings.simplefilter("ignore")  # some Pythons warn of a fork beside threads

def fork():
    if not os.fork():
        os.closerange(1, 3)
        time.sleep(6)
        os._exit(0)
"""


async def test_a_process_that_the_application_has_forked_keeps_no_child() -> None:
    """It has the application's end of the stream."""
    text = FORKS + SPEAKING.replace("async with client.speech()", "fork()\n    async with client.speech()")
    async with program(text) as (process, address), calling(address) as caller:
        assert len(await next_audio(caller, 5)) == 5
        children = [pid for pid in children_of(process.pid) if "io_child" in command_of(pid)]
        assert len(children) == 1
        process.kill()
        assert await how_closed(caller) == (1001, "the server has stopped")
        await until(lambda: not any(map(is_running, children)), "the end of the child")


async def test_ctrl_c_reaches_the_application_alone() -> None:
    """As a terminal sends it: to the whole group. What is being said is heard to its end."""
    text = SPEAKING.replace("5 * 500", "5 * 60")
    async with program(text) as (process, address), calling(address) as caller:
        await next_audio(caller, 5)
        os.killpg(process.pid, signal.SIGINT)
        frames = 5 + len([message async for message in caller if isinstance(message, bytes)])
        assert frames == 60
        assert await how_closed(caller) == (1001, "the server has stopped")
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0


RUNS = """
import audio_connector

async def on_connect(client):
    pass

audio_connector.run(on_connect, host="127.0.0.1", port=0)
"""


async def test_two_signals_at_once_end_a_program_as_quietly_as_one() -> None:
    """The second one hurries the first, so that the stream ends while the child is told to shut down."""
    for _ in range(6):  # a third of such pairs left a traceback of the child
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUNS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert process.stdout is not None
        assert b"listening" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.003)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.stdout.read(), DEADLINE_S) == b"stopped\n"
        assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_child_alone_changes_nothing(number: signal.Signals) -> None:
    """A service manager sends its signal to every process of a service."""
    async with serving_apart(echo) as handle, calling(handle.get_address()) as caller:
        os.kill(process_of(handle), number)
        await caller.send(FRAME)
        await caller.send(FRAME)
        assert await next_audio(caller, 2) == [FRAME, FRAME]


ENDS_WITHOUT_STOP = """
import asyncio, audio_connector

async def main():
    config = {"host": "127.0.0.1", "port": 0, "isolation": "process"}
    handle = await audio_connector.AudioConnectorServer().start_server(config)
    print(handle.get_address(), flush=True)
    while not handle.connections:
        await asyncio.sleep(0.01)

HOW
"""


@pytest.mark.parametrize(
    "how",
    [
        "asyncio.run(main())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",  # and is not closed
    ],
)
async def test_an_interpreter_that_ends_without_stop_leaves_no_child(how: str) -> None:
    async with program(ENDS_WITHOUT_STOP.replace("HOW", how)) as (process, address):
        children = children_of(process.pid)
        assert len(children) == 1
        async with calling(address, rate_hz=None) as caller:
            assert await how_closed(caller) == (1001, "the server has stopped")
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
        await until(lambda: not any(map(is_running, children)), "the end of the child")


# Where there can be none.


@pytest.mark.thread
async def test_without_an_interpreter_the_thread_is_taken_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    async with serving_apart(echo) as handle, calling(handle.get_address()) as caller:
        await caller.send(FRAME)
        await caller.send(FRAME)
        assert await next_audio(caller, 2) == [FRAME, FRAME]
    (text,) = warnings_of(caplog)
    assert text.startswith("the sockets run in a thread of this process, as with isolation='thread': ")
    caplog.clear()


@pytest.mark.thread
@pytest.mark.parametrize(
    ("interpreter", "why"),
    [
        ("/nonexistent/python", "No such file or directory"),
        ("/bin/false", "it ended with status 1 before it listened"),
    ],
)
async def test_an_interpreter_that_does_not_start(
    interpreter: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    async with serving_apart(echo) as handle, calling(handle.get_address()) as caller:
        await caller.send(FRAME)
        await caller.send(FRAME)
        assert await next_audio(caller, 2) == [FRAME, FRAME]
    (text,) = warnings_of(caplog)
    assert why in text
    caplog.clear()


def test_an_ssl_context_cannot_cross() -> None:
    with pytest.raises(AudioConnectorConfigError, match=r"cannot cross to another process.*tls=Tls\("):
        AudioConnectorServerConfig(
            host="localhost", port=0, isolation="process", ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        )


# What it is for.


async def test_nothing_that_was_buffered_runs_dry_while_the_interpreter_is_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For 1.5 s in one call into C, in a handler, in the middle of 20 speaking and 20 echoing calls.

    With a lead that this machine cannot use up by being busy, and that is far less than that.
    """
    speaking_s, held = 3.4, []
    speech = sawtooth(round(16000 * speaking_s))

    def hold() -> None:
        """pow() of such numbers does not let go of the interpreter; its time grows with the bits of the exponent."""
        modulus = (1 << 12000) - 3
        began = time.monotonic()
        pow(3, (1 << 200) - 1, modulus)
        bits = 200 / (time.monotonic() - began)
        began = time.monotonic()
        pow(3, (1 << round(1.5 * bits)) - 1, modulus)
        held.append(time.monotonic() - began)

    frames = 0

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_audio(frame: bytes) -> None:
            nonlocal frames
            if client.path == "/echo/7":
                frames += 1
                if frames == 40:
                    hold()
            await client.send_audio_buffer(frame)

        client.set_handler(on_audio=on_audio)
        if client.path.startswith("/speak"):
            await client.send_audio_buffer(speech, pad_last_frame=True)

    calls = [
        *({"path": f"/echo/{at}", "speech_s": 3.2, "tail_s": 0.5} for at in range(20)),
        *({"path": f"/speak/{at}", "speech_s": 0.0, "tail_s": speaking_s + 0.4} for at in range(20)),
    ]
    async with serving_apart(on_connect, playback={"lead_ms": 500}) as handle:
        router = await asyncio.create_subprocess_exec(
            sys.executable, str(ROUTER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        task = json.dumps({"address": handle.get_address(), "calls": calls, "expected_s": speaking_s})
        output, _ = await asyncio.wait_for(router.communicate(task.encode()), 60)
        result = json.loads(output)
    assert held, "the interpreter was not held"
    for call in result["calls"]:
        if call["path"].startswith("/speak"):
            assert call["is_exact"], call
            assert (call["received"], call["underruns"]) == (round(speaking_s * 50), 0)
    assert result["slowest_ping_s"] < 0.5
    caplog.clear()


async def test_what_comes_while_the_application_is_stopped_waits_within_bounds() -> None:
    """A process that is suspended and goes on: it is told all that was kept, and how much was not."""
    text = """
import asyncio, audio_connector

async def on_connect(client):
    await asyncio.sleep(0.2)
    count = 0
    async for piece in client.audio():
        count += 1
        if piece == bytes(640):
            break
    await asyncio.sleep(0.3)  # they are a tenth of a second old at most
    said = client.statistics()
    await client.send_json_packet({"taken": count, "dropped": said.dropped_messages + said.unwanted_messages})

config = {"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "isolation": "process"}
config["intake"] = {"max_buffer_ms": 1000}
audio_connector.run(config)
"""
    async with program(text) as (process, address), calling(address) as caller:
        process.send_signal(signal.SIGSTOP)
        for _ in range(300):
            await caller.send(FRAME)
            await asyncio.sleep(0.002)
        process.send_signal(signal.SIGCONT)
        await caller.send(bytes(640))
        said = json.loads(await asyncio.wait_for(caller.recv(), DEADLINE_S))
        assert said["taken"] + said["dropped"] == 301
        assert 200 < said["dropped"] < 260


async def test_what_it_logs_is_in_the_log_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audio_connector")
    async with serving_apart(echo) as handle:
        with pytest.raises(InvalidStatus):
            async with connect(handle.get_address(), additional_headers={"Transfer-Encoding": "x"}):
                pass
        await until(lambda: "refused GET '/'" in caplog.text, "the line")
    (record,) = [record for record in caplog.records if "refused GET" in record.getMessage()]
    assert (record.name, record.process) == ("audio_connector.wire", os.getpid())
    assert time.time() - record.created < DEADLINE_S


@pytest.mark.slow
async def test_a_text_of_any_size_crosses_and_ends_no_other_call() -> None:
    async with (
        serving_apart(echo) as handle,
        calling(handle.get_address(), max_size=None) as caller,
        calling(handle.get_address()) as other,
    ):
        await until(lambda: len(handle.connections.all()) == 2, "both calls")
        await handle.connections.all()[0].send_json_packet(["x" * 12_000_000])
        assert len(await next_text(caller)) < 100  # the echo of its first message
        assert len(await next_text(caller)) > 12_000_000
        await other.send(FRAME)
        await other.send(FRAME)
        assert await next_audio(other, 2) == [FRAME, FRAME]
