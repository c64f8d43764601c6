# SPDX-License-Identifier: Apache-2.0
"""How much leaves or waits once the write buffer is full: what is said after it must not come late."""

from __future__ import annotations

import asyncio
import math
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.ends import End, port_at
from support.peers import PING, PONG, Frame, bare
from support.serving import certificates, tls_client, until

from audio_connector.wire import budget
from audio_connector.wire.picows import dial
from audio_connector.wire.transport import WireLimits

FRAME = bytes(range(128)) * 5
BURST = 375  # 7.5 s
RECEIVE_BUFFER_BYTES = 4096
OVERHEAD_BYTES = len(FRAME) + 64
"""Of the last frame at most: the headers of WebSocket and TLS; and half of a TLS record is counted twice."""

NEEDS_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="other kernels count their buffers in other ways"
)


@asynccontextmanager
async def joined(limits: WireLimits, *, is_tls: bool) -> AsyncIterator[tuple[End, End]]:
    """A server's end with these limits, and one with a small buffer that has dialled it."""
    async with port_at(
        "localhost", ssl_context=certificates().server if is_tls else None, limits=limits
    ) as port:
        url = f"{'wss' if is_tls else 'ws'}://localhost:{port.listening.address[1]}"
        router = End()
        await dial(
            url,
            router,
            limits=WireLimits(receive_buffer_bytes=RECEIVE_BUFFER_BYTES),
            ssl_context=certificates().client if is_tls else None,
        )
        try:
            yield port.ends[0], router
        finally:
            router.transport.abort()


@NEEDS_LINUX
@pytest.mark.parametrize("high_bytes", [4096, 16384])
@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_burst_stops_where_the_write_buffer_is_full(is_tls: bool, high_bytes: int) -> None:
    limits = WireLimits(write_high_bytes=high_bytes, send_buffer_bytes=8192)
    async with joined(limits, is_tls=is_tls) as (end, router):
        router.transport.pause_reading()
        sent = 0
        while not end.writable and sent < BURST:
            end.transport.send_audio(FRAME)
            sent += 1
            await asyncio.sleep(0)
        assert high_bytes < end.transport.write_buffer_bytes <= high_bytes + len(FRAME) + OVERHEAD_BYTES
        kernel_bytes = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        kernel_bytes += router.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        end.transport.send_text("the marker")
        router.transport.resume_reading()
        await until(lambda: "the marker" in router.messages, "the marker")
        assert router.messages == [FRAME] * sent + ["the marker"]
        assert sent * len(FRAME) <= high_bytes + kernel_bytes + len(FRAME)
        await until(lambda: end.writable == [False, True], "the room")
        assert end.transport.write_buffer_bytes <= high_bytes // 4


@pytest.mark.parametrize("is_tls", [False, True])
async def test_every_full_buffer_has_its_end(is_tls: bool) -> None:
    """Who goes on as soon as there is room is told in turns, and nothing is lost."""
    limits = WireLimits(write_high_bytes=4096, send_buffer_bytes=8192)
    async with joined(limits, is_tls=is_tls) as (end, router):
        sent = 0
        while sent < 1000:
            if not end.writable or end.writable[-1]:
                for _ in range(20):
                    end.transport.send_audio(FRAME)
                sent += 20
            await asyncio.sleep(0)
        await until(lambda: len(router.messages) == sent, "every frame")
        await until(lambda: end.writable[-1], "the room")
        assert end.writable == [turn % 2 == 1 for turn in range(len(end.writable))]
        assert end.transport.write_buffer_bytes == 0


@tls_client
async def test_pings_over_tls_of_a_peer_that_does_not_read_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "BACKLOG_PER_S", math.inf)  # or it would be closed as a flood
    monkeypatch.setattr(budget, "MAX_EMPTY", math.inf)
    contexts = certificates()
    async with (
        port_at(ssl_context=contexts.server) as port,
        bare(port.address(), ssl_context=contexts.client, read_buffer=RECEIVE_BUFFER_BYTES) as peer,
    ):
        peer.hold()
        for _ in range(20):
            peer.send(*[Frame(PING, b"p" * 125)] * 500)
            await peer.drain()
        peer.send(Frame(PING, b"the newest"))
        await peer.drain()
        await until(lambda: port.ends[0].writable, "a full buffer")
        await asyncio.sleep(0.1)
        assert port.ends[0].transport.write_buffer_bytes < 2 * WireLimits().write_high_bytes
        peer.release()
        answers = [await peer.frame()]
        while answers[-1].payload != b"the newest":
            answers.append(await peer.frame())
        assert {answer.opcode for answer in answers} == {PONG}
