# SPDX-License-Identifier: Apache-2.0
"""Start and stop in any order, and the connections between them; in virtual time."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from typing import Any

import pytest
from support.call import Router
from support.conversation import LoopClock

from audio_connector.errors import AudioConnectorStartServerError, DialError, UsageError
from audio_connector.port.mailbox import Outbox
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.io_thread import IoThread
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle
from audio_connector.testing.network import dial
from audio_connector.testing.virtual_time import in_virtual_time, rest
from audio_connector.wire.messages import Disconnected

CONFIG: dict[str, Any] = {"host": "127.0.0.1", "port": 8765}


def new_router() -> Router:
    return Router(LoopClock(asyncio.get_running_loop()), 16000)


def nobody_listens() -> bool:
    return not asyncio.get_running_loop().ports  # type: ignore[attr-defined]


async def is_over(starting: asyncio.Task[AudioConnectorServerHandle]) -> None:
    """Either it says that it did not start, or its handle says that it does not run."""
    try:
        handle = await asyncio.wait_for(starting, 10)
    except AudioConnectorStartServerError:
        return
    assert not handle.running
    await handle.stop()
    await handle.wait_closed()


@pytest.mark.parametrize("on_start_s", [None, 0.0, 0.5])
@pytest.mark.parametrize("rounds", range(8))
@in_virtual_time
async def test_a_stop_at_any_step_of_the_start_leaves_no_handle_that_says_it_runs(
    rounds: int, on_start_s: float | None
) -> None:
    async def on_start() -> None:
        told.append("start")
        await asyncio.sleep(on_start_s or 0.0)

    told: list[str] = []
    server = AudioConnectorServer()
    config = {**CONFIG, "on_stop": lambda: told.append("stop")}
    starting = asyncio.ensure_future(
        server.start_server(config if on_start_s is None else {**config, "on_start": on_start})
    )
    for _ in range(rounds):
        await asyncio.sleep(0)
    await server.stop()
    if rounds == 0:  # nothing had begun that could be stopped
        await rest()
        await server.stop()
    await is_over(starting)
    assert nobody_listens()
    await server.stop()
    assert told.count("stop") <= 1
    with pytest.raises(UsageError, match="was started before"):
        await server.start_server(CONFIG)


@in_virtual_time
async def test_in_virtual_time_sockets_of_somebody_else_are_left_alone() -> None:
    with socket.socket() as lent:
        lent.bind(("127.0.0.1", 0))
        async with AudioConnectorServer({"sockets": [lent]}) as handle:
            assert handle.port == lent.getsockname()[1]
            assert lent.getblocking()
        assert nobody_listens()


@pytest.mark.parametrize("rounds", range(6))
@in_virtual_time
async def test_a_start_that_is_cancelled_leaves_nothing(rounds: int) -> None:
    server = AudioConnectorServer()
    starting = asyncio.ensure_future(server.start_server({**CONFIG, "on_start": lambda: asyncio.sleep(1.0)}))
    for _ in range(rounds):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await rest()
    assert nobody_listens()


@pytest.mark.parametrize("stops", [1, 3])
@in_virtual_time
async def test_stops_at_once_are_one(stops: int) -> None:
    told: list[str] = []
    server = AudioConnectorServer({**CONFIG, "on_stop": lambda: told.append("stop")})
    async with server as handle:
        router = new_router()
        await dial(handle.get_address(), router)
        waiting = asyncio.ensure_future(handle.wait_closed())
        gone = asyncio.ensure_future(handle.wait_closed())
        await rest()
        gone.cancel()
        stopping = [asyncio.ensure_future(handle.stop()) for _ in range(stops)]
        await rest()
        stopping[-1].cancel()
        await asyncio.wait((*stopping, waiting))
        assert waiting.exception() is None
        assert not handle.running
        assert router.closed is not None
        assert router.closed.code == 1001
    assert told == ["stop"]
    with pytest.raises(DialError):
        await dial(handle.get_address(), new_router())


@in_virtual_time
async def test_at_the_stop_the_ends_of_many_calls_do_not_wait_for_each_other() -> None:
    """One by one as otherwise, those of thousands would outlast ``stop_s``, and on_disconnect not be called."""

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=told.append)

    told: list[Disconnected] = []
    config = {**CONFIG, "on_connect": on_connect, "limits": {"upgrades_per_second_per_address": None}}
    async with AudioConnectorServer(config) as handle:
        for _ in range(300):
            await dial(handle.get_address(), new_router())
        await rest()
        begun = asyncio.get_running_loop().time()
        await handle.stop()
        assert asyncio.get_running_loop().time() - begun < 0.1
    assert [how.code for how in told] == [1001] * 300


@in_virtual_time
async def test_a_server_that_was_never_started_is_stopped_already() -> None:
    await AudioConnectorServer().stop()
    handle = AudioConnectorServerHandle(host="::", port=5)
    await handle.stop()
    await handle.wait_closed()
    assert (handle.running, len(handle.connections)) == (False, 0)
    with pytest.raises(UsageError, match="has no configuration"):
        await AudioConnectorServer().__aenter__()


@pytest.mark.parametrize(
    ("host", "secure", "address"),
    [
        ("localhost", False, "ws://localhost:5"),
        ("::", False, "ws://[::]:5"),
        ("0.0.0.0", True, "wss://0.0.0.0:5"),
        ("", False, "ws://localhost:5"),
    ],
)
def test_the_address_can_be_dialled(host: str, secure: bool, address: str) -> None:
    assert AudioConnectorServerHandle(host=host, port=5, secure=secure).get_address() == address


@in_virtual_time
async def test_connections_are_known_from_their_beginning_to_their_end() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        seen.append(handle.connections.all())

    seen: list[list[AudioConnectorConnection]] = []
    async with AudioConnectorServer({**CONFIG, "on_connect": on_connect}) as handle:
        sockets = [await dial(handle.get_address(), new_router()) for _ in range(3)]
        await rest()
        clients = handle.connections.all()
        assert len(clients) == 3
        assert all(clients[at] in known for at, known in enumerate(seen))
        sockets[1].reset()
        await rest()
        assert handle.connections.all() == [clients[0], clients[2]]
    assert handle.connections.all() == []


@pytest.mark.parametrize("drains", [False, True])
@in_virtual_time
async def test_no_end_waits_for_another_one_when_the_server_stops(drains: bool) -> None:
    """A thousand that come one by one would take most of ``stop_s``, and the last ones would be cut off."""
    ended: list[float] = []
    clock = asyncio.get_running_loop().time

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=lambda: ended.append(clock()))

    config = {**CONFIG, "on_connect": on_connect, "timeouts": {"stop_s": 0.1}}
    async with AudioConnectorServer(config) as handle:
        for _ in range(100):
            await dial("ws://127.0.0.1:8765", new_router())
        await rest()
        draining = asyncio.ensure_future(handle.drain()) if drains else None
        await asyncio.sleep(0.02)
        begun = clock()
        await handle.stop()
        assert clock() - begun < 0.05
        if draining is not None:
            await draining
    assert len(ended) == 100


def test_an_interrupt_amid_the_stop_ends_the_program_once(caplog: pytest.LogCaptureFixture) -> None:
    """As a second Ctrl-C is, and while the loop cancels its tasks all of them come to their end.

    The I/O thread comes to its own end later than the application's loop does, and finds that closed.
    """

    ios: list[IoThread] = []
    is_closed = threading.Event()

    def find_it_closed(outbox: Outbox) -> None:
        is_closed.wait(5)
        outbox.wake()

    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        async with AudioConnectorServer({"host": "127.0.0.1", "port": 0}) as handle:
            assert handle._server is not None
            assert handle._server._running is not None
            io = handle._server._running.io
            assert isinstance(io, IoThread)
            ios.append(io)
            io.close_all = interrupted  # type: ignore[assignment, method-assign]
            io._loop.call_soon_threadsafe(find_it_closed, io.outbox)
            draining.append(asyncio.ensure_future(handle.drain()))
            await handle.wait_closed()

    draining: list[asyncio.Future[bool]] = []
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    is_closed.set()
    assert ios[0].join(5)
    assert draining[0].done()
    draining.clear()
    gc.collect()
    assert caplog.messages == []
