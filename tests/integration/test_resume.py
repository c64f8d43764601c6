# SPDX-License-Identifier: Apache-2.0
"""A router whose connection breaks off and that dials again, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.audio import numbered, numbers_of
from support.ends import heed_interrupts, port_at
from support.peers import (
    BINARY,
    PING,
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
from support.serving import DEADLINE_S, Heard, Listener, serving, tls_client, until, warnings_of
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from audio_connector import AudioConnectorConnection, AudioConnectorServerHandle, Played
from audio_connector.wire.picows import dial
from audio_connector.wire.transport import Closed

IDS = {"x-opentok-ws-connectionid": "c1", "x-opentok-ws-sessionid": "s1"}
FRAMES = 40
SENTENCE = b"".join(numbered(1 + k, 640) for k in range(FRAMES))
IN_FLIGHT = 20
"""Frames that may be lost with a socket: a lead of 200 ms, a burst, and what neither kernel has handed on."""


class Bot(Listener):
    """Notes what it is told, and which connections were resumed."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: list[AudioConnectorConnection] = []

    async def on_resume(self, client: AudioConnectorConnection) -> None:
        self.resumed.append(client)


@asynccontextmanager
async def resuming(
    resume_s: float = DEADLINE_S, **options: Any
) -> AsyncIterator[tuple[AudioConnectorServerHandle, Bot]]:
    bot = Bot()
    timeouts = {"resume_s": resume_s, **options.pop("timeouts", {})}
    async with serving(bot, on_resume=bot.on_resume, timeouts=timeouts, **options) as handle:
        yield handle, bot


def dialling(handle: AudioConnectorServerHandle, path: str = "/", **more: Any) -> Any:
    return calling(handle.get_address(), path, additional_headers=IDS, **more)


def audio_of(message: bytes | str) -> bytes | None:
    """The audio of a message, in whatever form."""
    if isinstance(message, bytes):
        return message
    audio = json.loads(message).get("audio")
    return None if audio is None else base64.b64decode(audio)


async def hear(caller: ClientConnection, last: int) -> list[int]:
    """The numbers of the frames, up to one that has at least this."""
    heard: list[int] = []
    while not heard or heard[-1] < last:
        pcm = audio_of(await asyncio.wait_for(caller.recv(), DEADLINE_S))
        if pcm is not None:
            heard += numbers_of([pcm])
    return heard


def reset(caller: ClientConnection) -> None:
    caller.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
    )
    caller.transport.abort()


def check_heard(first: list[int], second: list[int]) -> None:
    """The sentence was heard over both sockets: no frame twice, and none lost but what was in flight."""
    assert first == list(range(1, len(first) + 1))
    assert second == list(range(second[0], FRAMES + 1))
    assert first[-1] < second[0] <= first[-1] + IN_FLIGHT


async def break_off_and_dial_again(
    handle: AudioConnectorServerHandle, bot: Bot, *, how: str = "reset", **options: Any
) -> Heard:
    async with dialling(handle, "/a?n=1", **options) as caller:
        heard = await bot.call()
        client = heard.client
        async with client.speech() as speech:
            await speech.write(SENTENCE)
        first = await hear(caller, 8)
        port = caller.local_address[1]
        assert client.remote_address[1] == port
        if how == "reset":
            reset(caller)
        else:
            caller.transport.abort()
        async with dialling(handle, "/b?n=2", **options) as again:
            second = await hear(again, FRAMES)
            check_heard(first, second)
            await until(lambda: bot.resumed == [client], "on_resume")
            assert client.is_resumed
            assert client.is_active
            assert (client.path, client.query, client.session_id) == ("/b", "n=2", "s1")
            assert client.remote_address[1] == again.local_address[1] != port
            assert client.headers["x-opentok-ws-connectionid"] == "c1"
            assert await asyncio.wait_for(speech.finished(), DEADLINE_S) == Played(FRAMES * 20.0)
            await until(lambda: client.statistics().audio_messages_sent == FRAMES, "the figures")
            assert client.statistics().played_ms == FRAMES * 20.0
            assert client.statistics().text_messages_received == 2
            assert heard.ends == []
    await bot.ended()
    assert (heard.end.code, heard.end.closed_by) == (1000, "router")
    assert len(bot.calls) == 1
    assert heard.errors == []
    return heard


async def test_a_sentence_is_heard_over_both_sockets(caplog: pytest.LogCaptureFixture) -> None:
    async with resuming() as (handle, bot):
        await break_off_and_dial_again(handle, bot)
        assert warnings_of(caplog) == []


@pytest.mark.thread
async def test_the_end_of_the_stream_without_a_close_frame_is_a_break_too() -> None:
    async with resuming() as (handle, bot):
        await break_off_and_dial_again(handle, bot, how="end of stream")


@pytest.mark.thread
async def test_with_audio_in_json() -> None:
    async with resuming(audio_transport="json") as (handle, bot):
        await break_off_and_dial_again(handle, bot)


@pytest.mark.thread
@tls_client
async def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    (tmp_path / "chain.pem").write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    tls = {"certfile": tmp_path / "chain.pem", "keyfile": tmp_path / "key.pem"}
    async with resuming(tls=tls) as (handle, bot):
        await break_off_and_dial_again(handle, bot, ssl=trusting)


def bare_router(handle: AudioConnectorServerHandle) -> Any:
    return bare(handle.get_address(), request({**UPGRADE, **IDS}))


async def open_call(peer: BarePeer) -> None:
    assert (await peer.answer()).status == 101
    peer.send(Frame(TEXT, first_message().encode()))


async def frames(peer: BarePeer, last: int) -> list[int]:
    heard: list[int] = []
    while not heard or heard[-1] < last:
        frame = await peer.frame()
        if frame.opcode == BINARY:
            heard += numbers_of([frame.payload])
    return heard


async def test_a_ghost_is_dropped_at_once_and_not_listened_to() -> None:
    """A router that is gone without a word: we find out only because it dials again."""
    async with resuming() as (handle, bot), bare_router(handle) as ghost:
        await open_call(ghost)
        heard = await bot.call()
        await heard.client.send_audio_buffer(SENTENCE, pad_last_frame=True)
        first = await frames(ghost, 5)
        ghost.hold()
        async with bare_router(handle) as router:
            ghost.send(Frame(BINARY, numbered(1, 640)))
            await open_call(router)
            ghost.send(Frame(BINARY, numbered(2, 640)))
            router.send(Frame(BINARY, numbered(3, 640)))
            second = await frames(router, FRAMES)
            ghost.release()
            await ghost.rest()  # it has ended
            assert second[-1] == FRAMES
            assert second[0] > first[-1]
            await until(lambda: heard.audio[-1:] == [numbered(3, 640)], "the new socket's audio")
            assert numbered(2, 640) not in heard.audio
            assert heard.ends == []
            assert bot.resumed == [heard.client]
            router.send(close_frame(1000))
            await bot.ended()


@pytest.mark.thread
async def test_a_router_that_answers_no_ping_may_dial_again() -> None:
    async with resuming(timeouts={"ping_interval_s": 0.1, "ping_timeout_s": 0.1}) as (handle, bot):
        async with bare_router(handle) as silent:
            await open_call(silent)
            heard = await bot.call()
            await until(lambda: not heard.client.is_active, "the loss")
            while (await silent.frame()).opcode != PING:
                pass
            await silent.rest()
        async with dialling(handle) as caller:
            await until(lambda: heard.client.is_active, "the router")
            await heard.client.send_audio_buffer(SENTENCE)
            assert (await hear(caller, FRAMES))[0] == 1
        await bot.ended()
        assert ["answered no ping" in str(error) for error in heard.errors] == [True]


async def test_a_router_that_comes_and_goes_while_much_is_sent_loses_no_call() -> None:
    """A reset is found by a write as often as by a read."""
    async with resuming(playback={"lead_ms": 60_000, "max_buffer_s": 3600}) as (handle, bot):
        for number in range(20):
            async with bare_router(handle) as peer:
                await open_call(peer)
                heard = await bot.call()
                for _ in range(1 + number % 5):
                    await heard.client.send_audio_buffer(SENTENCE)
                await peer.frame()
                if number % 2:
                    peer.reset()
                else:
                    peer.shut()
                for _ in range(5):
                    await heard.client.send_audio_buffer(SENTENCE)
                    await heard.client.send_json_packet({"number": number})
        await until(lambda: not heard.client.is_active, "the last loss")
        assert len(bot.calls) == 1
        assert heard.ends == []
        heard.client.disconnect()
        await bot.ended()


@pytest.mark.thread
async def test_a_router_that_stays_away_is_given_up() -> None:
    async with resuming(0.3) as (handle, bot):
        async with dialling(handle) as caller:
            heard = await bot.call()
            reset(caller)
            await until(lambda: not heard.client.is_active, "the loss")
            assert handle.connections.all() == [heard.client]
        await bot.ended()
        assert (heard.end.code, heard.end.reason, heard.end.closed_by) == (1006, "", "network")
        async with dialling(handle):
            await bot.call(1)
        assert bot.resumed == []


@pytest.mark.parametrize("way", ["stop", "drain", "disconnect"])
async def test_a_call_that_is_lost_holds_nothing_up(way: str) -> None:
    async with resuming(60.0) as (handle, bot):
        async with dialling(handle) as caller:
            heard = await bot.call()
            reset(caller)
            await until(lambda: not heard.client.is_active, "the loss")
        if way == "disconnect":
            heard.client.disconnect()
        else:
            await asyncio.wait_for(handle.stop() if way == "stop" else handle.drain(60.0), DEADLINE_S)
        await bot.ended()
        assert (heard.end.code, heard.end.closed_by) == (1000 if way == "disconnect" else 1001, "server")


@pytest.mark.thread
async def test_a_router_that_has_closed_and_dials_again_is_another_call() -> None:
    async with resuming() as (handle, bot):
        for number in range(2):
            async with dialling(handle) as caller:
                await bot.call(number)
                await caller.close()
            await bot.ended(number)
        assert bot.resumed == []


# The socket's part in it.


@pytest.mark.thread
async def test_a_socket_that_was_disowned_says_nothing_more() -> None:
    async with port_at() as port:
        with_audio = await dial(port.address(), ours := _End())
        await until(lambda: port.ends, "the call")
        [theirs] = port.ends
        theirs.transport.disown()
        with_audio.send_audio(numbered(1, 640))
        theirs.transport.abort()
        await until(lambda: ours.closed, "the end")
        await asyncio.sleep(0.05)
        assert (theirs.messages, theirs.closed) == ([], [])


@pytest.mark.thread
async def test_a_socket_knows_who_has_closed_it() -> None:
    async with port_at() as port:
        for number, end in enumerate(("peer", "us", "network")):
            ours = _End()
            caller = await dial(port.address(), ours)
            await until(lambda: len(port.ends) > number, "the call")  # noqa: B023
            theirs = port.ends[number]
            if end == "peer":
                caller.close()
            elif end == "us":
                theirs.transport.close()
            else:
                caller.abort()
            assert theirs.transport.closed_by == ("us" if end == "us" else "network")
            await until(lambda: theirs.closed, "the end")  # noqa: B023
            assert theirs.transport.closed_by == theirs.closed[0].closed_by == end


class _End:
    def __init__(self) -> None:
        self.closed: list[Closed] = []

    def on_open(self, *_: object) -> None: ...
    def on_audio(self, payload: bytes) -> None: ...
    def on_text(self, text: str) -> None: ...
    def on_pong(self, payload: bytes) -> None: ...
    def on_writable(self, writable: bool) -> None: ...

    def on_closed(self, closed: Closed) -> None:
        self.closed.append(closed)


# Workers.

MAIN = "import sys; from audio_connector.cli import main; sys.exit(main())"

APP = f"""
import os
from audio_connector import AudioConnectorServerConfig

SENTENCE = b"".join(number.to_bytes(2, "little") * 320 for number in range(1, {2 * FRAMES} + 1))

async def tell(client):
    await client.send_json_packet({{"pid": os.getpid(), "is_resumed": client.is_resumed}})

async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)
    await tell(client)
    await client.send_audio_buffer(SENTENCE, pad_last_frame=True)

async def on_resume(client):
    client.set_handler(on_audio=client.send_audio_buffer)
    await tell(client)

config = AudioConnectorServerConfig(
    host="127.0.0.1", port=0, on_connect=on_connect, on_resume=on_resume, timeouts={{"resume_s": {DEADLINE_S}}}
)
"""


async def heard_and_told(caller: ClientConnection, last: int) -> tuple[list[int], list[dict[str, Any]]]:
    """Frames up to this one, and at least one word of an application."""
    heard: list[int] = []
    told: list[dict[str, Any]] = []
    while not told or not heard or heard[-1] < last:
        message = await asyncio.wait_for(caller.recv(), DEADLINE_S)
        if isinstance(message, bytes):
            heard += numbers_of([message])
        else:
            told.append(json.loads(message))
    return heard, told


@pytest.mark.thread
@pytest.mark.skipif(sys.platform == "win32", reason="there are no workers")
@pytest.mark.programs
async def test_through_workers(tmp_path: Path) -> None:
    """Also where the worker dies while its call is lost: another one takes it, and what was queued is heard."""
    (tmp_path / "bot.py").write_text(APP)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", MAIN, "serve", "bot:config", "--workers", "1"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
        address = line.removeprefix("listening on ").strip()
        async with calling(address, additional_headers=IDS) as caller:
            first, [told] = await heard_and_told(caller, 5)
            assert told["is_resumed"] is False
            reset(caller)
        async with calling(address, additional_headers=IDS) as caller:
            second, [told_again] = await heard_and_told(caller, first[-1] + IN_FLIGHT)
            assert told_again == {"pid": told["pid"], "is_resumed": True}
            reset(caller)
        os.kill(told["pid"], signal.SIGKILL)
        async with calling(address, additional_headers=IDS) as caller:
            third, words = await heard_and_told(caller, 2 * FRAMES)
            assert all(word["is_resumed"] and word["pid"] != told["pid"] for word in words)
            assert first + second + third == sorted({*first, *second, *third})
            assert third == list(range(third[0], 2 * FRAMES + 1))
            await caller.send(numbered(500, 640))
            assert await hear(caller, 500) == [500]
            process.send_signal(signal.SIGTERM)
            assert (await how_closed(caller))[0] == 1001
        _, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0, errors.decode()
    except ConnectionClosed:
        process.kill()
        pytest.fail((await process.communicate())[1].decode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
