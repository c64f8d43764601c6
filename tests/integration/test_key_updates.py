# SPDX-License-Identifier: Apache-2.0
"""Who changes the keys of TLS without end sends nothing that a budget of frames could count."""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import sys
import termios
from itertools import pairwise
from pathlib import Path

import pytest
from support.ends import End
from support.key_updates import RECORD_BYTES, TlsPeer
from support.peers import UPGRADE, request
from support.serving import certificates, until

from audio_connector.wire.listening import TLS_BUFFER_BYTES
from audio_connector.wire.picows import listen

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="how much waits in a socket is asked of Linux"
)


def waiting_bytes(end: End) -> int:
    """Of the peer, in the kernel."""
    sock = end.transport._underlying.get_extra_info("socket")  # type: ignore[attr-defined]
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


async def test_one_peer_has_no_more_of_a_round_than_a_record(tmp_path: Path) -> None:
    server = End()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    listening = await listen(lambda _: server, ssl_context=lambda: certificates().server)
    peer = TlsPeer(context, tmp_path / "keys")
    try:
        await peer.dial(listening.address[1])
        await peer.send(request(UPGRADE))
        await until(lambda: hasattr(server, "upgrade"), "the upgrade")
        updates = peer.key_updates(1, 3 * TLS_BUFFER_BYTES // RECORD_BYTES)
        assert peer.sock.send(updates) == len(updates)
        waiting = [waiting_bytes(server)]
        assert waiting == [len(updates)]
        while waiting[-1]:
            await asyncio.sleep(0)
            waiting.append(waiting_bytes(server))
        read = [before - after for before, after in pairwise(waiting)]
        assert max(read) <= TLS_BUFFER_BYTES
        assert not server.closed
    finally:
        peer.sock.close()
        listening.stop()
    await until(lambda: server.closed, "the end")
