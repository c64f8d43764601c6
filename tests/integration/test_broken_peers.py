# SPDX-License-Identifier: Apache-2.0
"""What only a broken peer does, between two ends of our own on real sockets: not reading, no frames, a reset."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.ends import End
from support.ports import refusing
from support.serving import certificates, until, warnings_of

from audio_connector.errors import DialError
from audio_connector.wire.addresses import Address, connect_first
from audio_connector.wire.picows import dial, listen
from audio_connector.wire.transport import Closed, WireLimits

BROKEN = Closed(1006, "", closed_by="network")
SMALL = WireLimits(receive_buffer_bytes=4096)


@asynccontextmanager
async def joined(
    limits: WireLimits | None = None, *, dialled: str = "127.0.0.1", is_tls: bool = False
) -> AsyncIterator[tuple[End, End]]:
    """A server's end, and one that has dialled it with these limits."""
    server, router = End(), End()
    listening = await listen(
        lambda _: server,
        host="127.0.0.1",
        port=0,
        ssl_context=(lambda: certificates().server) if is_tls else None,
        limits=WireLimits(),
        handshake_timeout_s=5.0,
    )
    url = f"{'wss' if is_tls else 'ws'}://{dialled}:{listening.address[1]}/"
    try:
        await dial(
            url, router, limits=limits or WireLimits(), ssl_context=certificates().client if is_tls else None
        )
        yield server, router
    finally:
        listening.stop()
        for end in (router, server):
            end.transport.abort()
        await until(lambda: server.closed and router.closed, "both ends")


def frame(number: int) -> bytes:
    return number.to_bytes(4, "big") * 160


async def fill(sender: End) -> int:
    """Send frames until the sender's write buffer is full; how many that were."""
    for sent in range(1000):
        if sender.writable:
            return sent
        sender.transport.send_audio(frame(sent))
        await asyncio.sleep(0)
    pytest.fail("the write buffer never fills")


@pytest.mark.parametrize("is_tls", [False, True])
async def test_who_does_not_read_fills_the_other_s_buffer_and_loses_nothing(is_tls: bool) -> None:
    async with joined(SMALL, is_tls=is_tls) as (server, router):
        router.transport.pause_reading()
        router.transport.pause_reading()
        sent = await fill(server)
        # 4 KiB of theirs and 16 KiB of ours, which Linux doubles, one TLS record, and 16 KiB in user space.
        assert 25 < sent < 150
        assert server.writable == [False]
        await asyncio.sleep(0.02)
        assert router.messages == []
        router.transport.resume_reading()
        router.transport.resume_reading()
        await until(lambda: len(router.messages) == sent, "every frame")
        assert router.messages == [frame(number) for number in range(sent)]
        await until(lambda: server.writable == [False, True], "the room")


async def test_with_the_kernel_s_own_buffer_more_fits() -> None:
    """Shows that the test before sees what it sets."""
    async with joined(SMALL) as (server, router):
        router.transport.pause_reading()
        small = await fill(server)
    async with joined() as (server, router):
        router.transport.pause_reading()
        assert await fill(server) > small


async def test_the_buffer_is_set_before_the_window_is_offered() -> None:
    async with joined(SMALL) as (_, router):
        assert router.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * 4096


async def test_an_end_may_pause_itself_inside_a_message() -> None:
    async with joined() as (server, router):
        taken = router.on_text

        def take(text: str) -> None:
            taken(text)
            router.transport.pause_reading()

        router.on_text = take  # type: ignore[method-assign]
        server.transport.send_text("1")
        await until(lambda: router.messages, "the first text")
        server.transport.send_text("2")
        server.transport.send_ping(b"unseen")
        await asyncio.sleep(0.02)
        assert router.messages == ["1"]
        assert server.messages == []
        router.transport.resume_reading()
        await until(lambda: router.messages == ["1", "2"], "the second text")


async def test_a_close_of_who_does_not_read_has_its_deadline() -> None:
    limits = WireLimits(close_timeout_s=0.1)
    async with joined(limits) as (server, router):
        router.transport.pause_reading()
        router.transport.close(1000, "done")
        await until(lambda: router.closed, "the deadline")
        assert router.closed == [Closed(1000, "done", closed_by="us")]
        assert server.closed == [Closed(1000, "done", closed_by="peer")]


async def test_bytes_outside_any_frame_are_answered_with_1002(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (server, router):
        router.transport.send_text("before")
        await until(lambda: server.messages, "the text")
        router.transport.write_raw(b"\xff\xff\xff\xff")
        await until(lambda: router.closed and server.closed, "the end")
        assert server.messages == ["before"]
        assert (server.closed[0].code, server.closed[0].closed_by) == (1002, "us")
        assert (router.closed[0].code, router.closed[0].closed_by) == (1002, "peer")
    assert warnings_of(caplog) == []


async def test_after_a_close_no_bytes_follow() -> None:
    async with joined() as (server, router):
        router.transport.close(1000, "")
        router.transport.write_raw(b"\xff\xff\xff\xff")
        await until(lambda: router.closed and server.closed, "the end")
        assert server.closed == [Closed(1000, "", closed_by="peer")]


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("is_server", [False, True])
async def test_a_reset_is_seen_as_the_network_s(
    is_tls: bool, is_server: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(is_tls=is_tls) as (server, router):
        who, other = (server, router) if is_server else (router, server)
        who.transport.send_text("before")
        await until(lambda: other.messages, "the text")
        who.transport.reset()
        who.transport.reset()
        await until(lambda: who.closed and other.closed, "the end")
        assert who.closed == other.closed == [BROKEN]
    assert warnings_of(caplog) == []


async def test_a_reset_is_one_at_the_socket() -> None:
    """And not the end of the stream, which ``abort`` sends."""
    seen: list[BaseException | None] = []
    for how in ("abort", "reset"):
        async with joined() as (server, router):
            raw = socket.socket(fileno=socket.dup(server.sock.fileno()))
            try:
                server.transport.pause_reading()
                getattr(router.transport, how)()
                raw.setblocking(False)
                seen.append(await _read_end(raw))
            finally:
                raw.close()
    assert seen[0] is None
    assert isinstance(seen[1], ConnectionResetError)


async def _read_end(sock: socket.socket) -> BaseException | None:
    try:
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 100), 5.0) == b""
    except OSError as error:
        return error
    return None


# Which address is dialled.


async def test_every_address_of_the_host_is_tried() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with refusing() as nobody:
            addresses: list[Address] = [
                (socket.AF_INET, ("127.0.0.1", nobody)),
                (socket.AF_INET, ("127.0.0.1", port)),
            ]
            sock = await connect_first(addresses, 4096)
            try:
                assert sock.getpeername() == ("127.0.0.1", port)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * 4096
            finally:
                sock.close()
            with pytest.raises(ConnectionRefusedError):
                await connect_first(addresses[:1], 4096)


async def test_a_host_of_two_addresses_is_reached_at_the_one_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with refusing() as nobody:

        async def both(host: str, port: int) -> list[Address]:
            assert host == "localhost"
            return [(socket.AF_INET, ("127.0.0.1", nobody)), (socket.AF_INET, ("127.0.0.1", port))]

        monkeypatch.setattr("audio_connector.wire.picows.addresses_of", both)
        async with joined(SMALL, dialled="localhost") as (server, router):
            router.transport.send_text("reached")
            await until(lambda: server.messages, "the text")


async def test_what_cannot_be_reached_is_said_as_without_a_small_buffer() -> None:
    with refusing() as port:
        url = f"ws://127.0.0.1:{port}/"
        texts = []
        for limits in (WireLimits(), SMALL):
            with pytest.raises(DialError) as caught:
                await dial(url, End(), limits=limits)
            texts.append(str(caught.value))
    assert texts[0] == texts[1] == f"{url} cannot be reached: Connection refused"
    with pytest.raises(DialError, match="the host is not known"):
        await dial("ws://nobody.invalid/", End(), limits=SMALL)


@pytest.mark.parametrize(
    ("bytes_sent", "code"),
    [
        (b"\x88\x02\x03\xed", 1002),  # a close frame with 1005
        (b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1009),
        (b"\x85\x00", 1002),
    ],
)
async def test_a_fault_of_the_server_is_told_and_not_logged_as_lost(bytes_sent: bytes, code: int) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def end_by_fault() -> Closed:
        async with joined() as (server, router):
            server.transport.write_raw(bytes_sent)
            await until(lambda: router.closed, "the end")
            return router.closed[0]

    closed = await end_by_fault()
    assert (closed.code, closed.closed_by) == (code, "us")
    for _ in range(3):
        await asyncio.sleep(0.01)
        gc.collect()  # what nobody took is told of when it is forgotten
    assert complaints == []
