# SPDX-License-Identifier: Apache-2.0
"""Clients of other libraries against our server, plain and over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import aiohttp
import pytest
import websockets
from support.peers import first_message
from support.serving import (
    BOTH_LOOPS,
    DEADLINE_S,
    Listener,
    certificates,
    echo,
    sawtooth,
    serving,
    tls_client,
    until,
)
from websockets.asyncio.client import ClientConnection, connect

from audio_connector import AudioConnectorConnection, Disconnected, Limits

HEADERS = {"x-opentok-ws-connectionid": "c-1", "X-Name": "Ann"}


class Client(Protocol):
    """What both libraries can do."""

    async def send(self, message: str | bytes) -> None: ...

    async def recv(self) -> str | bytes: ...

    async def ping(self) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    async def closed(self) -> tuple[int | None, str]: ...

    def negotiated(self) -> tuple[str | None, str | None]: ...


class OfWebsockets:
    """The library websockets."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: str | bytes) -> None:
        await self._connection.send(message)

    async def recv(self) -> str | bytes:
        return await asyncio.wait_for(self._connection.recv(), DEADLINE_S)

    async def ping(self) -> None:
        await asyncio.wait_for(await self._connection.ping(b"12"), DEADLINE_S)

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    async def closed(self) -> tuple[int | None, str]:
        await asyncio.wait_for(self._connection.wait_closed(), DEADLINE_S)
        return self._connection.close_code, self._connection.close_reason or ""

    def negotiated(self) -> tuple[str | None, str | None]:
        assert self._connection.response is not None
        extensions = self._connection.response.headers.get("Sec-WebSocket-Extensions")
        return extensions, self._connection.subprotocol


class OfAiohttp:
    """The library aiohttp."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def recv(self) -> str | bytes:
        message = await self._socket.receive(DEADLINE_S)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        data: str | bytes = message.data
        return data

    async def ping(self) -> None:
        await self._socket.ping(b"12")
        message = await self._socket.receive(DEADLINE_S)
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"12")

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())

    async def closed(self) -> tuple[int | None, str]:
        message = await self._socket.receive(DEADLINE_S)
        return self._socket.close_code, message.extra or ""

    def negotiated(self) -> tuple[str | None, str | None]:
        headers = self._socket._response.headers  # nothing public tells
        return headers.get("Sec-WebSocket-Extensions"), self._socket.protocol


@asynccontextmanager
async def by_websockets(url: str, context: ssl.SSLContext | None) -> AsyncIterator[Client]:
    async with connect(
        url,
        ssl=context,
        additional_headers=HEADERS,
        compression="deflate",
        subprotocols=[websockets.Subprotocol("WSBRIDGE")],
    ) as connection:
        yield OfWebsockets(connection)


@asynccontextmanager
async def by_aiohttp(url: str, context: ssl.SSLContext | None) -> AsyncIterator[Client]:
    options: dict[str, Any] = {"ssl": context} if context is not None else {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url,
            headers=HEADERS,
            compress=15,
            protocols=("WSBRIDGE",),
            autoping=False,
            origin="http://somewhere.example",
            **options,
        ) as socket,
    ):
        yield OfAiohttp(socket)


LIBRARIES = {"websockets": by_websockets, "aiohttp": by_aiohttp}
EVERY_CLIENT = pytest.mark.parametrize("library", LIBRARIES)


def plain_and_tls(test: Any) -> Any:
    return tls_client(pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])(test))


@asynccontextmanager
async def met(library: str, tls: bool, on_connect: Any) -> AsyncIterator[Client]:
    """A server and a client of that library."""
    context = certificates().server if tls else None
    async with serving(on_connect, host="localhost", ssl=context) as handle:
        assert handle.get_address().startswith("wss://" if tls else "ws://")
        dial: AbstractAsyncContextManager[Client] = LIBRARIES[library](
            handle.get_address() + "/room?lang=en", certificates().client if tls else None
        )
        async with dial as client:
            yield client


@BOTH_LOOPS
@EVERY_CLIENT
@plain_and_tls
async def test_a_conversation(library: str, tls: bool) -> None:
    async with met(library, tls, echo) as client:
        assert client.negotiated() == (None, None)  # neither compression nor a subprotocol
        await client.send(first_message(8000))
        assert await client.recv() == first_message(8000)
        await client.ping()
        frames = [sawtooth(160, start=160 * at) for at in range(20)]
        for frame in frames:
            await client.send(frame)
        assert [await client.recv() for _ in frames] == frames
        await client.ping()


@EVERY_CLIENT
@plain_and_tls
async def test_what_the_application_sees_of_the_client(library: str, tls: bool) -> None:
    listener = Listener()
    async with met(library, tls, listener) as client:
        heard = await listener.call()
        assert heard.client.secure is tls
        assert (heard.client.path, heard.client.query) == ("/room", "lang=en")
        assert (heard.client.id, heard.client.headers["x-name"]) == ("c-1", "Ann")
        big = "x" * (Limits().max_text_bytes - 2)
        await client.send(f'"{big}"')  # fragmented or not, as the library likes
        await until(lambda: heard.texts == [f'"{big}"'], "the big text")
        await client.close(4001, "enough \xfc")
        await listener.ended()
    assert heard.end == Disconnected(code=4001, reason="enough \xfc", closed_by="router")
    assert heard.errors == []


@EVERY_CLIENT
@plain_and_tls
async def test_the_server_closes(library: str, tls: bool) -> None:
    ends: list[Disconnected] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)
        await client.close(4002, "the end \xfc")

    async with met(library, tls, on_connect) as client:
        assert await client.closed() == (4002, "the end \xfc")
        await until(lambda: ends, "the end")
    assert ends == [Disconnected(code=4002, reason="the end \xfc", closed_by="server")]


@EVERY_CLIENT
@plain_and_tls
async def test_too_big_a_message(library: str, tls: bool) -> None:
    listener = Listener()
    async with met(library, tls, listener) as client:
        await listener.call()
        await client.send(b"x" * ((1 << 20) + 1))
        assert (await client.closed())[0] == 1009
        assert (await listener.ended()).messages == []


@tls_client
@EVERY_CLIENT
async def test_a_certificate_that_is_not_trusted(library: str) -> None:
    listener = Listener()
    async with serving(listener, host="localhost", ssl=certificates().server) as handle:
        with pytest.raises((ssl.SSLError, aiohttp.ClientConnectorCertificateError)):
            async with LIBRARIES[library](handle.get_address(), ssl.create_default_context()):
                pass
        async with LIBRARIES[library](handle.get_address(), certificates().client):
            await listener.call()
    assert len(listener.calls) == 1
