# SPDX-License-Identifier: Apache-2.0
"""A peer that means harm: what it can make the server keep, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import Callable
from typing import Any

import pytest
from support.peers import (
    BINARY,
    KEY,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Frame,
    bare,
    calling,
    first_message,
    how_closed,
    next_text,
    request,
)
from support.serving import Listener, serving, traces_of, until
from websockets.exceptions import ConnectionClosed

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorServerHandle,
    Connected,
    Intake,
    Limits,
    Timeouts,
)
from audio_connector.errors import LimitError
from audio_connector.intake.buffer import MAX_TEXT_BYTES, MIN_MESSAGE_BYTES
from audio_connector.server.io_thread import IoThread
from audio_connector.server.link import Link
from audio_connector.wire import budget
from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES
from audio_connector.wire.codec import held_bytes
from audio_connector.wire.refusals import Refusal
from audio_connector.wire.transport import WireLimits
from audio_connector.wire.upgrade import read_upgrade

pytestmark = pytest.mark.programs  # peers in real time

MIB = 1 << 20
HIGH_BYTES = WireLimits().write_high_bytes


async def ask_link(handle: AudioConnectorServerHandle, question: Callable[[Link], int]) -> int:
    """Ask the only connection, on its own thread; -1 where there is none."""
    server = handle._server
    assert server is not None
    assert server._running is not None
    io = server._running.io
    assert isinstance(io, IoThread)

    async def ask() -> int:
        return next(map(question, io.side.links.values()), -1)

    return await io.call(ask())


async def unsent_bytes(handle: AudioConnectorServerHandle) -> int:
    """In user space."""
    return await ask_link(handle, lambda link: link._unsent_bytes)


def receive_buffer_bytes(link: Link) -> int:
    transport: Any = link._transport
    sock: socket.socket = transport._underlying.get_extra_info("socket")
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.mark.thread
async def test_the_kernel_does_not_widen_its_buffer_for_who_sends_much() -> None:
    listener = Listener()
    limits = Limits(max_message_bytes=MIB)
    async with serving(listener, limits=limits) as handle, bare(handle.get_address()) as peer:
        heard = await listener.call()
        for _ in range(8):
            peer.send(Frame(BINARY, bytes(MIB)))
            await peer.drain()
        await until(lambda: len(heard.messages) == 8, "all of it")
        size = await ask_link(handle, receive_buffer_bytes)
        assert 0 < size <= 2 * RECEIVE_BUFFER_BYTES  # Linux doubles it for its own needs


@pytest.mark.thread
async def test_pings_of_a_peer_that_does_not_read_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest is answered, when it reads again (RFC 6455 5.5.3)."""
    monkeypatch.setattr(budget, "BACKLOG_PER_S", math.inf)  # or it would be closed as a flood
    monkeypatch.setattr(budget, "MAX_EMPTY", math.inf)
    async with serving() as handle, bare(handle.get_address(), read_buffer=4096) as peer:
        peer.hold()
        for _ in range(60):
            peer.send(*[Frame(PING, b"p" * 125)] * 500)
            await peer.drain()
        peer.send(Frame(PING, b"the newest"))
        await peer.drain()
        await asyncio.sleep(0.1)
        assert 0 < await unsent_bytes(handle) < 2 * HIGH_BYTES
        peer.release()
        answers = [await peer.frame()]
        while answers[-1].payload != b"the newest":
            answers.append(await peer.frame())
        assert {answer.opcode for answer in answers} == {PONG}
        assert len(answers) < 30_000
        peer.send(Frame(PING, b"and after it"))
        assert await peer.frame() == Frame(PONG, b"and after it")


@pytest.mark.parametrize(
    "repeated",
    [
        "Upgrade: foo",
        "Host: other",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 8",
        "Content-Length: 0",
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_header_that_may_come_once_is_refused_twice(repeated: str, is_first: bool) -> None:
    name, _, value = repeated.partition(": ")
    pairs = [*({"Content-Length": "0", **UPGRADE}).items()]
    pairs.insert(0 if is_first else len(pairs), (name, value))
    async with serving() as handle, bare(handle.get_address(), request(pairs)) as peer:
        assert (await peer.answer()).status == 400
        assert len(handle.connections) == 0
    assert traces_of(Link) == 0


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET / HTTP/1.1", {**UPGRADE, "Content-Length": ""}, 400),
        ("GET / HTTP/1.1", {**UPGRADE, "Content-Length": "+0"}, 400),
        ("GET / HTTP/1.1", {**UPGRADE, "Content-Length": "00"}, None),
        ("GET / HTTP/1.1", {name: value for name, value in UPGRADE.items() if name != "Host"}, 400),
        ("GET / HTTP/1.1", {"Accept": "*/*"}, 400),
        ("GET / HTTP/1.0", {"Accept": "*/*"}, 426),
    ],
)
def test_a_head_is_judged(request_line: str, headers: dict[str, str], status: int | None) -> None:
    read = read_upgrade(request(headers, request_line).removesuffix(b"\r\n\r\n"))
    assert (read.status if isinstance(read, Refusal) else None) == (str(status) if status else None)


@pytest.mark.thread
@pytest.mark.parametrize("how", ["a fault", "the end of its stream"])
async def test_what_was_not_read_keeps_no_connection_open(how: str) -> None:
    """Neither a fault nor a half-closed socket waits for ever for data to leave that nobody reads."""
    timeouts = Timeouts(ping_interval_s=0.05, ping_timeout_s=60, stall_s=60, close_s=0.1)
    listener = Listener()
    async with (
        serving(listener, timeouts=timeouts) as handle,
        bare(handle.get_address(), read_buffer=2048) as peer,
    ):
        peer.send(Frame(TEXT, first_message().encode()))
        heard = await listener.call()
        peer.hold()
        while await unsent_bytes(handle) <= 0:
            await heard.client.send_json_packet({"x": "y" * 2000})
        assert await unsent_bytes(handle) < HIGH_BYTES
        if how == "a fault":
            peer.write(b"\x83\x80\0\0\0\0")
        else:
            peer.end_stream()
        await listener.ended()
        await until(lambda: len(handle.connections) == 0, "the end")


async def test_one_byte_messages_are_bounded_by_their_number() -> None:
    kept = 32 * 100 // MIN_MESSAGE_BYTES
    async with (
        serving(lambda _: asyncio.sleep(60), intake=Intake(max_buffer_ms=100)) as handle,
        bare(handle.get_address()) as peer,
    ):
        peer.write(Frame(BINARY, b"x").encode() * (kept + 100))
        await until(lambda: len(handle.connections) == 1, "the call")
        (client,) = handle.connections.all()
        await until(lambda: client.statistics().audio_messages_received == kept + 100, "all of it")
        assert client.statistics().unwanted_messages == 100


async def test_texts_that_are_not_taken_are_bounded_by_their_size() -> None:
    errors: list[Exception] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=lambda _: asyncio.sleep(0.2), on_error=errors.append)
        await client.send_json_packet({"they": "are wanted"})

    text = json.dumps({"x": [[]] * 199})
    async with (
        serving(on_connect, intake=Intake(window_messages=2)) as handle,
        calling(handle.get_address()) as caller,
    ):
        await next_text(caller)  # before they are wanted, the oldest are dropped
        with contextlib.suppress(ConnectionClosed):  # before it has sent all of them, perhaps
            for _ in range(10 + MAX_TEXT_BYTES // held_bytes(text)):
                await caller.send(text)
        assert await how_closed(caller) == (1008, "too many unread messages")
        await until(lambda: errors, "the error")
    assert isinstance(errors[0], LimitError)
    assert "bytes were not taken" in str(errors[0])


async def test_texts_that_nobody_wants_end_no_call_whatever_their_size() -> None:
    async with (
        serving(lambda _: asyncio.sleep(60)) as handle,
        calling(handle.get_address()) as caller,
    ):
        text = json.dumps({"x": [[]] * 199})
        for _ in range(100):
            await caller.send(text)
        await (await caller.ping())
        (client,) = handle.connections.all()
        await until(lambda: client.statistics().text_messages_received == 101, "the figures")
        kept = 101 - client.statistics().unwanted_messages
        assert MAX_TEXT_BYTES * 0.9 < kept * held_bytes(text) <= MAX_TEXT_BYTES, "by what they take in memory"


async def test_the_first_message_needs_no_event() -> None:
    """The router's ancestor left it out (PROTOCOL 2.2); later texts have to have it."""
    events: list[object] = []
    plain = '{"content-type":"audio/l16;rate=24000","sessionId":"1_MX40"}'

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=events.append)

    async with (
        serving(on_connect) as handle,
        calling(handle.get_address(), rate_hz=None) as caller,
    ):
        await caller.send(plain)
        await caller.send(plain)
        await until(lambda: len(events) == 2, "both")
        (client,) = handle.connections.all()
        assert client.format.rate_hz == 24000
    first, second = events
    assert isinstance(first, Connected)
    assert first.headers == {"sessionId": "1_MX40"}
    assert not isinstance(second, Connected)
