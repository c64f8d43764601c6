# SPDX-License-Identifier: Apache-2.0
"""Receivers on real sockets that note what they are told, and a listening port without a server behind it."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from audio_connector.wire.listening import Listening
from audio_connector.wire.picows import listen
from audio_connector.wire.refusals import NOT_NOW, Refusal
from audio_connector.wire.transport import Closed, Transport, Upgrade, WireLimits


class End:
    """A receiver that notes what it is told."""

    def __init__(self) -> None:
        self.messages: list[bytes | str] = []
        self.writable: list[bool] = []
        self.closed: list[Closed] = []
        self.upgrade: Upgrade
        self.transport: Transport

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        self.transport = transport
        self.upgrade = upgrade

    def on_audio(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_text(self, text: str) -> None:
        self.messages.append(text)

    def on_pong(self, payload: bytes) -> None:
        self.messages.append(b"pong " + payload)

    def on_writable(self, writable: bool) -> None:
        self.writable.append(writable)

    def on_closed(self, closed: Closed) -> None:
        self.closed.append(closed)

    @property
    def sock(self) -> socket.socket:
        found: socket.socket = self.transport._underlying.get_extra_info("socket")  # type: ignore[attr-defined]
        return found


class Port:
    """What listens, and the ends of who has dialled it.

    Attributes:
        ends: In the order of coming.
        takes: False refuses with 503, an exception with 500.
    """

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.takes: bool | Exception = True
        self.listening: Listening

    def accept(self, _: Upgrade) -> End | Refusal:
        if isinstance(self.takes, Exception):
            raise self.takes
        if not self.takes:
            return NOT_NOW
        self.ends.append(End())
        return self.ends[-1]

    def address(self, host: str = "127.0.0.1") -> str:
        return f"ws://{host}:{self.listening.address[1]}"


@asynccontextmanager
async def port_at(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl_context: ssl.SSLContext | None = None,
    limits: WireLimits | None = None,
    handshake_timeout_s: float = 5.0,
) -> AsyncIterator[Port]:
    """Listen, and drop at the end whoever is still there."""
    made = Port()
    made.listening = await listen(
        made.accept,
        host=host,
        port=port,
        ssl_context=None if ssl_context is None else lambda: ssl_context,
        limits=limits or WireLimits(),
        handshake_timeout_s=handshake_timeout_s,
    )
    try:
        yield made
    finally:
        made.listening.stop()
        for end in made.ends:
            end.transport.abort()


@contextmanager
def forked() -> Iterator[None]:
    """A child process that has every descriptor of this one, and does nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not live on in it is meant
        pid = os.fork()
    if pid == 0:
        try:
            time.sleep(60)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def heed_interrupts() -> None:
    """In a child: a shell that runs the tests in the background has told them, and so it, to ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
