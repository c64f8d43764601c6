# SPDX-License-Identifier: Apache-2.0
"""The whole real server on a loop in virtual time: only its thread and its sockets are others."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.audio import numbered
from support.call import Router
from support.conversation import LoopClock

from audio_connector.errors import AudioConnectorStartServerError, ConnectionClosed, DialError, UsageError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle
from audio_connector.testing.network import dial, listen
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.memory_network import FIRST_FREE_PORT
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.refusals import NOT_NOW
from audio_connector.wire.transport import WireLimits

FRAME = numbered(7, 640)
FIRST = '{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}'


@contextlib.asynccontextmanager
async def serving(**config: Any) -> AsyncIterator[AudioConnectorServerHandle]:
    async with AudioConnectorServer({"host": "127.0.0.1", "port": 0, **config}) as handle:
        yield handle


def new_router() -> Router:
    return Router(LoopClock(asyncio.get_running_loop()), 16000)


async def dialled(url: str, router: Router) -> MemoryTransport:
    socket = await dial(url, router)
    socket.send_text(FIRST)
    return socket


async def echo(client: AudioConnectorConnection) -> None:
    async for frame in client.audio():
        await client.send_audio_buffer(frame)


@in_virtual_time
async def test_a_call_to_the_real_server_without_a_thread() -> None:
    threads = threading.active_count()
    async with serving(on_connect=echo) as handle:
        router = new_router()
        socket = await dialled(handle.get_address() + "/a?b=c", router)
        for number in range(100):
            socket.send_audio(numbered(number, 640))
            await asyncio.sleep(0.02)
        [client] = handle.connections.all()
        assert (client.path, client.query, client.secure) == ("/a", "b=c", False)
        assert threading.active_count() == threads
        await asyncio.sleep(0.5)
        assert router.frames == [numbered(number, 640) for number in range(100)]
        assert router.report().underruns == 0
    assert router.closed is not None
    assert (router.closed.code, router.closed.reason) == (1001, "the server has stopped")


@in_virtual_time
async def test_start_and_stop_run_their_handlers_and_end_a_call_that_is_spoken_to() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)
        try:
            while True:
                await client.send_audio_buffer(bytes(64000))
        except ConnectionClosed:
            told.append("closed")

    ends: list[Disconnected] = []
    told: list[str] = []
    async with serving(
        on_connect=on_connect, on_start=lambda: told.append("start"), on_stop=lambda: told.append("stop")
    ) as handle:
        await dialled(handle.get_address(), new_router())
        await asyncio.sleep(30)
        assert handle.running
    assert told == ["start", "closed", "stop"]
    assert [how.code for how in ends] == [1001]
    assert not handle.running
    await handle.wait_closed()
    await handle.stop()


@in_virtual_time
async def test_a_router_that_does_not_read_is_given_up_as_on_a_real_socket() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append)
        client.set_buffer_timing(60)
        with contextlib.suppress(ConnectionClosed):
            await client.send_audio_buffer(bytes(32000 * 60))

    errors: list[Exception] = []
    async with serving(on_connect=on_connect, timeouts={"stall_s": 5}) as handle:
        socket = await dialled(handle.get_address(), new_router())
        socket.pause_reading()
        await asyncio.sleep(10)
        assert [type(error).__name__ for error in errors] == ["RouterStalled"]


@in_virtual_time
async def test_two_servers_have_two_ports_and_one_port_has_one_server() -> None:
    async with serving() as one, serving() as two:
        assert (one.port, two.port) == (FIRST_FREE_PORT, FIRST_FREE_PORT + 1)
        with pytest.raises(AudioConnectorStartServerError, match="the port is in use"):
            await AudioConnectorServer().start_server({"host": "127.0.0.1", "port": one.port})
    async with serving(port=one.port) as again:
        await dialled(again.get_address(), new_router())


@in_virtual_time
async def test_tls_is_a_name_only_but_it_has_to_be_the_right_one() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ports = asyncio.get_running_loop().ports  # type: ignore[attr-defined]
    await listen(
        lambda _: NOT_NOW,
        host="127.0.0.1",
        port=8443,
        ssl_context=lambda: context,
        limits=WireLimits(),
        handshake_timeout_s=1.0,
    )
    with pytest.raises(DialError, match="should it be wss://"):
        await dial("ws://127.0.0.1:8443", new_router())
    with pytest.raises(DialError, match="HTTP 503") as caught:
        await dial("wss://127.0.0.1:8443", new_router())
    assert caught.value.status == 503
    ports.clear()


@in_virtual_time
async def test_where_nothing_listens_the_error_says_what_can_be_reached() -> None:
    async with serving(port=8765):
        with pytest.raises(DialError, match=r"none of them listens on port 80 \(open: 8765\)"):
            await dial("ws://bot.example.com/path", new_router())


def test_a_server_that_was_not_stopped_is_named() -> None:
    async def call() -> None:
        await AudioConnectorServer().start_server({"host": "127.0.0.1", "port": 8765})
        await rest()

    with pytest.raises(AssertionError, match="a server still listens on port 8765; stop it"):
        run_in_virtual_time(call())


async def test_in_real_time_there_are_no_such_sockets() -> None:
    with pytest.raises(UsageError, match="put @in_virtual_time above"):
        await dial("ws://127.0.0.1:1", Router(LoopClock(asyncio.get_running_loop()), 16000))
