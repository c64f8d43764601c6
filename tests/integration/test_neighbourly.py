# SPDX-License-Identifier: Apache-2.0
"""What one side does wrong, on real sockets: unread texts, slow readers, handlers that block or fail, forks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from pathlib import Path

import pytest
from support.ends import forked
from support.peers import calling, first_message
from support.serving import serving, until, warnings_of
from websockets.asyncio.client import connect

from audio_connector import AudioConnectorConnection, Disconnected, Played

MUTE = '{"event":"websocket:media:update","active":true}'


async def test_a_bot_that_takes_only_audio_is_sent_any_number_of_texts() -> None:
    heard = bytearray()

    async def listen(client: AudioConnectorConnection) -> None:
        async for frame in client.audio():
            heard.extend(frame)

    tasks: list[asyncio.Task[None]] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        tasks.append(asyncio.ensure_future(listen(client)))

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        for number in range(1500):
            await caller.send(MUTE)
            if number % 4 == 0:  # 7.5 s of audio: what is kept of it at most is 10 s
                await caller.send(bytes(640))
        await until(lambda: len(heard) == 375 * 640, "all audio")
        [client] = handle.connections.all()
        await until(lambda: client.statistics().text_messages_received == 1501, "the figures")
        assert caller.close_code is None
        assert client.statistics().unwanted_messages >= 400
    await asyncio.gather(*tasks)


async def test_a_clear_overtakes_what_a_slow_router_has_not_read() -> None:
    """A lead of 7.5 s: what waits is in the buffers of the sockets, and the rest is dropped."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_buffer_timing(active_seconds=7.5)
        await client.send_audio_buffer(b"\1\1" * 16000 * 20)

    async with serving(on_connect) as handle:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", handle.port))
        url = handle.get_address() + "/"
        async with connect(url, sock=narrow, compression=None, max_queue=1, proxy=None) as caller:
            await caller.send(first_message())
            await until(lambda: len(handle.connections) == 1, "the call")
            [client] = handle.connections.all()
            await until(lambda: client.statistics().stalls > 0, "a full buffer")
            await until(lambda: client.playback.queued_ms > 12_000, "a full queue")
            flushed = await client.flush_buffer()
            assert flushed.discarded_ms > 12_000
            stale = 0
            while isinstance(await caller.recv(), bytes):
                stale += 1
            assert stale * 20 < 4000  # of 7.5 s; 16 KiB, twice, are ours, the rest is the router's own
            await client.send_audio_buffer(b"\2\2" * 320, pad_last_frame=True)
            assert isinstance(await caller.recv(), str)
            assert await caller.recv() == b"\2\2" * 320


async def test_handlers_that_raise_on_every_message_leave_a_log_that_can_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled = 0

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_message(_: bytes | str) -> None:
            nonlocal handled
            handled += 1
            raise KeyError("boom")

        client.set_handler(on_message=on_message)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        for _ in range(150):
            await caller.send(bytes(640))
        await until(lambda: handled == 151, "all messages")
    lines = warnings_of(caplog)
    assert 1 <= len(lines) <= 3
    assert "on_message" in lines[0]
    assert "KeyError" in lines[0]
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    assert "150 more" in lines[-1]


async def test_an_upgrade_that_is_refused_leaves_a_line_that_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "audio_connector")
    async with serving() as handle:
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", handle.port)
            writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"426" in await reader.read()
            writer.close()
    lines = [record.getMessage() for record in caplog.records if "426" in record.getMessage()]
    assert "refused GET '/x' from 127.0.0.1 with 426" in lines[0]
    assert len(lines) <= 3


async def test_a_server_at_the_ipv6_wildcard_takes_calls_of_both_kinds() -> None:
    for host in ("::", ""):
        async with serving(lambda _: None, host=host) as handle:
            for address in ("127.0.0.1", "[::1]"):
                async with calling(f"ws://{address}:{handle.port}") as caller:
                    await (await caller.ping())


@pytest.mark.parametrize(("riff", "data"), [(0, 0), (36, 2 * 16000), (0xFFFFFFFF, 0xFFFFFFFF)])
async def test_a_wav_that_a_stream_has_written_is_played_whole(tmp_path: Path, riff: int, data: int) -> None:
    path, pcm, outcomes = tmp_path / "streamed.wav", b"\1\2" * 16000, []
    head = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", data
    )
    path.write_bytes(head + pcm)

    async def on_connect(client: AudioConnectorConnection) -> None:
        outcomes.append(await (await client.play(path)).finished())

    async with serving(on_connect) as handle, calling(handle.get_address()):
        await until(lambda: outcomes, "the end")
    assert outcomes == [Played(1000.0)]


async def test_an_application_that_blocks_for_each_frame_lets_its_handlers_run() -> None:
    """A microphone that is read with blocking calls."""
    heard: list[bytes | str] = []

    async def speak(client: AudioConnectorConnection) -> None:
        while True:
            time.sleep(0.02)  # noqa: ASYNC251 - this is what it is about
            await client.send_audio_buffer(bytes(640))

    tasks: list[asyncio.Task[None]] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=heard.append)
        tasks.append(asyncio.ensure_future(speak(client)))

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        for _ in range(10):
            await caller.send(bytes(640))
        await until(lambda: len(heard) == 11, "all messages", 5)
        tasks[0].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[0]


# A child.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("how", ["disconnect", "stop"])
async def test_a_child_keeps_no_call_open(how: str) -> None:
    ends: list[Disconnected] = []

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)

    async with serving(on_connect, timeouts={"close_s": 0.3}) as handle:
        reader, writer = await asyncio.open_connection("127.0.0.1", handle.port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: len(handle.connections) == 1, "the call")
        with forked():
            if how == "stop":
                await handle.stop()
                async with serving(port=handle.port):  # the port is free again
                    pass
            else:
                handle.connections.all()[0].disconnect()
            code = 1001 if how == "stop" else 1000
            close = await asyncio.wait_for(
                reader.read(), 5
            )  # to its end, although the child holds the socket
            assert close[2:4] == struct.pack(">H", code)
            await until(lambda: ends, "on_disconnect")
        writer.close()
    assert ends[0].closed_by == "server"
