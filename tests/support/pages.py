# SPDX-License-Identifier: Apache-2.0
"""A page of the playground without a browser: its WebSocket, and what came over it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from audio_connector import AudioConnectorConnection
from audio_connector.playground.bots import Bot, configure_with, find_bot
from audio_connector.playground.run import Address, playground
from audio_connector.playground.session import Settings

OnConnect = Callable[[AudioConnectorConnection], Awaitable[None]]
PATIENCE_S = 10.0


@contextlib.asynccontextmanager
async def opened(
    on_connect: OnConnect | None = None, *, bot: Bot | None = None, **settings: Any
) -> AsyncIterator[Address]:
    """A playground on a free port, for an application, or for the parrot."""
    if bot is None:
        bot = (
            find_bot(None)
            if on_connect is None
            else Bot("test", configure=configure_with("test", on_connect))
        )
    values = Settings(url="", label="", **settings)
    async with playground(bot, values, host="127.0.0.1", port=0) as address:
        yield address


class Page:
    """One page that is open."""

    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self._session = session
        self.address = address
        self.messages: list[dict[str, Any]] = []
        self.sound: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self.socket: aiohttp.ClientWebSocketResponse
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def origin(self) -> str:
        return self.address.url.rstrip("/")

    async def open(self) -> Page:
        self.socket = await self._session.ws_connect(
            f"{self.address.url}page", headers={"Origin": self.origin}
        )
        self._reading = asyncio.ensure_future(self._read())
        await self.wait_for(lambda message: message["type"] == "hello")
        return self

    async def close(self) -> None:
        await self.socket.close()
        if self._reading is not None:
            await self._reading

    async def say(self, kind: str, **values: object) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **values}))

    async def connect(self, rate_hz: int = 16000) -> None:
        await self.say("connect", rate_hz=rate_hz, profile="video")
        await self.wait_for(lambda message: message.get("state") == "open")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def id(self) -> str:
        return str(self.of("hello")[0]["id"])

    async def wait_for(self, wanted: Callable[[dict[str, Any]], bool], *, after: int = 0) -> dict[str, Any]:
        """The first message that is wanted, among those from number ``after`` on."""

        async def look() -> dict[str, Any]:
            while True:
                for message in self.messages[after:]:
                    if wanted(message):
                        return message
                self._changed.clear()
                await self._changed.wait()

        return await asyncio.wait_for(look(), PATIENCE_S)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what has come is enough."""

        async def look() -> None:
            while not condition():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(look(), PATIENCE_S)

    async def event(self, name: str, speaker: int = 1, *, after: int = 0) -> dict[str, Any]:
        return await self.wait_for(
            lambda message: (
                message["type"] == "event" and message["name"] == name and message["speaker"] == speaker
            ),
            after=after,
        )

    async def post(
        self,
        body: bytes,
        *,
        speaker: object = 1,
        name: str = "a.wav",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        async with self._session.post(
            f"{self.address.url}pages/{self.id}/speech",
            params={"speaker": str(speaker), "name": name},
            data=io.BytesIO(body),
            headers={"Origin": self.origin} if headers is None else headers,
        ) as answer:
            return answer.status, await answer.text()

    async def get(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        async with self._session.get(self.address.url + path) as answer:
            return answer.status, await answer.read(), answer.headers

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))
            else:
                self.sound[message.data[0]] += message.data[2:]
            self._changed.set()


@contextlib.asynccontextmanager
async def page_of(address: Address) -> AsyncIterator[Page]:
    """A page that is open, and closed at the end of the block."""
    async with aiohttp.ClientSession() as session:
        page = await Page(session, address).open()
        try:
            yield page
        finally:
            await page.close()
