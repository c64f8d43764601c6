# SPDX-License-Identifier: Apache-2.0
"""A server in virtual time, and one call to it by a router that only notes: both sides can be looked into."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from support.call import Router

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.link import Link
from audio_connector.server.running import Running
from audio_connector.server.server import AudioConnectorServer
from audio_connector.server.session import Session
from audio_connector.testing.in_loop import InLoopIo
from audio_connector.testing.network import dial
from audio_connector.testing.virtual_time import OPENING_S, rest
from audio_connector.validation.handlers import Handler
from audio_connector.wire.codec import encode_event
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Connected, Event


class LoopClock:
    """The loop's time, for the router."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def now(self) -> float:
        return self._loop.time()


class Conversation:
    """A connection that was dialled, and its application.

    Args:
        on_connect: As in the configuration.
        rate_hz: What the router's first message says; None where it sends none.
        headers: Of the upgrade.
        first_message: Further keys of the first message.
        path: What was dialled, with the query.
        groups: ``playback``, ``intake``, ``timeouts`` of the configuration, as dicts.
    """

    client: AudioConnectorConnection
    session: Session
    link: Link
    router_socket: MemoryTransport

    def __init__(
        self,
        on_connect: Handler | None = None,
        *,
        rate_hz: int | None = 16000,
        headers: tuple[tuple[str, str], ...] = (),
        first_message: dict[str, object] | None = None,
        path: str = "/",
        **groups: dict[str, Any],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.router = Router(LoopClock(loop), rate_hz or 16000)
        self._start = loop.time()
        self._server = AudioConnectorServer(
            {"host": "localhost", "port": 0, "on_connect": on_connect, **groups}
        )
        self._path, self._headers = path, headers
        self._first: str | None = None
        if rate_hz is not None:
            text = Connected(headers=first_message or {}, content_type=f"audio/l16;rate={rate_hz}")
            self._first = encode_event(text)

    async def __aenter__(self) -> Conversation:
        handle = await self._server.__aenter__()
        address = handle.get_address() + self._path
        self.router_socket = await dial(address, self.router, headers=self._headers)
        io = self.running.io
        assert isinstance(io, InLoopIo)
        [self.link] = io.side.links.values()
        if self._first is not None:
            self.router_socket.send_text(self._first)
        for _ in range(10):  # not `rest`, after which a short one is over
            await asyncio.sleep(0)
        [self.session] = self.running.sessions.values()
        self.client = self.session.connection
        await asyncio.sleep(OPENING_S)
        await rest()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.router_socket.reset()
        if kind is None:
            await asyncio.shield(self.session.task)
            assert self.is_over
        await self._server.stop()

    @property
    def running(self) -> Running:
        assert self._server._running is not None
        return self._server._running

    @property
    def is_over(self) -> bool:
        """True once the server has forgotten it."""
        return not self.running.sessions

    async def router_says(self, event: Event) -> None:
        self.router_socket.send_text(encode_event(event))
        await rest()

    async def router_sends(self, audio: bytes) -> None:
        self.router_socket.send_audio(audio)
        await rest()

    @property
    def now_s(self) -> float:
        """Seconds since the beginning, to the microsecond."""
        return round(asyncio.get_running_loop().time() - self._start, 6)
