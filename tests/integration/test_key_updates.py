# SPDX-License-Identifier: Apache-2.0
"""Who changes the keys of TLS without end sends nothing that a budget of frames could count."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.attack.key_updates import RECORD_BYTES, TlsPeer
from support.ends import End, Port, port_at
from support.peers import UPGRADE, request
from support.serving import certificates, until

from audio_connector.wire.overhead import READ_BYTES

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="how much waits in a socket is asked of Linux"
)


def waiting_bytes(end: End) -> int:
    """Of the peer, in the kernel."""
    return int.from_bytes(fcntl.ioctl(end.sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


@asynccontextmanager
async def dialled(port: Port, folder: Path) -> AsyncIterator[TlsPeer]:
    """A peer that has done the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    peer = TlsPeer(context, folder / "keys")
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # else it holds seconds of a flood
    try:
        await peer.dial(port.listening.address[1])
        yield peer
    finally:
        peer.sock.close()


async def flood(peer: TlsPeer, sent: int, at_most: int) -> int:
    """Write messages of TLS behind so many records until the server hangs up; returns how many were written."""
    stream, written = peer.stream(sent), 0
    with suppress(ConnectionError):
        while written < at_most:
            await asyncio.get_running_loop().sock_sendall(peer.sock, stream.take(100))
            await asyncio.sleep(0)  # a send that the kernel takes leaves nobody else a turn
            written += 100
        pytest.fail(f"the server took {written} messages")
    return written


async def test_one_peer_has_no_more_of_a_round_than_a_read(tmp_path: Path) -> None:
    async with (
        port_at(ssl_context=certificates().server) as port,
        dialled(port, tmp_path) as peer,
    ):
        await peer.send(request(UPGRADE))
        await until(lambda: port.ends and hasattr(port.ends[0], "upgrade"), "the upgrade")
        [server] = port.ends
        updates = peer.stream(1).take(3 * READ_BYTES // RECORD_BYTES)
        assert peer.sock.send(updates) == len(updates)
        waiting = [waiting_bytes(server)]
        assert waiting == [len(updates)]
        while waiting[-1]:
            await asyncio.sleep(0)
            waiting.append(waiting_bytes(server))
        read = [before - after for before, after in pairwise(waiting)]
        assert max(read) <= READ_BYTES
        assert not server.closed


async def test_who_is_in_the_middle_of_a_handshake_stays_new_to_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "keep_new", kept.append, raising=False)
    async with (
        port_at(ssl_context=certificates().server) as port,
        dialled(port, tmp_path) as peer,
    ):
        assert kept, "the hello was read"
        await peer.send(request(UPGRADE))
        await until(lambda: port.ends, "the upgrade")


async def test_a_flood_in_a_call_is_read_as_slowly_as_pings_and_ends_it(tmp_path: Path) -> None:
    async with (
        port_at(ssl_context=certificates().server) as port,
        dialled(port, tmp_path) as peer,
    ):
        await peer.send(request(UPGRADE))
        flooding = asyncio.ensure_future(flood(peer, 1, 50_000))
        await until(lambda: port.ends and port.ends[0].closed, "the end")
        await flooding
        [closed] = port.ends[0].closed
        assert (closed.code, closed.closed_by) == (1008, "us")


async def test_a_flood_before_the_request_is_refused_soon(tmp_path: Path) -> None:
    async with (
        port_at(ssl_context=certificates().server) as port,
        dialled(port, tmp_path) as peer,
    ):
        await flood(peer, 0, 50_000)
        await until(lambda: port.listening.refusals, "the refusal")
        assert port.listening.refusals == {"tls": 1}


async def test_a_flood_after_a_refusal_is_not_listened_to(tmp_path: Path) -> None:
    async with (
        port_at(ssl_context=certificates().server, handshake_timeout_s=60.0) as port,
        dialled(port, tmp_path) as peer,
    ):
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: port.listening.refusals, "the refusal")
        await flood(peer, 1, 50_000)
        assert port.listening.refusals == {"426": 1}


async def test_a_request_may_come_byte_by_byte_each_in_a_record(tmp_path: Path) -> None:
    async with (
        port_at(ssl_context=certificates().server) as port,
        dialled(port, tmp_path) as peer,
    ):
        for byte in request(UPGRADE):
            await peer.send(bytes([byte]))
        await until(lambda: port.ends, "the upgrade")
