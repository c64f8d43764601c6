# SPDX-License-Identifier: Apache-2.0
"""A server in virtual time that takes back routers that dial again, and those routers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from support.audio import numbered, numbers_of
from support.call import Router
from support.conversation import LoopClock

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.io_side import IoSide
from audio_connector.server.server import AudioConnectorServer
from audio_connector.server.session import Session
from audio_connector.testing.in_loop import InLoopIo
from audio_connector.testing.network import dial
from audio_connector.testing.virtual_time import OPENING_S, rest
from audio_connector.wire.codec import encode_event
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Connected, Disconnected

RESUME_S = 5.0
Pairs = Sequence[tuple[str, str]]


def ids(connection: str = "c1", session: str = "s1") -> Pairs:
    return [("x-opentok-ws-connectionid", connection), ("x-opentok-ws-sessionid", session)]


class App:
    """Handlers that note what they are told."""

    def __init__(self) -> None:
        self.connected: list[AudioConnectorConnection] = []
        self.resumed: list[AudioConnectorConnection] = []
        self.heard: list[bytes | str] = []
        self.errors: list[Exception] = []
        self.ends: list[Disconnected] = []

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        self.connected.append(client)
        client.set_handler(
            on_message=self.heard.append, on_disconnect=self.ends.append, on_error=self.errors.append
        )

    async def on_resume(self, client: AudioConnectorConnection) -> None:
        assert client.is_resumed
        self.resumed.append(client)


class Scene:
    """A server in virtual time, and routers that dial it. The block waits for the end of every call."""

    def __init__(self, resume_s: float | None = RESUME_S, **options: Any) -> None:
        self.app = App()
        timeouts = {"resume_s": resume_s, **options.pop("timeouts", {})}
        handlers = {"on_connect": self.app.on_connect, "on_resume": self.app.on_resume}
        self._server = AudioConnectorServer(
            {"host": "localhost", "port": 0, "timeouts": timeouts, **handlers, **options}
        )
        self.routers: list[Router] = []

    async def __aenter__(self) -> Scene:
        self.handle = await self._server.__aenter__()
        self.address = self.handle.get_address()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()

    async def dial(
        self, headers: Pairs = (), *, path: str = "/", rate_hz: int | None = 16000
    ) -> MemoryTransport:
        """Dial, and say the first words."""
        self.routers.append(Router(LoopClock(asyncio.get_running_loop()), rate_hz or 16000))
        socket = await dial(self.address + path, self.routers[-1], headers=headers or ids())
        await asyncio.sleep(OPENING_S)
        if rate_hz is not None:
            socket.send_text(encode_event(Connected(content_type=f"audio/l16;rate={rate_hz}")))
        await rest()
        return socket

    @property
    def side(self) -> IoSide:
        assert self._server._running is not None
        io = self._server._running.io
        assert isinstance(io, InLoopIo)
        return io.side

    @property
    def sessions(self) -> list[Session]:
        assert self._server._running is not None
        return list(self._server._running.sessions.values())

    @property
    def client(self) -> AudioConnectorConnection:
        """Of the only call."""
        [client] = self.app.connected
        return client

    @property
    def heard(self) -> list[int]:
        """What arrived at the routers, one after another."""
        return [number for router in self.routers for number in numbers_of(router.frames)]


async def lose(socket: MemoryTransport, for_s: float = 0.0) -> None:
    socket.reset()
    await rest()
    await asyncio.sleep(for_s)


def sentence(count: int) -> bytes:
    return b"".join(numbered(1 + k, 640) for k in range(count))
