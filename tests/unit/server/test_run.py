# SPDX-License-Identifier: Apache-2.0
"""A whole main program: what it takes, what it says, and how signals end it."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from support.ends import heed_interrupts
from websockets.sync.client import connect

from audio_connector.errors import AudioConnectorConfigError, AudioConnectorStartServerError, UsageError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.run import HOST, PORT, configuration_of, isolated, run
from audio_connector.server.server import AudioConnectorServer

pytestmark = pytest.mark.programs  # programs that a signal ends

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="it is sent signals")


async def on_connect(client: object) -> None: ...


class Bot:
    """As one writes it with a class."""

    async def on_connect(self, client: object) -> None: ...

    async def __call__(self, client: object) -> None: ...


def config(**values: Any) -> AudioConnectorServerConfig:
    return AudioConnectorServerConfig(**{"host": "127.0.0.1", "port": 0, "on_connect": on_connect, **values})


def config_of(fields: Mapping[str, Any]) -> AudioConnectorServerConfig:
    return AudioConnectorServerConfig(**fields)


HANDLERS = (
    on_connect,
    Bot().on_connect,
    Bot(),
    partial(on_connect),
    lambda client: None,
    lambda *clients: None,
)


@pytest.mark.parametrize("app", HANDLERS)
def test_an_on_connect(app: Callable[..., Any]) -> None:
    made = configuration_of(app)
    assert (made.host, made.port) == (HOST, PORT)
    assert made.on_connect is app


FIELDS: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "on_connect": on_connect,
    "playback": {"lead_ms": 300},
}


@pytest.mark.parametrize(
    "app",
    [
        dict(FIELDS),
        MappingProxyType(dict(FIELDS)),
        config(playback={"lead_ms": 300}),
        lambda: config(playback={"lead_ms": 300}),
        lambda: dict(FIELDS),
        lambda *, debug=False: config(playback={"lead_ms": 300}),
    ],
)
def test_a_configuration_a_mapping_or_what_returns_one(app: Any) -> None:
    made = configuration_of(app)
    assert (made.host, made.port, made.on_connect) == ("127.0.0.1", 0, on_connect)
    assert made.playback.lead_ms == 300
    made = configuration_of(app, host="localhost", port=5)
    assert (made.host, made.port) == ("localhost", 5)


def test_an_on_connect_that_forgot_its_parameter_is_called_so() -> None:
    async def on_connect() -> None: ...

    with pytest.raises(
        UsageError, match=r"on_connect is a coroutine function without parameters; an on_connect takes"
    ):
        configuration_of(on_connect)


def test_a_function_that_returns_an_on_connect() -> None:
    assert configuration_of(lambda: on_connect).on_connect is on_connect
    assert configuration_of({"on_connect": on_connect}).port == PORT, "what is left out is the usual"


@pytest.mark.parametrize("app", [None, 5, "module:app", [on_connect], lambda: None, lambda: 7])
def test_anything_else_is_refused(app: Any) -> None:
    with pytest.raises(UsageError, match="expected an on_connect, a configuration"):
        run(app, say=lambda text: None)


def test_a_wrong_field_or_port_is_named() -> None:
    with pytest.raises(AudioConnectorConfigError, match="port"):
        run({"port": -1})
    with pytest.raises(AudioConnectorStartServerError, match="the host is not known"):
        run(on_connect, host="no such host.invalid", port=0)


@POSIX
@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({}, "process"),
        ({"isolation": "thread"}, "thread"),
        ({"isolation": "process"}, "process"),
        ({"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, "thread"),
    ],
)
@pytest.mark.parametrize("app_of", [dict, config_of, lambda fields: lambda: config_of(fields)])
def test_the_sockets_get_a_process_where_the_application_does_not_say(
    said: dict[str, Any], made: str, app_of: Callable[..., Any]
) -> None:
    assert isolated(configuration_of(app_of({**FIELDS, **said}))).isolation == made


def test_a_frozen_program_has_no_interpreter_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert isolated(configuration_of(on_connect)).isolation == "thread"


def test_a_host_or_a_port_goes_before_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        app = {"on_connect": on_connect, "sockets": [sock]}
        assert configuration_of(app).sockets == (sock,)
        assert configuration_of(app).port == sock.getsockname()[1]
        told = configuration_of(app, port=5)
        assert (told.host, told.port, told.sockets) == (HOST, 5, ())


def test_a_port_in_use_is_an_error_without_the_frames_of_the_library() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        with pytest.raises(
            AudioConnectorStartServerError, match="the port is in use; choose another"
        ) as caught:
            run(on_connect, host="127.0.0.1", port=sock.getsockname()[1])
        shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Traceback") == 1
    assert shown.count("  File ") <= 3, "this line, run, and what run calls"


def test_what_on_start_raised_stays_in_view() -> None:
    def on_start() -> None:
        raise LookupError("no database")

    with pytest.raises(AudioConnectorStartServerError, match="on_start failed") as caught:
        run(config(on_start=on_start))
    assert isinstance(caught.value.__cause__, LookupError)
    assert "in on_start" in "".join(traceback.format_exception(caught.value))


@contextmanager
def in_a_thread(server_of: Callable[[], Any], said: list[str], listens: threading.Event) -> Iterator[None]:
    def say(text: str) -> None:
        said.append(text)
        listens.set()

    thread = threading.Thread(target=lambda: run(server_of(), say=say))
    thread.start()
    assert listens.wait(20)
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()


def test_in_a_thread_it_runs_until_somebody_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[AudioConnectorServer] = []
    made = AudioConnectorServer.__init__

    def remember(self: AudioConnectorServer, *args: Any) -> None:
        servers.append(self)
        made(self, *args)

    monkeypatch.setattr(AudioConnectorServer, "__init__", remember)
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with in_a_thread(config, said, threading.Event()):
        assert signal.getsignal(signal.SIGTERM) is before
        asyncio.run(servers[0].stop())
    assert said[0].startswith("listening on ws://127.0.0.1:")
    assert said[1:] == ["stopped"]


# Signals, to a process of its own.


class Program:
    """A bot in a process, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.first_line = self.read()

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    @property
    def address(self) -> str:
        assert self.first_line.startswith("listening on ws://")
        return self.first_line.split()[-1]

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=20)
        return self.process.returncode, stdout, stderr


@contextmanager
def running(text: str) -> Iterator[Program]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it has no threads
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


ECHO = """
    import audio_connector
    async def on_connect(client):
        async for frame in client.audio():
            await client.send_audio_buffer(frame)
    audio_connector.run(on_connect, host="127.0.0.1", port=0)
"""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_every_call_with_1001_and_nothing_is_said_but_stopped(number: int) -> None:
    with running(ECHO) as program:
        with connect(program.address, proxy=None) as first, connect(program.address, proxy=None) as second:
            first.send('{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}')
            first.send(bytes(640))
            assert first.recv(timeout=20) == bytes(640)
            program.process.send_signal(number)
            for caller in (first, second):
                for _ in caller:
                    pass
                assert caller.close_code == 1001
        assert program.end() == (0, "stopped\n", "")


LATE = """
    import asyncio, audio_connector
    async def on_stop():
        print("stopping", flush=True)
        await asyncio.sleep(1000)
    async def on_connect(client): ...
    audio_connector.run({
        "host": "127.0.0.1", "port": 0, "on_connect": on_connect, "on_stop": on_stop, "timeouts": {"stop_s": 900}
    })
"""


@POSIX
def test_a_second_signal_does_not_wait_for_handlers() -> None:
    with running(LATE) as program:
        program.process.send_signal(signal.SIGINT)
        assert program.read() == "stopping\n"
        program.process.send_signal(signal.SIGINT)
        status, stdout, _ = program.end()
        assert (status, stdout) == (0, "stopped\n")


STARTING = """
    import asyncio, time, audio_connector
    async def on_start():
        print("starting", flush=True)
        HOW
    def on_stop():
        print("on_stop", flush=True)
    async def on_connect(client): ...
    audio_connector.run(
        {"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "on_start": on_start, "on_stop": on_stop}
    )
"""
GOES_ON = """try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass"""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", ["await asyncio.sleep(1000)", GOES_ON])
def test_a_signal_while_on_start_runs_cancels_it_and_calls_on_stop(number: int, how: str) -> None:
    with running(STARTING.replace("HOW", how)) as program:
        assert program.first_line == "starting\n"
        program.process.send_signal(number)
        assert program.end() == (0, "on_stop\nstopped\n", "")


@POSIX
def test_a_second_one_ends_an_on_start_that_blocks() -> None:
    with running(STARTING.replace("HOW", "time.sleep(1000)")) as program:
        program.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):  # two that come at once are one
            program.process.wait(0.2)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(20) == -signal.SIGTERM


BLOCKED = """
    import time, audio_connector
    def on_connect(client):
        print("blocked", flush=True)
        time.sleep(1000)
    audio_connector.run(on_connect, host="127.0.0.1", port=0)
"""


@POSIX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
def test_also_where_a_handler_blocks_the_loop(number: int, status: int) -> None:
    with running(BLOCKED) as program, connect(program.address, proxy=None, close_timeout=1):
        assert program.read() == "blocked\n"
        program.process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):  # two that come at once are one
            program.process.wait(0.2)
        program.process.send_signal(number)
        assert program.process.wait(20) == status


@POSIX
def test_it_goes_on_where_nobody_reads_what_it_says() -> None:
    with running(ECHO) as program:
        assert program.process.stdout is not None
        program.process.stdout.close()
        program.process.send_signal(signal.SIGTERM)
        # 120: the interpreter could not flush at its end
        assert program.process.wait(20) in (0, 120)


CLOSED = """
    import asyncio, os, signal, sys, audio_connector
    async def end():
        while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
    async def on_start():
        tasks.append(asyncio.ensure_future(end()))
    tasks = []
    async def on_connect(client): ...
    audio_connector.run({
        "host": "127.0.0.1", "port": 0, "on_connect": on_connect, "on_start": on_start, "isolation": sys.argv[1]
    })
"""


@POSIX
@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_closed_descriptors_are_no_sockets_in_any_process_of_it(isolation: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- <&-', "sh", sys.executable, "-c", textwrap.dedent(CLOSED), isolation],
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
