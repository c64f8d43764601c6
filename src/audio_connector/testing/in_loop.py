# SPDX-License-Identifier: Apache-2.0
"""A server's I/O side on the application's loop, with sockets in memory: what a server gets in virtual time.

The thread and the sockets are left out, and nothing else: links, schedules, buffers and mailboxes are the real ones.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from urllib.parse import urlsplit

from audio_connector.call.asks import Ask
from audio_connector.errors import DialError, UsageError
from audio_connector.port.host import Deliver, Note
from audio_connector.port.mailbox import Mailbox, Outbox
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES
from audio_connector.wire.memory import MemoryTransport, connect
from audio_connector.wire.transport import Headers, Receiver, Upgrade, WireLimits

FIRST_FREE_PORT = 49152
"""What port 0 gets; the system's own begin there as well."""


class InLoopIo:
    """A `port.host.IoHost` without a thread.

    Args:
        loop: The application's loop, which is that of the I/O side too.
        deliver: Called for each tell.
        note: Called for each connection's figures.
        config: As `io_thread.IoThread`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
    ) -> None:
        outbox: Outbox = Outbox(
            loop,
            deliver,
            note,
            call_later=loop.call_later,
            on_lost=lambda: None,
            clock=loop.time,
            gather_s=0.0,
        )
        self.side = IoSide(
            config, outbox=outbox, listen=listen, clock=loop.time, call_later=loop.call_later
        )
        self.inbox: Mailbox[tuple[int, Ask]] = Mailbox(
            loop, self.side.apply, on_lost=lambda: None, clock=loop.time
        )
        self.post = self.inbox.post
        self.owes_work = outbox.owes_work
        self.clock = loop.time
        self.ended: Future[None] = Future()

    def start(self) -> None:
        """Nothing: the loop runs."""

    async def listen(self) -> tuple[str, int]:
        """Be found by `dial`. Returns the address."""
        return await self.side.listen()

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        await self.side.close_all(code, reason, timeout_s)

    def shut_down(self) -> None:
        """End at once."""
        if not self.ended.done():
            self.side.stop()
            self.ended.set_result(None)

    def join(self, timeout_s: float) -> bool:
        """There is no thread to wait for."""
        return True


class MemoryListening:
    """A port of a `VirtualLoop`; made by `listen`."""

    def __init__(
        self,
        ports: dict[int, MemoryListening],
        accept: Callable[[Headers, str], Receiver | None],
        *,
        host: str,
        port: int,
        is_secure: bool,
        limits: WireLimits,
    ) -> None:
        self.accept = accept
        self.address = (host, port)
        self.is_secure = is_secure
        self.limits = limits
        self._ports = ports
        ports[port] = self

    def stop(self) -> None:
        """Be found no more."""
        if self._ports.get(self.address[1]) is self:
            del self._ports[self.address[1]]


async def listen(
    accept: Callable[[Headers, str], Receiver | None],
    *,
    host: str,
    port: int,
    ssl_context: ssl.SSLContext | None,
    limits: WireLimits,
    handshake_timeout_s: float,
) -> MemoryListening:
    """Listen on a port of the running `VirtualLoop`; `wire.picows.listen` in memory.

    Raises:
        OSError: The port is in use.
    """
    del handshake_timeout_s  # nobody is slow here
    ports = _loop().ports
    if port in ports:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if port == 0:
        port = next(free for free in itertools.count(FIRST_FREE_PORT) if free not in ports)
    return MemoryListening(
        ports, accept, host=host, port=port, is_secure=ssl_context is not None, limits=limits
    )


async def dial(
    url: str,
    receiver: Receiver,
    *,
    headers: Sequence[tuple[str, str]] = (),
    ssl_context: ssl.SSLContext | None = None,
    timeout_s: float = 6.0,
    limits: WireLimits | None = None,
) -> MemoryTransport:
    """Connect to what listens on the running `VirtualLoop`; `wire.picows.dial` in memory.

    Args:
        url: ``ws://`` or ``wss://``; the host does not matter.
        receiver: Is told of everything; its ``on_open`` has run when this returns.
        headers: Further headers of the upgrade request.
        ssl_context: Not looked at: there is no TLS, only its name.
        timeout_s: Not needed: the answer comes at once.
        limits: Bounds of the connection.

    Raises:
        DialError: Nothing listens there, or it takes no connection.
    """
    del ssl_context, timeout_s
    loop, parts = _loop(), urlsplit(url)
    is_secure = parts.scheme == "wss"
    port = parts.port or (443 if is_secure else 80)
    listening = loop.ports.get(port)
    if not isinstance(listening, MemoryListening):
        at = ", ".join(map(str, loop.ports)) or "none"
        raise DialError(
            f"{url} cannot be reached: in virtual time there are only the servers of the test itself, and none "
            f"of them listens on port {port} (open: {at}). For a server that runs elsewhere take a test in real time"
        )
    if listening.is_secure != is_secure:
        raise DialError(f"{url} closed the connection before it answered; should it be "
                        f"{'ws' if is_secure else 'wss'}://?")  # fmt: skip
    request = Headers([("Host", parts.netloc), *headers])
    path = parts.path or "/"
    accepted = listening.accept(request, f"{path}?{parts.query}" if parts.query else path)
    if accepted is None:
        raise DialError(f"{url} answered with HTTP 503 instead of a WebSocket (101)", status=503)
    server = _transport(accepted, listening.limits)
    router = _transport(receiver, limits or WireLimits())
    loop.dialled += 1
    peer = ("127.0.0.1", FIRST_FREE_PORT + loop.dialled)
    connect(server, router, Upgrade(path, parts.query, request, peer, is_secure))
    return router


def _transport(receiver: Receiver, limits: WireLimits) -> MemoryTransport:
    return MemoryTransport(
        receiver,
        call_later=_loop().call_later,
        kernel_bytes=limits.send_buffer_bytes + (limits.receive_buffer_bytes or RECEIVE_BUFFER_BYTES),
        high_bytes=limits.write_high_bytes,
        close_timeout_s=limits.close_timeout_s,
    )


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise UsageError("sockets in memory are for virtual time: put @in_virtual_time above the test")
    return loop
