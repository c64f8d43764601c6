# SPDX-License-Identifier: Apache-2.0
"""Listening sockets that somebody else has opened: they are served, and stay theirs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest
from support.peers import FRAME, calling, next_audio, next_text
from support.serving import DEADLINE_S, echo, serving

from audio_connector import AudioConnectorConnection, AudioConnectorStartServerError
from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES, duplicates_of

pytestmark = pytest.mark.programs

BOTH_FORMS = pytest.mark.parametrize(
    "isolation",
    [
        "thread",
        pytest.param(
            "process", marks=pytest.mark.skipif(os.name != "posix", reason="there is no process form")
        ),
    ],
)


@pytest.fixture
def lent() -> Iterator[socket.socket]:
    """A socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def is_answered(address: str) -> None:
    """Dial, and hear the echo."""
    async with calling(address, proxy=None, open_timeout=DEADLINE_S) as caller:
        await caller.send(FRAME)
        assert await next_audio(caller, 1) == [FRAME]


@BOTH_FORMS
async def test_they_are_served_and_listen_on_when_the_server_has_stopped(
    lent: socket.socket, isolation: str
) -> None:
    host, port = lent.getsockname()
    for _ in range(2):  # a second server takes over
        async with serving(echo, sockets=[lent], isolation=isolation) as handle:
            assert (handle.host, handle.port, handle.get_address()) == (host, port, f"ws://{host}:{port}")
            await is_answered(handle.get_address())
    with socket.create_connection((host, port)) as peer:
        lent.setblocking(True)
        accepted, address = lent.accept()
        accepted.close()
        assert address == peer.getsockname(), "its own accept goes on as well"


@BOTH_FORMS
async def test_who_has_come_before_the_server_waits_for_it(lent: socket.socket, isolation: str) -> None:
    dialling = asyncio.create_task(is_answered("ws://{}:{}".format(*lent.getsockname())))
    await asyncio.sleep(0.1)
    async with serving(echo, sockets=[lent], isolation=isolation):
        await asyncio.wait_for(dialling, DEADLINE_S)


@BOTH_FORMS
async def test_who_comes_in_a_drain_is_left_to_the_next(lent: socket.socket, isolation: str) -> None:
    address = "ws://{}:{}".format(*lent.getsockname())
    async with (
        serving(hold, on_drain=say_goodbye, sockets=[lent], isolation=isolation) as old,
        calling(address) as call,
    ):
        await next_audio(call, 1)
        draining = asyncio.create_task(old.drain(DEADLINE_S))
        assert "goodbye" in await next_text(call)  # it crossed behind the word that no more are taken
        async with serving(echo, sockets=[lent], isolation=isolation):
            for _ in range(5):
                await is_answered(address)
        assert not draining.done()
        await call.close()
        assert await draining


async def say_goodbye(client: AudioConnectorConnection) -> None:
    await client.send_json_packet({"event": "goodbye"})


async def hold(client: AudioConnectorConnection) -> None:
    """Speak until the caller has gone."""
    async with client.speech() as speech:
        while True:
            await speech.write(FRAME)
            await asyncio.sleep(0.02)


@BOTH_FORMS
async def test_one_that_is_only_bound_listens_from_then_on(isolation: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        async with serving(echo, sockets=[sock], isolation=isolation) as handle:
            await is_answered(handle.get_address())


@BOTH_FORMS
async def test_two_of_them(lent: socket.socket, isolation: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with serving(echo, sockets=(other, lent), isolation=isolation) as handle:
            assert handle.port == other.getsockname()[1]
            for sock in (lent, other):
                await is_answered("ws://{}:{}".format(*sock.getsockname()))


@BOTH_FORMS
async def test_another_program_listens_at_its_address(lent: socket.socket, isolation: str) -> None:
    with socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        lent.close()
        with socket.socket() as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(("127.0.0.1", 0))
            second.bind(first.getsockname())
            first.listen()
            with pytest.raises(
                AudioConnectorStartServerError, match=f":{first.getsockname()[1]}: the port is in"
            ):
                async with serving(echo, sockets=[second], isolation=isolation):
                    pass


async def test_what_is_accepted_has_the_small_buffer_and_is_the_servers_alone(lent: socket.socket) -> None:
    [duplicate] = duplicates_of([lent], 5)
    with duplicate, socket.create_connection(lent.getsockname()):
        accepted, _ = duplicate.accept()
        with accepted:
            size = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            assert 0 < size <= 2 * RECEIVE_BUFFER_BYTES  # Linux doubles it for its own needs
        assert not duplicate.getblocking()
        assert not duplicate.get_inheritable()
