# SPDX-License-Identifier: Apache-2.0
"""The application's side in tests: a server on a free port, an application that notes what it is told, waits."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import pytest
import trustme

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorServer,
    AudioConnectorServerHandle,
    Disconnected,
)

DEADLINE_S = 20.0
"""What takes longer than this on loopback has failed. Beside six other programs on two cores, the ends of 200 calls
took more than 5 s."""

BOTH_LOOPS = pytest.mark.asyncio(loop_factories=("asyncio", "uvloop"))
"""For what depends on the application's loop."""


def tls_client(test: Any) -> Any:
    """For what dials with asyncio's TLS, whose transports of Python 3.10 warn although they were closed."""
    quiet = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
    return pytest.mark.usefixtures("collected_transports")(quiet(test))


@asynccontextmanager
async def serving(
    on_connect: Callable[..., Any] | None = None, **options: Any
) -> AsyncIterator[AudioConnectorServerHandle]:
    """A server on a free port of the loopback, stopped at the end."""
    config = {"host": "127.0.0.1", "port": 0, "on_connect": on_connect, **options}
    async with AudioConnectorServer(config) as handle:
        yield handle


def echo(client: AudioConnectorConnection) -> None:
    """Send back every message; an ``on_connect``."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)
        else:
            await client.send_json_packet(message)

    client.set_handler(on_message=on_message)


async def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something that nobody announces."""
    give_up_at = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > give_up_at:
            pytest.fail(f"not within {deadline_s:g} s: {what}")
        await asyncio.sleep(0.002)


@dataclass
class Heard:
    """What the application was told of one connection, in order."""

    client: AudioConnectorConnection
    messages: list[bytes | str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    ends: list[Disconnected] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    @property
    def audio(self) -> list[bytes]:
        return [message for message in self.messages if isinstance(message, bytes)]

    @property
    def texts(self) -> list[str]:
        return [message for message in self.messages if isinstance(message, str)]

    @property
    def end(self) -> Disconnected:
        """How it ended; exactly once."""
        assert len(self.ends) == 1
        return self.ends[0]


class Listener:
    """An application that takes every message and notes it; ``on_connect`` of a server."""

    def __init__(self) -> None:
        self.calls: list[Heard] = []

    async def __call__(self, client: AudioConnectorConnection) -> None:
        heard = Heard(client)
        self.calls.append(heard)

        async def on_message(message: bytes | str) -> None:
            heard.messages.append(message)
            heard.order.append("message")

        async def on_error(error: Exception) -> None:
            heard.errors.append(error)
            heard.order.append("error")

        async def on_disconnect(how: Disconnected) -> None:
            heard.ends.append(how)
            heard.order.append("end")

        client.set_handler(on_message=on_message, on_disconnect=on_disconnect, on_error=on_error)

    async def call(self, number: int = 0) -> Heard:
        """The call of this number, when it is there."""
        await until(lambda: len(self.calls) > number, f"call {number}")
        return self.calls[number]

    async def ended(self, number: int = 0) -> Heard:
        """The call of this number, when it is over."""
        heard = await self.call(number)
        await until(lambda: heard.ends, f"the end of call {number}")
        return heard


OF_A_BUSY_MACHINE = (
    "event loop is blocked",
    "event loop was blocked",
    "garbage collection of generation",
    "kept Python's lock",
    "nothing of this process ran",
)
"""What the library warns of where a test, or what runs beside it, takes its time."""


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library logged from WARNING on, but for how busy the machine is, which may be at any time."""
    return [text for text in all_warnings_of(caplog) if not any(word in text for word in OF_A_BUSY_MACHINE)]


def all_warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library logged from WARNING on."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("audio_connector") and record.levelno >= logging.WARNING
    ]


async def speak_and_iterate(client: AudioConnectorConnection) -> None:
    """Say something, and take audio and events until the end of the call, then the outcome."""
    events = client.events()
    async with client.speech() as speech:
        await speech.write(sawtooth(3200), sample_rate=8000)
    async for _ in client.audio(chunk_ms=40, sample_rate=24000):
        pass
    async for _ in events:
        pass
    await speech.finished()


def traces_of(*kinds: type) -> int:
    """How many objects of these classes are alive."""
    gc.collect()
    return sum(type(thing) in kinds for thing in gc.get_objects())


def io_threads() -> int:
    """How many I/O threads run."""
    return sum(thread.name == "audio-connector-io" for thread in threading.enumerate())


@contextmanager
def own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A second thread with an event loop of its own."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, name="second-loop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)


class Certificates(NamedTuple):
    """One authority, its server's context and a client's that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@cache
def certificates() -> Certificates:
    """Made once, never stored in a file that stays."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


def sawtooth(samples: int, *, start: int = 0) -> bytes:
    """PCM in which no two neighbouring samples are equal and none is zero: whatever is lost or moved shows."""
    return b"".join((1 + (at * 7919) % 32000).to_bytes(2, "little") for at in range(start, start + samples))


def joined(frames: Iterable[bytes]) -> bytes:
    """The audio of frames."""
    return b"".join(frames)
