# SPDX-License-Identifier: Apache-2.0
"""A server from its start to its stop, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.peers import UPGRADE, bare, calling, how_closed, next_audio, request
from support.serving import (
    BOTH_LOOPS,
    DEADLINE_S,
    Listener,
    certificates,
    io_threads,
    own_loop,
    serving,
    tls_client,
    until,
    warnings_of,
)

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorServer,
    AudioConnectorServerConfig,
    AudioConnectorServerHandle,
    AudioConnectorStartServerError,
    Disconnected,
    Timeouts,
    UsageError,
    Video,
)

FREE: dict[str, Any] = {"host": "127.0.0.1", "port": 0}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


async def echo(client: AudioConnectorConnection) -> None:
    client.set_handler(on_audio=client.send_audio_buffer)


async def assert_echo(address: str, **options: Any) -> None:
    async with calling(address, **options) as caller:
        for _ in range(10):
            await caller.send(b"\x01\x02" * 320)
        assert await next_audio(caller, 10) == [b"\x01\x02" * 320] * 10


# Starting.


@BOTH_LOOPS
@pytest.mark.parametrize("kind", ["config", "mapping"])
async def test_the_documented_way_to_start(kind: str) -> None:
    values = {**FREE, "on_connect": echo}
    options = AudioConnectorServerConfig(**values) if kind == "config" else values
    handle = await Video().start_audio_connector_server(options=options)
    try:
        assert isinstance(handle, AudioConnectorServerHandle)
        assert (handle.host, handle.running, handle.secure) == ("127.0.0.1", True, False)
        assert handle.port > 0
        assert handle.get_address() == f"ws://127.0.0.1:{handle.port}"
        assert handle.model_dump() == {
            "host": "127.0.0.1",
            "port": handle.port,
            "running": True,
            "secure": False,
        }
        await assert_echo(handle.get_address())
    finally:
        await handle.stop()
    assert not handle.running
    assert io_threads() == 0


@BOTH_LOOPS
async def test_the_block_starts_and_stops() -> None:
    async with AudioConnectorServer({**FREE, "on_connect": echo}) as handle:
        assert handle.running
        await assert_echo(handle.get_address())
    assert not handle.running
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", handle.port)


@NEEDS_IPV6
async def test_ipv6_has_brackets() -> None:
    async with serving(echo, host="::1") as handle:
        assert handle.get_address() == f"ws://[::1]:{handle.port}"
        await assert_echo(handle.get_address())


@pytest.mark.parametrize(
    ("host", "dialled"),
    [("localhost", "localhost"), ("0.0.0.0", "127.0.0.1"), pytest.param("::", "[::1]", marks=NEEDS_IPV6)],
)
async def test_a_name_and_every_interface(host: str, dialled: str) -> None:
    async with serving(echo, host=host) as handle:
        await assert_echo(f"ws://{dialled}:{handle.port}")


@NEEDS_IPV6
@pytest.mark.parametrize("port_is_taken", [False, True])
async def test_localhost_is_one_port_at_both_families(
    monkeypatch: pytest.MonkeyPatch, port_is_taken: bool
) -> None:
    """As on most machines, whatever this one's hosts file says; also where a free port is taken at the other."""
    taken: list[socket.socket] = []

    async def both(host: str, port: int) -> list[Any]:
        return [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]

    class Meddling(socket.socket):
        """Takes the free port that was just found, at the other family."""

        def bind(self, address: Any) -> None:
            super().bind(address)
            if port_is_taken and self.family == socket.AF_INET6 and not taken:
                other = socket.socket()
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    other.bind(("127.0.0.1", self.getsockname()[1]))
                    other.listen()
                except OSError:  # somebody else has it already, which is as good; take the next one
                    other.close()
                else:
                    taken.append(other)

    monkeypatch.setattr("audio_connector.wire.addresses.addresses_of", both)
    monkeypatch.setattr("audio_connector.wire.addresses.socket.socket", Meddling)
    async with serving(echo, host="localhost") as handle:
        await assert_echo(f"ws://[::1]:{handle.port}")
        await assert_echo(f"ws://127.0.0.1:{handle.port}")
    assert len(taken) == port_is_taken
    for each in taken:
        assert each.getsockname()[1] != handle.port
        each.close()


@tls_client
async def test_tls_has_its_own_address_form() -> None:
    async with serving(echo, host="localhost", ssl=certificates().server) as handle:
        assert handle.secure
        assert handle.get_address() == f"wss://localhost:{handle.port}"
        await assert_echo(handle.get_address(), ssl=certificates().client)


@tls_client
async def test_plain_text_at_a_tls_port_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(echo, host="localhost", ssl=certificates().server) as handle:
        async with bare(f"ws://127.0.0.1:{handle.port}", request(UPGRADE)) as peer:
            assert b"101" not in await peer.rest()
        await assert_echo(handle.get_address(), ssl=certificates().client)
    assert warnings_of(caplog) == []


async def test_callbacks_run_in_order_and_may_be_plain_or_async() -> None:
    order: list[str] = []

    async def on_start() -> None:
        await asyncio.sleep(0)
        order.append("start")

    def on_connect(client: AudioConnectorConnection) -> None:
        order.append("connect")

    def on_stop() -> None:
        order.append("stop")

    async with serving(on_connect, on_start=on_start, on_stop=on_stop) as handle:
        assert order == ["start"]
        async with calling(handle.get_address()):
            await until(lambda: len(order) == 2, "on_connect")
    assert order == ["start", "connect", "stop"]


async def test_callbacks_the_other_way_round() -> None:
    order: list[str] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(0)
        order.append("connect")

    async def on_stop() -> None:
        await asyncio.sleep(0)
        order.append("stop")

    async with (
        serving(on_connect, on_start=lambda: order.append("start"), on_stop=on_stop) as handle,
        calling(handle.get_address()),
    ):
        await until(lambda: len(order) == 2, "on_connect")
    assert order == ["start", "connect", "stop"]


async def test_the_server_listens_before_on_start() -> None:
    server = AudioConnectorServer()
    seen: list[bool] = []

    async def on_start() -> None:
        handle = server._running.handle if server._running is not None else None
        seen.append(handle is not None and handle.running)

    handle = await server.start_server({**FREE, "on_start": on_start})
    await handle.stop()
    assert seen == [True]


# Not starting. The texts of the errors are in test_bad_inputs.


async def test_a_server_that_did_not_start_leaves_nothing_and_may_try_again() -> None:
    server = AudioConnectorServer()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AudioConnectorStartServerError):
            await server.start_server({"host": "127.0.0.1", "port": port})
        assert io_threads() == 0
    handle = await server.start_server(FREE)
    assert handle.port != 0
    await handle.stop()


@pytest.mark.parametrize("is_async", [True, False])
async def test_on_start_that_raises_stops_the_server_again(is_async: bool) -> None:
    ports: list[int] = []

    def fail() -> None:
        raise LookupError("no database")

    async def fail_later() -> None:
        fail()

    server = AudioConnectorServer()
    with pytest.raises(AudioConnectorStartServerError) as caught:
        await server.start_server({**FREE, "on_start": fail_later if is_async else fail})
    assert str(caught.value) == "on_start failed with LookupError: no database; the server was stopped again"
    assert isinstance(caught.value.__cause__, LookupError)
    assert io_threads() == 0
    assert ports == []


async def test_a_server_starts_once() -> None:
    server = AudioConnectorServer(FREE)
    async with server:
        with pytest.raises(UsageError, match="started before; make another"):
            await server.start_server(FREE)
    with pytest.raises(UsageError, match="started before; make another"):
        await server.start_server(FREE)
    with pytest.raises(UsageError, match="has no configuration"):
        async with AudioConnectorServer():
            pass


async def test_two_servers_in_one_process_do_not_know_each_other() -> None:
    one, other = Listener(), Listener()
    async with (
        serving(one) as first,
        serving(other) as second,
        calling(first.get_address()),
        calling(second.get_address()),
    ):
        await one.call()
        await other.call()
        await first.stop()
        await one.ended()
        assert len(second.connections) == 1
        assert other.calls[0].ends == []


# Stopping.


async def stop_twice(handle: AudioConnectorServerHandle) -> None:
    await handle.stop()
    await handle.stop()


async def stop_at_once(handle: AudioConnectorServerHandle) -> None:
    await asyncio.gather(handle.stop(), handle.stop(), handle.wait_closed())


async def stop_from_another_loop(handle: AudioConnectorServerHandle) -> None:
    with own_loop() as other:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handle.stop(), other))
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handle.wait_closed(), other))


@BOTH_LOOPS
@pytest.mark.parametrize("stop", [stop_twice, stop_at_once, stop_from_another_loop])
async def test_stop(stop: Callable[[AudioConnectorServerHandle], Awaitable[None]]) -> None:
    stops: list[str] = []
    listener = Listener()
    here = threading.current_thread().name
    async with (
        serving(listener, on_stop=lambda: stops.append(threading.current_thread().name)) as handle,
        calling(handle.get_address()) as caller,
    ):
        heard = await listener.call()
        await stop(handle)
        assert stops == [here]
        assert not handle.running
        assert len(handle.connections) == 0
        assert heard.end == Disconnected(code=1001, reason="the server has stopped", closed_by="server")
        assert await how_closed(caller) == (1001, "the server has stopped")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", handle.port)
    assert stops == [here]
    assert io_threads() == 0


@BOTH_LOOPS
@pytest.mark.parametrize("where", ["on_message", "on_connect", "on_disconnect", "on_event", "on_error"])
async def test_stop_from_a_handler(where: str) -> None:
    """Whoever waits for the stop in a handler is cancelled, so that the stop does not wait for him."""
    reached: list[str] = []
    ends: list[object] = []

    async def stop(*_: object) -> None:
        reached.append(where)
        await handle.stop()

    def fail(_: object) -> None:
        raise LookupError

    async def on_connect(client: AudioConnectorConnection) -> None:
        handlers: dict[str, Any] = {"on_disconnect": ends.append, "on_message": print}
        if where == "on_error":
            handlers["on_message"] = fail
        if where != "on_connect":
            handlers[where] = stop
        client.set_handler(**handlers)
        if where == "on_connect":
            await stop()

    async with (
        # Handlers have a third of it before they are cancelled, and what follows the rest: of 0.3 s too little on a
        # busy machine.
        serving(on_connect, timeouts=Timeouts(stop_s=1.5)) as handle,
        calling(handle.get_address()) as caller,
    ):
        if where == "on_disconnect":
            await caller.close()
        await until(lambda: not handle.running, "the stop")
        await asyncio.wait_for(handle.wait_closed(), DEADLINE_S)
        await how_closed(caller)
        assert caller.close_code == (1000 if where == "on_disconnect" else 1001)
    assert reached == [where] * len(reached)
    assert len(ends) == (0 if where == "on_disconnect" else 1)
    assert io_threads() == 0


async def test_on_stop_may_stop_again() -> None:
    done: list[bool] = []

    async def on_stop() -> None:
        await handle.stop()
        done.append(True)

    async with serving(on_stop=on_stop) as handle:
        await asyncio.wait_for(handle.stop(), DEADLINE_S)
    assert done == [True]


async def test_on_stop_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def on_stop() -> None:
        raise LookupError("gone")

    async with serving(on_stop=on_stop) as handle:
        await handle.stop()
    assert warnings_of(caplog) == ["on_stop failed; the server has stopped all the same"]
    caplog.clear()


async def test_a_handler_that_never_ends_does_not_hold_up_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    begun_with: list[object] = []
    cancelled: list[str] = []
    ends: list[object] = []

    async def on_message(message: object) -> None:
        begun_with.append(message)
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append("on_message")

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=on_message, on_disconnect=ends.append)

    async with serving(on_connect) as handle, calling(handle.get_address()):
        await until(lambda: begun_with, "the handler")
        begun = asyncio.get_running_loop().time()
        await handle.stop()
        assert asyncio.get_running_loop().time() - begun < 2
    assert cancelled == ["on_message"]
    assert len(ends) == 1
    assert "1 connections still ran handlers at the stop; they are cancelled" in warnings_of(caplog)


async def test_a_peer_that_answers_no_close_frame_does_not_hold_up_the_stop() -> None:
    listener = Listener()
    async with serving(listener) as handle, bare(handle.get_address()) as peer:
        heard = await listener.call()
        begun = asyncio.get_running_loop().time()
        await handle.stop()
        assert asyncio.get_running_loop().time() - begun < 2
        assert heard.end.code == 1001
        frame = await peer.frame()
        assert (frame.code, frame.reason) == (1001, "the server has stopped")
        assert await peer.rest() == b""


# Who is there.


async def test_connections_are_found_by_id_and_by_session() -> None:
    listener = Listener()

    def who(call_id: str, session_id: str) -> dict[str, Any]:
        return {
            "additional_headers": {
                "x-opentok-ws-connectionid": call_id,
                "x-opentok-ws-sessionid": session_id,
            }
        }

    async with serving(listener) as handle:
        assert len(handle.connections) == 0
        async with (
            calling(handle.get_address(), **who("a", "s1")),
            calling(handle.get_address(), **who("b", "s1")) as second,
            calling(handle.get_address(), **who("c", "s2")),
        ):
            await listener.call(2)
            by_id = {heard.client.id: heard.client for heard in listener.calls}
            connections = handle.connections
            assert set(connections) == {"a", "b", "c"}
            assert connections["b"] is by_id["b"]
            assert connections.by_session("s1") == [by_id["a"], by_id["b"]]
            assert connections.by_session("nobody's") == []
            assert "d" not in connections
            await second.close()
            await until(lambda: "b" not in connections, "the end of b")
            assert connections.by_session("s1") == [by_id["a"]]
            async with calling(handle.get_address(), **who("a", "s1")):
                again = (await listener.call(3)).client
                assert connections["a"] is again
                assert connections.all() == [by_id["a"], by_id["c"], again]
                assert len(connections) == len(set(connections)) == 2
        await until(lambda: len(handle.connections) == 0, "the end of all")


async def test_an_ssl_context_is_tried_before_anybody_dials() -> None:
    without_certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(AudioConnectorStartServerError, match="has no certificate"):
        await Video().start_audio_connector_server({**FREE, "ssl": without_certificate})
    with pytest.raises(AudioConnectorStartServerError, match="is for clients"):
        await Video().start_audio_connector_server({**FREE, "ssl": certificates().client})
    assert io_threads() == 0
