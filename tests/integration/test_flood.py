# SPDX-License-Identifier: Apache-2.0
"""A peer that sends as fast as it can is read later, and closed where it sends nothing; who has a reason is heard."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.ends import port_at
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
    first_message,
    request,
)
from support.serving import Listener, certificates, echo, serving, tls_client, until, warnings_of

from audio_connector import Limits
from audio_connector.errors import LimitError
from audio_connector.wire import budget
from audio_connector.wire.picows import READ_BYTES

pytestmark = pytest.mark.programs

FLOODS: dict[str, tuple[list[Frame], Frame]] = {
    "empty pings": ([], Frame(PING, b"")),
    "long pings": ([], Frame(PING, b"p" * 125)),
    "pongs": ([], Frame(PONG, b"")),
    "audio of two bytes": ([], Frame(BINARY, b"ab")),
    "empty audio": ([], Frame(BINARY, b"")),
    "short texts": ([], Frame(TEXT, b"{}")),
    "fragments of two bytes": ([Frame(BINARY, b"ab", fin=False)], Frame(CONTINUATION, b"ab", fin=False)),
    "empty continuations": ([Frame(TEXT, b"", fin=False)], Frame(CONTINUATION, b"", fin=False)),
}


async def close_frame_of(peer: BarePeer) -> Frame:
    frame = await peer.frame()
    while frame.opcode != CLOSE:
        frame = await peer.frame()
    return frame


@pytest.mark.thread
@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_closed_and_told_once(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(budget, "MAX_EMPTY", 100)
    caplog.set_level(logging.INFO)
    first, again = FLOODS[name]
    listener = Listener()
    async with serving(listener) as handle, bare(handle.get_address()) as peer:
        heard = await listener.call()
        peer.send(*first)
        peer.write(again.encode() * 400)
        frame = await close_frame_of(peer)
        assert (frame.code, frame.reason) == budget_close()
        peer.send(Frame(CLOSE, frame.payload))
        await peer.rest()
        await listener.ended()
        assert (heard.end.code, heard.end.closed_by) == (1008, "server")
        assert [type(error) for error in heard.errors] == [LimitError]
        assert "closed with 1008" in str(heard.errors[0])
    assert warnings_of(caplog) == []
    assert len([record for record in caplog.records if record.name.startswith("audio_connector")]) == 2


def budget_close() -> tuple[int, str]:
    return 1008, "frames that bring nothing, far more than a call has"


async def test_a_flood_ends_within_seconds_where_the_sockets_have_a_process_too() -> None:
    """With the real limits."""
    listener = Listener()
    async with (
        serving(listener, isolation="process") as handle,
        bare(handle.get_address()) as peer,
    ):
        heard = await listener.call()
        peer.write(Frame(PING, b"").encode() * (budget.MAX_EMPTY + 500))
        assert (await close_frame_of(peer)).code == 1008
        await listener.ended()
        assert [type(error) for error in heard.errors] == [LimitError]


@pytest.mark.thread
async def test_a_peer_that_does_not_stop_is_dropped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_EMPTY", 100)
    listener = Listener()
    async with serving(listener, timeouts={"close_s": 0.2}) as handle, bare(handle.get_address()) as peer:
        while not listener.calls or not listener.calls[0].ends:
            peer.write(Frame(PING, b"").encode() * 200)
            await asyncio.sleep(0.01)
        await until(lambda: len(handle.connections) == 0, "the end")


@pytest.mark.thread
async def test_who_was_stalled_is_heard_to_the_last_frame_in_order() -> None:
    """Half a minute of audio with texts in between, at once."""
    sent: list[bytes | str] = []
    for at in range(1500):
        sent.append(at.to_bytes(4, "big") + FRAME[4:])
        if not at % 100:
            sent.append(f'{{"event":"stream:{at}"}}')
    raw = b"".join(
        Frame(TEXT, message.encode()).encode()
        if isinstance(message, str)
        else Frame(BINARY, message).encode()
        for message in sent
    )
    listener = Listener()
    async with (
        serving(listener, intake={"max_buffer_ms": 60_000}) as handle,
        bare(handle.get_address()) as peer,
    ):
        heard = await listener.call()
        begun = asyncio.get_running_loop().time()
        peer.write(raw)
        await until(lambda: len(heard.messages) == len(sent), "all of it")
        assert asyncio.get_running_loop().time() - begun > 1000 / budget.BACKLOG_PER_S, "read at a pace"
        assert heard.messages == sent
        assert heard.errors == []


@pytest.mark.thread
async def test_others_are_read_meanwhile() -> None:
    """Who has sent what takes seconds to be read holds up nobody, although both are on one loop."""
    async with (
        serving(echo) as handle,
        bare(handle.get_address()) as greedy,
        bare(handle.get_address()) as good,
    ):
        good.send(Frame(TEXT, first_message().encode()))
        greedy.write(Frame(PING, b"").encode() * 2000)
        waits = []
        for at in range(50):
            begun = asyncio.get_running_loop().time()
            good.send(Frame(PING, b"%d" % at))
            frame = await good.frame()
            while frame.payload != b"%d" % at:
                frame = await good.frame()
            waits.append(asyncio.get_running_loop().time() - begun)
            await asyncio.sleep(0.01)
        assert sorted(waits)[40] < 0.1


@pytest.mark.thread
async def test_what_comes_with_the_request_is_read_at_the_same_pace() -> None:
    """The gate has read all of it at once; nothing of it is lost."""
    raw = request(UPGRADE) + b"".join(Frame(BINARY, b"%04d" % at + FRAME[4:]).encode() for at in range(150))
    raw += Frame(PING, b"last").encode()
    listener = Listener()
    async with (
        serving(listener, intake={"max_buffer_ms": 60_000}) as handle,
        bare(handle.get_address(), raw) as peer,
    ):
        assert (await peer.answer()).status == 101
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 150, "all of it")
        assert [int(message[:4]) for message in heard.audio] == list(range(150))
        frame = await peer.frame()
        assert (frame.opcode, frame.payload) == (PONG, b"last")


@tls_client
@pytest.mark.parametrize("size_bytes", [640, 60_000])
async def test_over_tls_nothing_is_lost_where_it_is_read_later(size_bytes: int) -> None:
    """The socket library fails where it is stopped with a full buffer of TLS, and then reads on."""
    contexts = certificates()
    count = 400 * 640 // size_bytes + 30
    async with (
        port_at(ssl_context=contexts.server) as port,
        bare(port.address(), ssl_context=contexts.client) as peer,
    ):
        end = port.ends[0]
        for at in range(count):
            peer.send(Frame(BINARY, at.to_bytes(4, "big") + bytes(size_bytes - 4)))
        await until(lambda: len(end.messages) == count, "all of it")
        assert [int.from_bytes(message[:4], "big") for message in end.messages] == list(range(count))  # type: ignore[arg-type]
        assert end.closed == []


@tls_client
async def test_audio_that_has_gathered_is_no_flood_however_tls_frames_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 8 kHz eleven records come in one read, where a client writes the head of each frame apart."""
    monkeypatch.setattr(budget, "MAX_EMPTY", 200)
    contexts = certificates()
    async with (
        port_at(ssl_context=contexts.server) as port,
        bare(port.address(), ssl_context=contexts.client) as peer,
    ):
        end = port.ends[0]
        for _ in range(1000):
            frame = Frame(BINARY, bytes(320)).encode()
            peer.write(frame[:8])
            peer.write(frame[8:])
        await until(lambda: len(end.messages) == 1000 or end.closed, "all of it")
        assert end.closed == []


async def test_it_is_not_read_while_either_of_two_has_stopped_it() -> None:
    async with port_at() as port, bare(port.address()) as peer:
        end = port.ends[0]
        peer.write(Frame(BINARY, FRAME).encode() * 400)
        await until(lambda: len(end.messages) > 200, "more than it has of its own")
        end.transport.pause_reading()
        seen = len(end.messages)
        await asyncio.sleep(0.2)
        assert len(end.messages) <= seen + READ_BYTES // len(FRAME) + 1, "although its budget allows for more"
        end.transport.resume_reading()
        await until(lambda: len(end.messages) == 400, "the rest")


async def test_pings_of_a_peer_that_has_gone_write_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """The socket library has a warning for each answer."""
    listener = Listener()
    async with serving(listener) as handle:
        for at in range(5):
            async with bare(handle.get_address()) as peer:
                peer.write(Frame(PING, b"").encode() * 300)
                await peer.drain()
                peer.reset()
            await listener.ended(at)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_text_over_the_limit_is_closed_and_told() -> None:
    listener = Listener()
    async with (
        serving(listener, limits=Limits(max_text_bytes=2000), timeouts={"close_s": 0.1}) as handle,
        bare(handle.get_address()) as peer,
    ):
        heard = await listener.call()
        peer.send(Frame(TEXT, b"x" * 2000), Frame(BINARY, bytes(3000)))
        await until(lambda: len(heard.messages) == 2, "both, of exactly the limit and of audio")
        peer.send(Frame(TEXT, b"x" * 1000, fin=False), Frame(CONTINUATION, b"x" * 1001, fin=False))
        frame = await close_frame_of(peer)
        assert (frame.code, frame.reason) == (1009, "text too big")
        await listener.ended()
        (error,) = heard.errors
        assert isinstance(error, LimitError)
        assert "Limits.max_text_bytes" in str(error)
        await until(lambda: handle.refusals == {"max_text_bytes": 1}, "the count")
