# SPDX-License-Identifier: Apache-2.0
"""The simulated router against a server of another library: websockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from audio_connector.errors import DialError
from audio_connector.simulator import Router, RouterCall, run_calls, sample_speech

FRAME = b"\x01\x02" * 320


@dataclass
class Seen:
    """What the foreign server saw of its last connection."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    close_code: int | None = None


Handler = Callable[[ServerConnection, Seen], Awaitable[None]]


async def echo(connection: ServerConnection, seen: Seen) -> None:
    async for message in connection:
        if isinstance(message, str):
            seen.texts.append(message)
        else:
            seen.audio.append(message)
            await connection.send(message)


@asynccontextmanager
async def foreign_server(handler: Handler = echo) -> AsyncIterator[tuple[str, Seen]]:
    seen = Seen()

    async def serve_one(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.path = connection.request.path
        seen.headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        with suppress(ConnectionClosed):
            await handler(connection, seen)
        await connection.wait_closed()
        seen.close_code = connection.close_code

    async def refuse(connection: ServerConnection, request: Request) -> Response | None:
        status = {"/404": HTTPStatus.NOT_FOUND, "/500": HTTPStatus.INTERNAL_SERVER_ERROR}.get(request.path)
        return connection.respond(status, "no\n") if status is not None else None

    async with serve(serve_one, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}", seen


async def test_a_foreign_echo_gives_back_every_frame() -> None:
    speech = sample_speech()[: 640 * 40]
    heard = bytearray()
    async with foreign_server() as (url, seen):
        call = RouterCall(
            url=f"{url}/room/1?lang=en",
            speech=speech,
            tail_s=0.3,
            silence="none",
            headers={"caller": "Ann"},
            heard=heard.extend,
        )
        async with Router() as router:
            report = await router.run(call)
    assert seen.path == "/room/1?lang=en"
    assert seen.headers["x-opentok-ws-sessionid"] == call.session_id
    assert seen.headers["x-opentok-ws-connectionid"] == call.connection_id
    assert seen.headers["x-opentok-ws-conferenceid"] == call.conference_id
    assert seen.headers["caller"] == "Ann"
    assert b"".join(seen.audio) == speech
    assert {len(message) for message in seen.audio} == {640}
    first, last = seen.texts[0], seen.texts[-1]
    assert first[0] == " "
    assert json.loads(first)["content-type"] == "audio/l16;rate=16000"
    assert json.loads(first)["caller"] == "Ann"
    assert json.loads(last)["event"] == "websocket:disconnected"
    assert seen.close_code == 1000
    assert report.frames_received == 40
    assert report.playout.wrong_size_messages == 0
    assert (report.close_code, report.closed_by, report.hung_up) == (1000, "us", True)
    # An echo has no lead, so jitter may leave holes; the samples are all there nevertheless.
    assert bytes(heard).replace(b"\0\0", b"") == speech.replace(b"\0\0", b"")


async def test_a_burst_is_buffered_and_a_clear_is_answered() -> None:
    async def burst(connection: ServerConnection, seen: Seen) -> None:
        seen.texts.append(str(await connection.recv()))
        for _ in range(100):
            await connection.send(FRAME)
        await connection.send('{"action":"clear"}')
        async for message in connection:
            if isinstance(message, str):
                seen.texts.append(message)

    async with foreign_server(burst) as (url, seen), Router() as router:
        report = await router.run(RouterCall(url=url, tail_s=0.2))
    assert report.playout.deepest_ms > 1000
    assert report.playout.cleared_frames > 50
    assert report.clears == 1
    assert "websocket:cleared" in seen.texts[1]


async def test_an_abrupt_end_is_1006_on_the_other_side() -> None:
    async with foreign_server() as (url, seen), Router() as router:
        await router.run(RouterCall(url=url, speech=FRAME, tail_s=0.0, close="abrupt"))
    assert seen.close_code == 1006


async def test_a_server_that_hangs_up_ends_the_call() -> None:
    async def leave(connection: ServerConnection, seen: Seen) -> None:
        await connection.recv()
        await connection.close(1001, "going away")

    async with foreign_server(leave) as (url, _), Router() as router:
        report = await asyncio.wait_for(router.run(RouterCall(url=url, tail_s=60.0)), 10)
    assert (report.close_code, report.close_reason, report.closed_by) == (1001, "going away", "peer")
    assert not report.hung_up
    assert report.is_clean


async def test_wrong_sizes_are_counted() -> None:
    async def sloppy(connection: ServerConnection, seen: Seen) -> None:
        await connection.send(FRAME + b"12")
        await connection.send(FRAME[:100])
        await connection.wait_closed()

    async with foreign_server(sloppy) as (url, _), Router() as router:
        report = await router.run(RouterCall(url=url, tail_s=0.2))
    assert report.problems == ("2 messages of a wrong size, 102 bytes lost",)


@pytest.mark.parametrize("status", [404, 500])
async def test_an_http_error_is_told(status: int) -> None:
    async with foreign_server() as (url, _), Router() as router:
        with pytest.raises(DialError, match=str(status)) as caught:
            await router.run(RouterCall(url=f"{url}/{status}"))
    assert caught.value.status == status


async def test_nobody_there_is_told() -> None:
    async with foreign_server() as (url, _):
        pass
    async with Router() as router:
        with pytest.raises(DialError, match=url):
            await router.run(RouterCall(url=url))


async def test_twenty_calls_at_once_lose_nothing() -> None:
    speech = sample_speech()[: 640 * 25]
    async with foreign_server() as (url, _):
        calls = [RouterCall(url=url, speech=speech, tail_s=0.3, silence="none") for _ in range(20)]
        reports = await run_calls(calls, ramp_s=0.2)
    assert [report.frames_received for report in reports] == [25] * 20
    assert {report.close_code for report in reports} == {1000}
