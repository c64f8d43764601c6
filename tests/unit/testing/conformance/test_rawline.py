# SPDX-License-Identifier: Apache-2.0
"""The client that sees every byte: upgrades, frames right and wrong, closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from support.foreign_bots import EchoBot, changed, plain_frame, serving_bot
from support.serving import BOTH_LOOPS, certificates, tls_client, until

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import DialError
from audio_connector.testing.conformance.caller import Caller
from audio_connector.testing.conformance.rawdial import ask_plain, dial_raw
from audio_connector.testing.conformance.rawline import (
    BINARY,
    CONTINUATION,
    MOST_MESSAGE_BYTES,
    TEXT,
    RawLine,
    close_payload,
    encode_frame,
)
from audio_connector.wire.transport import Closed

FRAME = bytes(range(1, 129)) * 5


def new_caller() -> Caller:
    return Caller(AudioFormat(16000), clock=asyncio.get_running_loop().time)


@asynccontextmanager
async def dialled(url: str) -> AsyncIterator[tuple[Caller, RawLine]]:
    caller = new_caller()
    line = await dial_raw(url, caller)
    try:
        yield caller, line
    finally:
        line.abort()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that answers each request in the same way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@BOTH_LOOPS
@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1 << 20])
async def test_messages_of_every_size_come_back(size: int) -> None:
    class Exact(EchoBot):
        async def on_audio(self, frame: bytes) -> None:
            await self.connection.send(frame)

    async with serving_bot(Exact, max_size=None) as url, dialled(url) as (caller, line):
        line.send_audio(bytes(size))
        await until(lambda: caller.audio.sizes[size], "the echo")
        assert line.faults == []
        assert line.fragmented == 0


@BOTH_LOOPS
async def test_fragments_are_sent_and_seen() -> None:
    def in_two(opcode: int, payload: bytes) -> bytes:
        return (
            plain_frame(opcode, payload[:5], fin=False) + plain_frame(0, payload[5:]) if opcode == 2 else b""
        )

    async with serving_bot(EchoBot) as url, changed(url, in_two) as proxy, dialled(proxy) as (caller, line):
        line.write_raw(encode_frame(BINARY, FRAME[:10], fin=False) + encode_frame(CONTINUATION, FRAME[10:]))
        await until(lambda: caller.audio.messages, "the echo")
        assert (line.fragmented, line.faults) == (1, [])
        assert caller.audio.first_head == FRAME[:48]


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (lambda frame: encode_frame(BINARY, b"ab"), "a masked frame"),
        (lambda frame: bytes([frame[0] | 0x40]) + frame[1:], "a frame with the reserved bits 100"),
        (lambda frame: plain_frame(5, b"ab"), "a frame of the unknown kind 5"),
        (lambda frame: plain_frame(0, b"ab"), "a continuation of nothing"),
        (lambda frame: plain_frame(9, bytes(126)), "a control frame that is fragmented or too long"),
    ],
)
async def test_what_no_server_may_send_is_noted(wrong: Callable[[bytes], bytes], fault: str) -> None:
    def change(opcode: int, payload: bytes) -> bytes:
        return wrong(plain_frame(opcode, payload)) if opcode == 2 else plain_frame(opcode, payload)

    async with serving_bot(EchoBot) as url, changed(url, change) as proxy, dialled(proxy) as (_, line):
        line.send_audio(FRAME)
        await until(lambda: line.faults, "the fault")
        assert line.faults == [fault]


@BOTH_LOOPS
@pytest.mark.parametrize(
    "endless",
    [
        b"\x82\x7f" + (1 << 62).to_bytes(8, "big"),  # one frame that never ends
        plain_frame(BINARY, bytes(MOST_MESSAGE_BYTES), fin=False)
        + plain_frame(CONTINUATION, b"a", fin=False),
    ],
)
async def test_a_server_whose_message_never_ends_is_left(endless: bytes) -> None:
    def change(opcode: int, payload: bytes) -> bytes:
        return endless if opcode == 2 else plain_frame(opcode, payload)

    async with serving_bot(EchoBot) as url, changed(url, change) as proxy, dialled(proxy) as (caller, line):
        line.send_audio(FRAME)
        await until(lambda: caller.closed, "the end")
        assert line.faults == ["a message of more than 1,048,576 bytes"]
        assert caller.audio.messages == 0


@BOTH_LOOPS
async def test_of_many_faults_the_first_are_kept() -> None:
    def change(opcode: int, payload: bytes) -> bytes:
        return plain_frame(5, b"") * 1000 if opcode == 2 else plain_frame(opcode, payload)

    async with serving_bot(EchoBot) as url, changed(url, change) as proxy, dialled(proxy) as (caller, line):
        line.send_audio(FRAME)
        await until(lambda: line.faults, "the faults")
        await caller.pings("after many faults", within_s=5.0)
        assert len(line.faults) == 20


@BOTH_LOOPS
async def test_it_closes_with_any_payload_and_reads_the_answer() -> None:
    async with serving_bot(EchoBot) as url, dialled(url) as (caller, line):
        line.send_close(close_payload(4321, "ä"))
        line.send_audio(FRAME)  # nothing after a close frame
        await until(lambda: caller.closed, "the end")
        assert line.close_payload == close_payload(4321, "ä")
        assert caller.closed == Closed(4321, "ä", closed_by="us")
        assert caller.audio.messages == 0


@BOTH_LOOPS
async def test_a_close_of_the_server_is_answered_and_told() -> None:
    class Leaves(EchoBot):
        async def on_connect(self) -> None:
            await self.connection.close(4000, "bye")

    async with serving_bot(Leaves) as url, dialled(url) as (caller, line):
        await until(lambda: caller.closed, "the end")
        assert caller.closed == Closed(4000, "bye", closed_by="peer")
        assert line.close_payload == close_payload(4000, "bye")


@BOTH_LOOPS
async def test_an_end_without_a_close_frame_is_1006() -> None:
    class Breaks(EchoBot):
        async def on_connect(self) -> None:
            self.connection.transport.abort()

    async with serving_bot(Breaks) as url, dialled(url) as (caller, line):
        await until(lambda: caller.closed, "the end")
        assert caller.closed == Closed(1006, "", closed_by="network")
        line.reset()  # no harm
        assert line.is_ended


@BOTH_LOOPS
async def test_a_paused_line_reads_nothing_and_loses_nothing() -> None:
    async with serving_bot(EchoBot) as url, dialled(url) as (caller, line):
        line.pause_reading()
        line.send_audio(FRAME)
        line.send_text("{}")
        await asyncio.sleep(0.05)
        assert caller.audio.messages == 0
        line.resume_reading()
        await until(lambda: caller.audio.messages, "the echo")


@BOTH_LOOPS
@tls_client
async def test_tls_works_and_knows_no_half_of_a_connection() -> None:
    context = certificates()
    async with serving_bot(EchoBot, ssl=context.server) as url:
        caller = new_caller()
        line = await dial_raw(url.replace("ws:", "wss:"), caller, ssl_context=context.client)
        line.send_audio(FRAME)
        await until(lambda: caller.audio.messages, "the echo")
        assert not line.end_stream()
        line.abort()
        await until(lambda: caller.closed, "the end")


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered with HTTP 404 instead of 101"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "answered with HTTP 0 instead of 101"),
        ("HTTP/1.1 ²²² Odd\r\n\r\n".encode("latin-1"), "answered with HTTP 0 instead of 101"),
        (b"HTTP/1.1 " + b"1" * 5000 + b" Odd\r\n\r\n", "answered with HTTP 0 instead of 101"),
        (b"", "hung up instead of 101"),
        (b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: AAAA\r\n\r\n", "wrong Sec-WebSocket-Accept"),
    ],
)
async def test_an_upgrade_that_is_not_taken_is_a_dial_error(answer: bytes, fault: str) -> None:
    async with answering(answer) as url:
        with pytest.raises(DialError, match=fault):
            await dial_raw(url, new_caller())


@BOTH_LOOPS
async def test_nobody_there_and_nobody_answering_are_dial_errors() -> None:
    async with answering(b"") as url:
        pass
    with pytest.raises(DialError, match="cannot be reached"):
        await dial_raw(url, new_caller())

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(DialError, match=r"did not answer within 0\.05 s"):
            await dial_raw(url, new_caller(), timeout_s=0.05)


@BOTH_LOOPS
async def test_a_plain_request_gets_the_plain_answer() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello") as url:
        response = await ask_plain(url, new_caller(), ssl_context=None, timeout_s=1.0)
    assert response is not None
    assert (response.status, response.headers["x-a"]) == (200, "1, 2")
    async with answering(b"") as url:
        assert await ask_plain(url, new_caller(), ssl_context=None, timeout_s=1.0) is None


def test_a_frame_is_masked_as_a_client_has_to() -> None:
    frame = encode_frame(TEXT, b"hello")
    assert (frame[0], frame[1], len(frame)) == (0x81, 0x85, 11)
    assert bytes(byte ^ frame[2 + at % 4] for at, byte in enumerate(frame[6:])) == b"hello"
    assert encode_frame(TEXT, b"hello", mask=False, fin=False, rsv=4) == b"\x41\x05hello"


async def test_it_can_be_disowned_and_knows_who_has_closed_it() -> None:
    async with serving_bot(EchoBot) as url, dialled(url) as (caller, line):
        line.disown()
        line.send_audio(FRAME)
        line.close()
        assert line.closed_by == "us"
        await until(lambda: line.is_ended, "the end")
        assert caller.audio.messages == 0
