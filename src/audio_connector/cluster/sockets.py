# SPDX-License-Identifier: Apache-2.0
"""What the I/O processes of a supervisor listen on."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.wire.addresses import duplicates_of, listen_on, why_not_bound
from audio_connector.wire.network import LISTEN


async def sockets_for(
    config: AudioConnectorServerConfig, lent: Sequence[socket.socket], count: int
) -> list[list[socket.socket]]:
    """The sockets of each of so many processes; where there are several they share the port.

    Args:
        config: Where to listen.
        lent: Taken in place of that, as duplicates.
        count: Of the processes.

    Raises:
        AudioConnectorStartServerError: The address cannot be bound.
    """
    if lent:
        return [duplicates_of(lent, LISTEN.backlog) for _ in range(count)]
    try:
        if count > 1 and config.port:  # a port that may be shared tells nobody that it is in use
            for sock in await listen_on(config.host, config.port, LISTEN.backlog):
                sock.close()
        listening = [await listen_on(config.host, config.port, LISTEN.backlog, shares_port=count > 1)]
        port = listening[0][0].getsockname()[1]
        while len(listening) < count:
            listening.append(await listen_on(config.host, port, LISTEN.backlog, shares_port=True))
    except (OSError, UnicodeError, OverflowError) as error:
        text = why_not_bound(config.host, config.port, error)
        raise AudioConnectorStartServerError(text) from error
    return listening


def address_of(config: AudioConnectorServerConfig, sockets: Sequence[socket.socket]) -> str:
    """What is dialled."""
    host = f"[{config.host}]" if ":" in config.host else config.host or "localhost"
    return f"{'wss' if config.is_secure else 'ws'}://{host}:{sockets[0].getsockname()[1]}"
