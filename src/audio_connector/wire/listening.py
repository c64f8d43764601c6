# SPDX-License-Identifier: Apache-2.0
"""Listening for connections: every address of a host at one port, a gate before each connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aiofastnet

from audio_connector.wire.addresses import addresses_of, bind_all
from audio_connector.wire.gate import Gate, Upgraded

TLS_BUFFER_BYTES = 16 * 1024 + 64
"""Of each connection and direction: one TLS record. The default of 16 records holds 8 s of audio that count as sent
while the peer does not read, and 0.5 MB for each connection."""


class Listening:
    """Listening sockets, one per address of the host; connections that they accepted outlive them."""

    def __init__(self, servers: list[asyncio.Server], gates: set[Gate]) -> None:
        self._servers = servers
        self._gates = gates

    @property
    def address(self) -> tuple[str, int]:
        """The first address that is listened on, with the real port, which all share."""
        host, port = self._servers[0].sockets[0].getsockname()[:2]
        return host, port

    def stop(self) -> None:
        """Accept nothing more, and drop who has not asked for an upgrade yet."""
        for server in self._servers:
            server.close()
        for gate in list(self._gates):
            gate.abort()


async def listen_at(
    host: str,
    port: int,
    make_upgraded: Callable[[], Upgraded],
    *,
    ssl_context: ssl.SSLContext | None,
    handshake_timeout_s: float,
    backlog: int,
) -> Listening:
    """Listen on the running loop, see `wire.picows.listen`.

    Args:
        host: Name or address to bind; "" means every interface.
        port: TCP port; 0 takes a free one, the same for every address of the host.
        make_upgraded: Makes what a well-formed upgrade request is handed to.
        ssl_context: A server-side context, or None for plain TCP.
        handshake_timeout_s: A peer that has not sent its request by then is dropped.
        backlog: Connections that the kernel may hold before they are accepted.

    Raises:
        OSError: The address cannot be bound.
    """
    sockets = bind_all(await addresses_of(host, port), port)
    servers: list[asyncio.Server] = []
    gates: set[Gate] = set()
    tls: dict[str, Any] = {}
    if ssl_context is not None:
        tls = {
            "ssl": ssl_context,
            "ssl_handshake_timeout": handshake_timeout_s,
            "ssl_incoming_bio_size": TLS_BUFFER_BYTES,
            "ssl_outgoing_bio_size": TLS_BUFFER_BYTES,
        }
    loop = asyncio.get_running_loop()
    try:
        for bound in sockets:
            server = await aiofastnet.create_server(
                loop,
                lambda: Gate(make_upgraded, handshake_timeout_s, gates),
                sock=bound,
                backlog=backlog,
                **tls,
            )
            servers.append(server)
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return Listening(servers, gates)
