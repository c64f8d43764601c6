# SPDX-License-Identifier: Apache-2.0
"""The WebSocket itself, byte by byte: what a peer may do, and what happens where it does what it may not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.peers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FRAME,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    BarePeer,
    Frame,
    bare,
    calling,
    close_frame,
    first_message,
    how_closed,
    request,
)
from support.serving import DEADLINE_S, Listener, serving, traces_of, until, warnings_of

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorServerHandle,
    Disconnected,
    Limits,
    Timeouts,
)
from audio_connector.server.link import Link

LIMIT = Limits().max_message_bytes
TEXT_LIMIT = Limits().max_text_bytes
HALF = LIMIT // 2


@asynccontextmanager
async def on_the_line(
    **options: object,
) -> AsyncIterator[tuple[AudioConnectorServerHandle, Listener, BarePeer]]:
    """A listening application and a bare peer that is connected to it."""
    listener = Listener()
    async with serving(listener, **options) as handle, bare(handle.get_address()) as peer:
        yield handle, listener, peer


# The upgrade.


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, "a plain one"),
        ({"Connection": "keep-alive, Upgrade"}, "Firefox"),
        ({"Connection": "UPGRADE"}, "upper case"),
        ({"Upgrade": "WebSocket"}, "mixed case"),
        ({"Sec-WebSocket-Protocol": "WSBRIDGE"}, "the subprotocol of the router's ancestor"),
        ({"Sec-WebSocket-Protocol": "a, b"}, "any subprotocol"),
        ({"Origin": "http://somewhere.example"}, "any origin"),
        ({"Origin": "null"}, "no origin"),
        ({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}, "compression"),
        ({"Host": "whatever.example:99"}, "any host"),
        ({"Authorization": "Bearer x" * 200}, "a long header"),
        ({"X-Name": "Zo\xc3\xab"}, "bytes beyond ASCII"),
        ({"Content-Length": "0"}, "an empty body"),
    ],
)
async def test_an_upgrade_is_taken(changes: dict[str, str], what: str) -> None:
    async with serving() as handle, bare(handle.get_address(), request({**UPGRADE, **changes})) as peer:
        answer = await peer.answer()
        assert answer.status == 101, what
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in answer.headers
        assert "sec-websocket-protocol" not in answer.headers


async def test_two_connection_headers() -> None:
    pairs = [*UPGRADE.items(), ("Connection", "keep-alive")]
    async with serving() as handle, bare(handle.get_address(), request(pairs)) as peer:
        assert (await peer.answer()).status == 101


BAD_REQUEST = "This is not a valid HTTP request (RFC 9112).\n"
TOO_LARGE = "The head of this request is too large.\n"
BAD_UPGRADE = "This WebSocket upgrade request is not valid (RFC 6455 4.2.1).\n"
WHAT_THIS_IS = "This is an Audio Connector server: it speaks WebSocket only. Connect with ws:// or wss://.\n"


@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"Upgrade": None, "Connection": None}, 426, WHAT_THIS_IS),
        ({"Upgrade": "h2c"}, 426, WHAT_THIS_IS),
        ({"Connection": "keep-alive"}, 400, BAD_UPGRADE),
        ({"Connection": None}, 400, BAD_UPGRADE),
        ({"Sec-WebSocket-Key": None}, 400, BAD_UPGRADE),
        ({"Sec-WebSocket-Key": "short"}, 400, BAD_UPGRADE),
        ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=\xe9"}, 400, BAD_UPGRADE),
        ({"Sec-WebSocket-Key": "!" * 22 + "=="}, 400, BAD_UPGRADE),
        ({"Sec-WebSocket-Version": "8"}, 426, BAD_UPGRADE),
        ({"Sec-WebSocket-Version": None}, 426, BAD_UPGRADE),
    ],
)
async def test_a_broken_upgrade_is_refused(changes: dict[str, str | None], status: int, body: str) -> None:
    headers = {name: value for name, value in {**UPGRADE, **changes}.items() if value is not None}
    async with serving() as handle, bare(handle.get_address(), request(headers)) as peer:
        answer = await peer.answer()
        assert (answer.status, answer.body) == (status, body)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        if status == 426:
            assert {"upgrade", "sec-websocket-version"} & set(answer.headers)
        assert len(handle.connections) == 0


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (request(UPGRADE, "HEAD / HTTP/1.1"), 426, ""),
        (request(UPGRADE, "POST / HTTP/1.1"), 405, WHAT_THIS_IS),
        (request(UPGRADE, "GET / HTTP/1.0"), 426, WHAT_THIS_IS),
        (request(UPGRADE, "GET /with a blank HTTP/1.1"), 400, BAD_REQUEST),
        (request(UPGRADE, "nonsense"), 400, BAD_REQUEST),
        (request({**UPGRADE, "Bad Name": "secret-in-a-header"}), 400, BAD_REQUEST),
        (request({**UPGRADE, "X": "control\x01character"}), 400, BAD_REQUEST),
        (request({**UPGRADE, "Content-Length": "5"}) + b"12345", 400, BAD_REQUEST),
        (request({**UPGRADE, "Transfer-Encoding": "chunked"}), 400, BAD_REQUEST),
        (request([*UPGRADE.items(), *((f"x-{at}", "y") for at in range(300))]), 431, TOO_LARGE),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, BAD_REQUEST),
    ],
    ids=lambda value: value[:14].decode("latin-1") if isinstance(value, bytes) else "",
)
async def test_what_is_no_upgrade_is_answered_with_our_text(raw: bytes, status: int, body: str) -> None:
    async with serving() as handle, bare(handle.get_address(), raw) as peer:
        answer = await peer.answer()
        assert (answer.status, answer.body) == (status, body)


async def test_refused_upgrades_leave_nothing() -> None:
    bad = request({**UPGRADE, "Sec-WebSocket-Key": "x"})
    async with serving(timeouts=Timeouts(handshake_s=0.2)) as handle:
        for _ in range(5):
            async with bare(handle.get_address(), bad) as peer:
                await peer.answer()
            async with bare(handle.get_address(), request(UPGRADE)[:-4]) as peer:
                peer.reset()
        async with bare(handle.get_address(), b"GET / HT") as idle:
            assert await idle.rest() == b""  # cut off at the deadline
        assert traces_of(Link) == 0


async def test_a_huge_request_is_cut_off() -> None:
    async with (
        serving() as handle,
        bare(handle.get_address(), b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000) as peer,
    ):
        assert b"101" not in await peer.rest()


async def test_what_is_sent_together_with_the_request_is_heard() -> None:
    listener = Listener()
    raw = request(UPGRADE) + Frame(TEXT, first_message().encode()).encode() + Frame(BINARY, FRAME).encode()
    async with serving(listener) as handle, bare(handle.get_address(), raw):
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 2, "both messages")
        assert heard.messages == [first_message(), FRAME]


# Messages.


async def test_fragments_are_joined() -> None:
    async with on_the_line() as (_, listener, peer):
        peer.send(Frame(BINARY, FRAME[:100], fin=False), Frame(PING, b"between"))
        peer.send(Frame(CONTINUATION, b"", fin=False), Frame(CONTINUATION, FRAME[100:]))
        peer.send(Frame(TEXT, '{"name":"Zo\xeb"}'.encode()[:11], fin=False))
        peer.send(Frame(CONTINUATION, '{"name":"Zo\xeb"}'.encode()[11:]))  # cut inside a character
        peer.send(Frame(TEXT, b"", fin=False), Frame(CONTINUATION, b""))
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 3, "all messages")
        assert heard.messages == [FRAME, '{"name":"Zo\xeb"}', ""]
        assert await peer.frame() == Frame(PONG, b"between")


async def test_frames_may_come_in_any_pieces() -> None:
    async with on_the_line() as (_, listener, peer):
        data = Frame(BINARY, FRAME).encode() + Frame(TEXT, b"{}").encode()
        for at in range(0, len(data), 7):
            peer.write(data[at : at + 7])
            await peer.drain()
            await asyncio.sleep(0)
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 2, "both messages")
        assert heard.messages == [FRAME, "{}"]


async def test_a_message_of_exactly_the_limit_is_taken() -> None:
    async with on_the_line() as (_, listener, peer):
        peer.send(Frame(BINARY, bytes(LIMIT)), Frame(TEXT, b"x" * (TEXT_LIMIT - 1), fin=False))
        peer.send(Frame(CONTINUATION, b"x"))
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 2, "both messages")
        assert heard.messages == [bytes(LIMIT), "x" * TEXT_LIMIT]


FAULTS: dict[str, tuple[int, list[bytes]]] = {
    "a frame over the limit": (1009, [Frame(BINARY, bytes(LIMIT + 1)).encode()]),
    "a text over the limit": (1009, [Frame(TEXT, b"x" * (TEXT_LIMIT + 1)).encode()]),
    "fragments over the limit": (
        1009,
        [
            Frame(BINARY, bytes(HALF), fin=False).encode(),
            Frame(CONTINUATION, bytes(HALF), fin=False).encode(),
            Frame(CONTINUATION, b"x").encode(),
        ],
    ),
    "a length of more than 63 bits": (1002, [b"\x82\xff" + b"\xff" * 8 + b"abcd"]),
    "a length in too many bytes": (1002, [b"\x82\xfe\x00\x05abcd12345"]),
    "bad UTF-8": (1007, [Frame(TEXT, b"\xff\xfe").encode()]),
    "bad UTF-8 over fragments": (
        1007,
        [Frame(TEXT, b"\xc3", fin=False).encode(), Frame(CONTINUATION, b"(").encode()],
    ),
    "half a surrogate": (1007, [Frame(TEXT, b"\xed\xa0\x80").encode()]),
    "a stray continuation": (1002, [Frame(CONTINUATION, FRAME).encode()]),
    "a second message inside the first": (
        1002,
        [Frame(BINARY, FRAME, fin=False).encode(), Frame(BINARY, FRAME).encode()],
    ),
    "reserved bit 1": (1002, [Frame(BINARY, FRAME, rsv=4).encode()]),
    "reserved bit 2": (1002, [Frame(TEXT, b"{}", rsv=2).encode()]),
    "reserved bit 3 in a fragment": (1002, [Frame(BINARY, FRAME, fin=False, rsv=1).encode()]),
    "without a mask": (1002, [Frame(BINARY, FRAME).encode(mask=False)]),
    "opcode 3": (1002, [Frame(3, b"").encode()]),
    "opcode 11": (1002, [Frame(11, b"").encode()]),
    "a fragmented ping": (1002, [Frame(PING, b"", fin=False).encode()]),
    "a long ping": (1002, [Frame(PING, b"x" * 126).encode()]),
    "a close frame of one byte": (1002, [Frame(CLOSE, b"\x03").encode()]),
    "close code 999": (1002, [close_frame(999).encode()]),
    "close code 1005": (1002, [close_frame(1005).encode()]),
    "reserved bits on a ping": (1002, [Frame(PING, b"", rsv=1).encode()]),
    "a close reason of bad UTF-8": (1007, [Frame(CLOSE, b"\x03\xe8\xff").encode()]),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_peer_that_breaks_the_protocol_is_closed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    code, writes = FAULTS[name]
    async with on_the_line() as (handle, listener, peer):
        heard = await listener.call()
        peer.send(Frame(BINARY, FRAME))
        await until(lambda: heard.messages, "the message before")
        for data in writes:
            peer.write(data)
        peer.send(Frame(BINARY, FRAME))
        frame = await peer.frame()
        assert (frame.opcode, frame.code) == (CLOSE, code)
        assert len(frame.payload) <= 125
        peer.send(close_frame(code))
        assert await peer.rest() == b""
        await listener.ended()
        assert heard.messages == [FRAME]  # neither the faulty one nor what came after it
        assert (heard.end.code, heard.end.closed_by) == (code, "server")
        await until(lambda: len(handle.connections) == 0, "the end")
    assert warnings_of(caplog) == []  # nobody from outside writes our log


async def test_the_limit_can_be_set() -> None:
    async with on_the_line(limits=Limits(max_message_bytes=2000)) as (_, listener, peer):
        heard = await listener.call()
        peer.send(Frame(BINARY, bytes(2000)))
        await until(lambda: heard.messages, "the message of 2000 bytes")
        peer.send(Frame(BINARY, bytes(2001)))
        assert (await peer.frame()).code == 1009
        assert [len(message) for message in (await listener.ended()).messages] == [2000]


# The end.


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (close_frame(1000), 1000, ""),
        (close_frame(1001, "the room is closed"), 1001, "the room is closed"),
        (close_frame(4001, "\xfc" * 61), 4001, "\xfc" * 61),
        (close_frame(3000), 3000, ""),
        (close_frame(None), 1005, ""),
    ],
)
async def test_the_peer_closes(sent: Frame, code: int, reason: str) -> None:
    async with on_the_line() as (_, listener, peer):
        await listener.call()
        peer.send(Frame(BINARY, FRAME), sent, Frame(BINARY, FRAME))
        answer = await peer.frame()
        assert (answer.opcode, answer.code) == (CLOSE, 1000 if code == 1005 else code)
        assert await peer.rest() == b""  # and the server closes TCP first
        heard = await listener.ended()
        assert heard.end == Disconnected(code=code, reason=reason, closed_by="router")
        assert heard.messages == [FRAME]


@pytest.mark.parametrize("how", ["shut", "reset"])
@pytest.mark.parametrize("goodbye", [True, False])
async def test_the_peer_vanishes(how: str, goodbye: bool) -> None:
    async with on_the_line() as (_, listener, peer):
        heard = await listener.call()
        if goodbye:
            peer.send(Frame(TEXT, b' {"event":"websocket:disconnected","method":"delete"}'))
            await until(lambda: heard.messages, "the goodbye")
        getattr(peer, how)()
        await listener.ended()
        if goodbye:
            assert heard.end == Disconnected(code=1006, reason="websocket:disconnected", closed_by="router")
        else:
            assert heard.end == Disconnected(code=1006, reason="", closed_by="network")


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1011, "oh"), (4999, "\xfc" * 61 + "x"), (3000, "done")]
)
async def test_the_server_closes(code: int, reason: str) -> None:
    async with on_the_line() as (_, listener, peer):
        heard = await listener.call()
        closing = asyncio.ensure_future(heard.client.close(code, reason))
        frame = await peer.frame()
        assert (frame.opcode, frame.code, frame.reason) == (CLOSE, code, reason)
        peer.send(Frame(BINARY, FRAME), Frame(TEXT, b"{}"), close_frame(code))
        assert await peer.rest() == b""
        await asyncio.wait_for(closing, DEADLINE_S)
        await listener.ended()
        assert heard.end == Disconnected(code=code, reason=reason, closed_by="server")
        assert heard.messages == []  # after our close frame nothing is delivered


async def test_both_close_at_once() -> None:
    async with on_the_line() as (_, listener, peer):
        heard = await listener.call()
        heard.client.disconnect()
        peer.send(close_frame(1001, "mine"))
        assert (await peer.frame()).opcode == CLOSE
        assert await peer.rest() == b""
        await listener.ended()
        assert (heard.end.code, heard.end.closed_by) in ((1000, "server"), (1001, "router"))


async def test_a_close_frame_without_answer_has_a_deadline() -> None:
    async with on_the_line(timeouts=Timeouts(close_s=0.1)) as (_, listener, peer):
        heard = await listener.call()
        begun = asyncio.get_running_loop().time()
        await heard.client.close(1000, after_playback=False)
        assert 0.08 < asyncio.get_running_loop().time() - begun < 1
        assert (await peer.frame()).code == 1000
        assert await peer.rest() == b""
        assert (await listener.ended()).end == Disconnected(code=1000, reason="", closed_by="server")


async def test_nothing_follows_our_close_frame() -> None:
    """The application goes on speaking, a frame at a time, since nobody has told it yet."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        while True:
            await client.send_audio_buffer(FRAME)
            await asyncio.sleep(0.018)

    async with (
        serving(on_connect, timeouts=Timeouts(stop_s=0.3)) as handle,
        bare(handle.get_address()) as peer,
    ):
        peer.send(Frame(TEXT, first_message().encode()))
        for _ in range(10):
            await peer.frame()
        stopping = asyncio.ensure_future(handle.stop())
        frame = await peer.frame()
        while frame.opcode == BINARY:
            frame = await peer.frame()
        assert frame.code == 1001
        assert await peer.rest() == b""
        await stopping


async def test_pings_are_answered_in_order() -> None:
    async with on_the_line() as (_, _, peer):
        peer.send(Frame(PING, b"one"), Frame(BINARY, FRAME), Frame(PING, b""), Frame(PING, b"x" * 125))
        assert await peer.frame() == Frame(PONG, b"one")
        assert await peer.frame() == Frame(PONG, b"")
        assert await peer.frame() == Frame(PONG, b"x" * 125)
        peer.send(Frame(PONG, b"nobody asked"), Frame(PING, b"still here"))
        assert await peer.frame() == Frame(PONG, b"still here")


async def test_our_pings_measure_and_end_what_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    timeouts = Timeouts(ping_interval_s=0.05, ping_timeout_s=0.2, close_s=0.1)
    async with on_the_line(timeouts=timeouts) as (_, listener, peer):
        heard = await listener.call()
        frame = await peer.frame()
        assert frame.opcode == PING
        assert heard.client.statistics().round_trip_ms is None
        peer.send(Frame(PONG, frame.payload))
        await until(lambda: heard.client.statistics().round_trip_ms is not None, "the round trip")
        assert 0 <= (heard.client.statistics().round_trip_ms or 0) < 1000
        frame = await peer.frame()
        while frame.opcode == PING:
            frame = await peer.frame()
        assert (frame.code, frame.reason) == (1011, "keepalive ping timeout")
        await listener.ended()
        assert "answered no ping and sent nothing" in str(heard.errors[0])
        assert heard.order[-1] == "end"


# What our own mistakes look like from outside.


@pytest.mark.parametrize("is_async", [True, False])
async def test_on_connect_that_raises_closes_this_call_only(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()

    async def on_connect(client: AudioConnectorConnection) -> None:
        if client.path == "/bad":
            raise LookupError("the password is 1234")
        await listener(client)

    def plain(client: AudioConnectorConnection) -> object:
        if client.path == "/bad":
            raise LookupError("the password is 1234")
        return listener(client)

    async with (
        serving(on_connect if is_async else plain) as handle,
        calling(handle.get_address(), "/good"),
        bare(handle.get_address(), request(UPGRADE, "GET /bad HTTP/1.1")) as peer,
    ):
        await peer.answer()
        frame = await peer.frame()
        assert (frame.opcode, frame.code, frame.reason) == (CLOSE, 1011, "internal error")
        peer.send(close_frame(1011))
        assert await peer.rest() == b""
        assert (await listener.call()).ends == []
        await until(lambda: len(handle.connections) == 1, "the end of one call")
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 1
    assert (
        "on_connect raised LookupError('the password is 1234'); it is closed with 1011"
        in logged[0].getMessage()
    )
    assert logged[0].exc_info is not None
    assert isinstance(logged[0].exc_info[1], LookupError)


@pytest.mark.thread
async def test_no_exception_text_leaves_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library itself fails while it accepts."""

    def fail(*_: object) -> None:
        raise LookupError("the password is 1234")

    monkeypatch.setattr("audio_connector.server.link.Link.__init__", fail)
    async with serving() as handle, bare(handle.get_address(), request(UPGRADE)) as peer:
        answer = await peer.answer()
        assert (answer.status, answer.body) == (500, "This server cannot take the connection now.\n")


@pytest.mark.thread
async def test_a_failure_inside_closes_with_1011(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("the password is 1234")

    monkeypatch.setattr("audio_connector.server.link.Link.on_text", fail)
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address()) as caller:
        assert await how_closed(caller) == (1011, "internal error")
        heard = await listener.ended()
        assert (heard.end.code, heard.end.closed_by) == (1011, "server")
    assert len(warnings_of(caplog)) == 1
