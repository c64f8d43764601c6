# SPDX-License-Identifier: Apache-2.0
"""Servers of another library for the simulated router to call, and one that only notes the bytes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

from support.serving import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Seen:
    """What the foreign server saw of one connection; times in seconds of `time.monotonic`."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    messages: list[bytes | str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    begun_at: float = 0.0
    ended_at: float = 0.0
    close_code: int | None = None

    def note(self, message: bytes | str) -> None:
        self.times.append(time.monotonic())
        self.messages.append(message)
        if isinstance(message, str):
            self.texts.append(message)
        else:
            self.audio.append(message)


Handler = Callable[[ServerConnection, Seen], Awaitable[None]]


async def echo(connection: ServerConnection, seen: Seen) -> None:
    """Send every binary message back."""
    async for message in connection:
        seen.note(message)
        if isinstance(message, bytes):
            await connection.send(message)


async def listen(connection: ServerConnection, seen: Seen) -> None:
    """Say nothing."""
    async for message in connection:
        seen.note(message)


@asynccontextmanager
async def foreign_servers(
    handler: Handler = echo, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[Seen]]]:
    """A server of the library websockets, and what it saw of each connection."""
    all_seen: list[Seen] = []

    async def serve_one(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen = Seen(connection.request.path, begun_at=time.monotonic())
        seen.headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        all_seen.append(seen)
        with suppress(ConnectionClosed):
            await handler(connection, seen)
        await connection.wait_closed()
        seen.close_code = connection.close_code
        seen.ended_at = time.monotonic()

    async def refuse(connection: ServerConnection, request: Request) -> Response | None:
        status = {
            "/404": HTTPStatus.NOT_FOUND,
            "/500": HTTPStatus.INTERNAL_SERVER_ERROR,
            "/301": HTTPStatus.MOVED_PERMANENTLY,
            "/200": HTTPStatus.OK,
        }.get(request.path)
        return connection.respond(status, "no\n") if status is not None else None

    async with (
        settling(),
        serve(serve_one, "127.0.0.1", 0, process_request=refuse, ssl=ssl_context) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        yield f"{'ws' if ssl_context is None else 'wss'}://127.0.0.1:{port}", all_seen


@asynccontextmanager
async def settling() -> AsyncIterator[None]:
    """Wait at the end for every task that was begun in between.

    Nobody else waits for a TLS handshake that the client has given up, or for what asyncio's own server calls.
    """
    before = asyncio.all_tasks()
    yield
    await until(lambda: asyncio.all_tasks() <= before, "the end of every connection")


@asynccontextmanager
async def stream_server(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that need not speak WebSocket; its address, as if it did."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with settling():
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        async with server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class RawFrame(NamedTuple):
    """A frame as it came, and its payload without the mask."""

    first: int
    mask: bytes
    payload: bytes


@dataclass
class RawSeen:
    """Every byte that came after the request, and the frames in them."""

    request: bytes = b""
    data: bytearray = field(default_factory=bytearray)

    @property
    def frames(self) -> list[RawFrame]:
        """Read by hand (RFC 6455 5.2); every frame of a client is masked."""
        found, at = [], 0
        data = bytes(self.data)
        while at + 2 <= len(data):
            first, second = data[at], data[at + 1]
            assert second & 0x80, "a frame without a mask"
            size, at = second & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, at = int.from_bytes(data[at : at + width], "big"), at + width
            mask, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
            key = (mask * (size // 4 + 1))[:size]
            found.append(RawFrame(first, mask, bytes(a ^ b for a, b in zip(payload, key, strict=True))))
            at += 4 + size
        return found


@asynccontextmanager
async def raw_server() -> AsyncIterator[tuple[str, RawSeen]]:
    """A server that takes the first connection, answers nothing, and notes every byte."""
    seen = RawSeen()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.request = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b":", 1)[1].strip()
            for line in seen.request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        while chunk := await reader.read(65536):
            seen.data += chunk

    async with stream_server(take) as url:
        yield url, seen
