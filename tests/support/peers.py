# SPDX-License-Identifier: Apache-2.0
"""The router's side in tests: a well-behaved caller of another library, and a bare socket that may misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from support.serving import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FRAME = bytes(range(1, 129)) * 5
"""20 ms at 16 kHz."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def first_message(rate_hz: int = 16000, **headers: object) -> str:
    """What the router says first, with the blank that it puts in front."""
    values = {"content-type": f"audio/l16;rate={rate_hz}", "event": "websocket:connected", **headers}
    return " " + json.dumps(values)


@asynccontextmanager
async def calling(
    address: str, path: str = "/", *, rate_hz: int | None = 16000, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A call by the library websockets; ``rate_hz=None`` leaves the first message out."""
    options = {"close_timeout": DEADLINE_S, "max_queue": None, **options}  # it reads whatever its test does
    async with connect(address + path, compression=None, **options) as socket_:
        if rate_hz is not None:
            await socket_.send(first_message(rate_hz))
        yield socket_


async def next_text(caller: ClientConnection) -> str:
    """The next text message; audio before it is passed over."""
    while True:
        message = await asyncio.wait_for(caller.recv(), DEADLINE_S)
        if isinstance(message, str):
            return message


async def next_audio(caller: ClientConnection, frames: int) -> list[bytes]:
    """So many audio messages; texts are passed over."""
    heard: list[bytes] = []
    while len(heard) < frames:
        message = await asyncio.wait_for(caller.recv(), DEADLINE_S)
        if isinstance(message, bytes):
            heard.append(message)
    return heard


async def how_closed(caller: ClientConnection) -> tuple[int | None, str | None]:
    """Code and reason, when the connection is over."""
    await asyncio.wait_for(caller.wait_closed(), DEADLINE_S)
    return caller.close_code, caller.close_reason


class Frame(NamedTuple):
    """One WebSocket frame."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int.from_bytes(self.payload[:2], "big")

    @property
    def reason(self) -> str:
        """Of a close frame."""
        return self.payload[2:].decode()

    def encode(self, *, mask: bool = True) -> bytes:
        """As a client writes it, or without the mask, which no client may leave out."""
        size = len(self.payload)
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        flag = 0x80 if mask else 0
        if size < 126:
            head += bytes([flag | size])
        elif size < 1 << 16:
            head += bytes([flag | 126]) + struct.pack("!H", size)
        else:
            head += bytes([flag | 127]) + struct.pack("!Q", size)
        if not mask:
            return head + self.payload
        key = os.urandom(4)
        stream = int.from_bytes((key * (size // 4 + 1))[:size], "big") ^ int.from_bytes(self.payload, "big")
        return head + key + stream.to_bytes(size, "big")


def close_frame(code: int | None = 1000, reason: str = "") -> Frame:
    """A close frame; without a code where that is None."""
    return Frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: str


class BarePeer:
    """A socket that speaks WebSocket byte by byte, rightly or wrongly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def send(self, *frames: Frame) -> None:
        self._writer.write(b"".join(frame.encode() for frame in frames))

    async def drain(self) -> None:
        await asyncio.wait_for(self._writer.drain(), DEADLINE_S)

    async def answer(self) -> Answer:
        """The HTTP answer; its body too, where it is no upgrade."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        first, *lines = head.decode().strip().split("\r\n")
        status = int(first.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b"" if status == 101 else await asyncio.wait_for(self._reader.read(), DEADLINE_S)
        return Answer(status, headers, body.decode())

    async def frame(self) -> Frame:
        """The next frame of the server, which never masks."""
        first, second = await asyncio.wait_for(self._reader.readexactly(2), DEADLINE_S)
        size = second
        if second in (126, 127):
            raw = await asyncio.wait_for(self._reader.readexactly(2 if second == 126 else 8), DEADLINE_S)
            size = int.from_bytes(raw, "big")
        payload = await asyncio.wait_for(self._reader.readexactly(size), DEADLINE_S)
        return Frame(first & 15, payload, bool(first & 0x80), first >> 4 & 7)

    async def rest(self) -> bytes:
        """All bytes until the server ends the connection; nothing more where it resets it."""
        try:
            return await asyncio.wait_for(self._reader.read(), DEADLINE_S)
        except (ConnectionResetError, BrokenPipeError):  # the latter where something was written after it
            return b""

    def hold(self) -> None:
        """Read nothing more."""
        cast("asyncio.Transport", self._writer.transport).pause_reading()

    def release(self) -> None:
        """Read again."""
        cast("asyncio.Transport", self._writer.transport).resume_reading()

    def end_stream(self) -> None:
        """Say that nothing more will be sent, and stay."""
        self._writer.write_eof()

    def shut(self) -> None:
        """Close the socket without a close frame."""
        self._writer.close()

    def reset(self) -> None:
        """Drop the connection, so that the other side is told of a reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def request(headers: dict[str, str] | list[tuple[str, str]], target: str = "GET / HTTP/1.1") -> bytes:
    """The bytes of a request."""
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return "\r\n".join([target, *(f"{name}: {value}" for name, value in pairs), "", ""]).encode("latin-1")


@asynccontextmanager
async def bare(
    address: str, raw: bytes | None = None, *, ssl_context: ssl.SSLContext | None = None, read_buffer: int = 0
) -> AsyncIterator[BarePeer]:
    """A socket that has sent a request, by default a right one whose answer was read."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if read_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    options: dict[str, Any] = {"limit": read_buffer} if read_buffer else {}
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=ssl_context, server_hostname=parts.hostname if ssl_context else None, **options
    )
    peer = BarePeer(reader, writer)
    try:
        peer.write(request(UPGRADE) if raw is None else raw)
        if raw is None:
            assert (await peer.answer()).status == 101
        yield peer
    finally:
        writer.transport.abort()
