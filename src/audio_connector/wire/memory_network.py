# SPDX-License-Identifier: Apache-2.0
"""A network in process: listening and dialling as on real sockets, for tests."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from urllib.parse import urlsplit

from audio_connector.errors import DialError
from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES
from audio_connector.wire.memory import CallLater, MemoryTransport, connect
from audio_connector.wire.network import (
    DIAL,
    LISTEN,
    AcceptUpgrade,
    DialOptions,
    ListenOptions,
    Refused,
    Verdict,
    with_target,
)
from audio_connector.wire.quoting import without_secrets
from audio_connector.wire.refusals import NOT_NOW, UNDECIDED, Refusal
from audio_connector.wire.transport import Headers, Receiver, Upgrade, WireLimits

FIRST_FREE_PORT = 49152
"""What port 0 gets; the system's own begin there as well."""


class MemoryListening:
    """A port of a `MemoryNetwork`, which makes it."""

    def __init__(
        self, ports: dict[int, MemoryListening], port: int, accept: AcceptUpgrade, options: ListenOptions
    ) -> None:
        self.accept = accept
        self.address = (options.host, port)
        self.options = options
        self.refusals: dict[str, int] = {}
        self._ports = ports
        self._judged: set[asyncio.Future[Verdict]] = set()
        ports[port] = self

    @property
    def is_secure(self) -> bool:
        """Whether it is dialled with ``wss://``."""
        return self.options.ssl_context is not None

    def lend(self) -> None:
        """Nobody else can listen here."""

    def stop(self) -> None:
        """Be found no more, and let nobody in who still waits for that."""
        self.stop_accepting()
        for waiting in list(self._judged):
            if not waiting.done():
                waiting.set_result(Refused(NOT_NOW))

    async def decide(self, upgrade: Upgrade) -> tuple[Receiver, Upgrade] | Refusal:
        """Whether who dials is let in, and by whom taken."""
        refused = self.options.admit(upgrade)
        verdict = await self._judge(upgrade) if refused is None else Refused(refused)
        taken = verdict.refusal if isinstance(verdict, Refused) else self.accept(verdict)
        if isinstance(taken, Refusal):
            self.refusals[taken.name] = self.refusals.get(taken.name, 0) + 1
            return taken
        assert isinstance(verdict, Upgrade)
        return taken, verdict

    async def _judge(self, upgrade: Upgrade) -> Verdict:
        judge = self.options.judge
        if judge is None:
            return upgrade
        waiting: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        verdict = judge(upgrade, lambda late: None if waiting.done() else waiting.set_result(late))
        if not callable(verdict):
            return verdict
        self._judged.add(waiting)
        try:
            await asyncio.wait((waiting,), timeout=self.options.judge_timeout_s)
            return waiting.result() if waiting.done() else Refused(UNDECIDED)
        finally:
            waiting.cancel()
            self._judged.discard(waiting)
            verdict()

    def stop_accepting(self) -> None:
        """Likewise: here nobody is found who has not asked for an upgrade."""
        if self._ports.get(self.address[1]) is self:
            del self._ports[self.address[1]]


class MemoryNetwork:
    """Ports, and connections to them.

    Args:
        ports: What listens, by port; kept by the owner of the network.
        call_later: Seconds and a callback.
        latency_s: How long what is sent is under way, in each direction.
        opening_s: How long after the opening the end that was dialled reads what the other one sends first.
    """

    def __init__(
        self,
        ports: dict[int, MemoryListening],
        call_later: CallLater,
        *,
        latency_s: float = 0.0,
        opening_s: float = 0.0,
    ) -> None:
        self.ports = ports
        self._call_later = call_later
        self._latency_s = latency_s
        self.opening_s = opening_s
        self._dialled = 0

    async def listen(
        self, accept: AcceptUpgrade, options: ListenOptions = LISTEN, **changes: object
    ) -> MemoryListening:
        """Listen on a port; of TLS there is the name only.

        Raises:
            OSError: The port is in use.
        """
        options = options.but(changes)
        port = options.port
        if port in self.ports:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        if port == 0:
            port = next(free for free in itertools.count(FIRST_FREE_PORT) if free not in self.ports)
        return MemoryListening(self.ports, port, accept, options)

    async def dial(
        self, url: str, receiver: Receiver, options: DialOptions = DIAL, **changes: object
    ) -> MemoryTransport:
        """Connect to what listens; the host does not matter.

        Raises:
            DialError: Nothing listens there, or it takes no connection.
        """
        options = options.but(changes)
        parts = urlsplit(url if options.target is None else with_target(url, options.target))
        url = without_secrets(url)
        is_secure = parts.scheme == "wss"
        listening = self._find(url, parts.port or (443 if is_secure else 80))
        if listening.is_secure != is_secure:
            other = "ws" if is_secure else "wss"
            raise DialError(f"{url} closed the connection before it answered; should it be {other}://?")
        request = Headers([("Host", parts.netloc), *options.headers])
        path = parts.path or "/"
        self._dialled += 1
        peer = listening.options.proxies.client_of(("127.0.0.1", FIRST_FREE_PORT + self._dialled), request)
        upgrade = Upgrade(path, parts.query, request, peer, is_secure)
        accepted = await listening.decide(upgrade)
        if isinstance(accepted, Refusal):
            status = accepted.status
            raise DialError(
                f"{url} answered with HTTP {status} instead of a WebSocket (101)", status=int(status)
            )
        taker, upgrade = accepted
        server = self._end(taker, listening.options.limits)
        router = self._end(receiver, options.limits)
        if self.opening_s:
            server.pause_reading()
            self._call_later(self.opening_s, server.resume_reading)
        connect(server, router, upgrade)
        return router

    def _find(self, url: str, port: int) -> MemoryListening:
        listening = self.ports.get(port)
        if listening is None:
            at = ", ".join(map(str, self.ports)) or "none"
            raise DialError(
                f"{url} cannot be reached: in virtual time there are only the servers of the test itself, and none "
                f"of them listens on port {port} (open: {at}). For a server that runs elsewhere take a test in "
                "real time"
            )
        return listening

    def _end(self, receiver: Receiver, limits: WireLimits) -> MemoryTransport:
        return MemoryTransport(
            receiver,
            call_later=self._call_later,
            kernel_bytes=limits.send_buffer_bytes + (limits.receive_buffer_bytes or RECEIVE_BUFFER_BYTES),
            high_bytes=limits.write_high_bytes,
            close_timeout_s=limits.close_timeout_s,
            latency_s=self._latency_s,
            limits=limits,
        )
