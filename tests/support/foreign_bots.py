# SPDX-License-Identifier: Apache-2.0
"""Bots on a server of another library, to be given single faults, and a proxy that changes frames."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from audio_connector.testing.conformance.notes import VOICE_PEAK, peak

FRAME_S = 0.02
CLEAR = '{"action":"clear"}'


class EchoBot:
    """Sends back what it hears, message by message; a fault overrides one method."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.rate_hz = 16000
        self.texts = 0

    async def run(self) -> None:
        """Serve the call to its end."""
        await self.on_connect()
        async for message in self.connection:
            if isinstance(message, bytes):
                await self.on_audio(message)
            else:
                await self.on_text(message)
                self.texts += 1

    async def on_connect(self) -> None:
        """The call begins."""

    async def on_audio(self, frame: bytes) -> None:
        """One binary message."""
        if len(frame) == self.frame_bytes:
            await self.connection.send(frame)

    async def on_text(self, text: str) -> None:
        """One text; what it means is left to `on_event`, whatever it is."""
        with suppress(ValueError):
            event = json.loads(text)
            if isinstance(event, dict):
                await self.on_event(event)

    async def on_event(self, event: dict[str, Any]) -> None:
        """One JSON object."""
        content_type = str(event.get("content-type", ""))
        if "rate=" in content_type:
            self.rate_hz = int(content_type.partition("rate=")[2])

    @property
    def frame_bytes(self) -> int:
        """Of a frame of this call."""
        return self.rate_hz // 50 * 2

    def tone(self, seconds: float) -> list[bytes]:
        """Frames that are a voice."""
        return [b"\x00\x20" * (self.frame_bytes // 2)] * round(seconds / FRAME_S)


class AnswerBot(EchoBot):
    """Answers when somebody has finished, a little ahead of real time, and falls silent when spoken over."""

    REPLY_S = 0.6
    LEAD_S = 0.1
    HANGOVER_TICKS = 4

    def __init__(self, connection: ServerConnection) -> None:
        super().__init__(connection)
        self.reply: asyncio.Task[None] | None = None
        self.quiet_ticks: int | None = None
        self.voices = 0
        self.is_cleared = True

    async def run(self) -> None:
        """Serve the call to its end, with an ear that goes by time."""
        ear = asyncio.create_task(self.listen())
        try:
            await super().run()
        finally:
            for task in (ear, self.reply):
                if task is not None:
                    task.cancel()

    async def on_audio(self, frame: bytes) -> None:
        """Note a voice; two frames of it are somebody who speaks."""
        if peak(frame) < VOICE_PEAK:
            self.voices = 0
            return
        self.voices += 1
        self.quiet_ticks = 0
        if self.voices == 2 and self.is_speaking:
            await self.interrupted()

    @property
    def is_speaking(self) -> bool:
        return self.reply is not None and not self.reply.done()

    async def listen(self) -> None:
        """Answer each time when nobody spoke for a while.

        Counted in wake-ups: before each of them the loop has read what came, however late it is. By the clock, a loop
        that was late took the participant for silent in the middle of what was said.
        """
        while True:
            await asyncio.sleep(FRAME_S)
            if self.quiet_ticks is None:
                continue
            self.quiet_ticks += 1
            if self.quiet_ticks > self.HANGOVER_TICKS:
                self.quiet_ticks = None
                if not self.is_speaking:
                    self.reply = asyncio.create_task(self.speak())

    async def speak(self) -> None:
        """Say the reply: each frame at its time, counted from the first."""
        began_at = time.monotonic()
        with suppress(ConnectionClosed):
            for number, frame in enumerate(self.tone(self.REPLY_S)):
                await asyncio.sleep(max(0.0, began_at + number * FRAME_S - self.LEAD_S - time.monotonic()))
                await self.connection.send(frame)
            # It goes on being heard for as long as it is ahead.
            await asyncio.sleep(max(0.0, began_at + self.REPLY_S - time.monotonic()))

    async def interrupted(self) -> None:
        """Fall silent."""
        assert self.reply is not None
        self.reply.cancel()
        await self.connection.send(CLEAR)


Bot = Callable[[ServerConnection], EchoBot]


@asynccontextmanager
async def serving_bot(bot: Bot, **options: Any) -> AsyncIterator[str]:
    """The address of a server with such a bot on every call."""

    async def run(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await bot(connection).run()

    options = {"compression": None, "close_timeout": 1.0, **options}
    async with serve(run, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


Change = Callable[[int, bytes], bytes]
"""Of a server's frame: its kind and payload, and what becomes of it on the wire."""


def plain_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame as a server writes it."""
    size = len(payload)
    head = bytes([fin << 7 | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b"\x7e" + size.to_bytes(2, "big") + payload
    return head + b"\x7f" + size.to_bytes(8, "big") + payload


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _pump_changed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Change) -> None:
    writer.write(await reader.readuntil(b"\r\n\r\n"))
    while True:
        first, size = await reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        writer.write(change(first & 15, await reader.readexactly(size)))
        await writer.drain()


@asynccontextmanager
async def changed(address: str, change: Change) -> AsyncIterator[str]:
    """The address of a proxy that changes what a server sends, frame by frame."""
    host, _, port = address.removeprefix("ws://").partition(":")

    relays: list[asyncio.Task[None] | None] = []
    pumps: list[asyncio.Task[None]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        own = [
            asyncio.create_task(_pump(reader, server_writer)),
            asyncio.create_task(_pump_changed(server_reader, writer, change)),
        ]
        pumps.extend(own)
        await asyncio.wait(own, return_when=asyncio.FIRST_EXCEPTION)
        for pump in own:
            pump.cancel()
        await asyncio.gather(*own, return_exceptions=True)
        for each in (writer, server_writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as proxy:
        try:
            yield f"ws://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*(each for each in relays if each is not None))
