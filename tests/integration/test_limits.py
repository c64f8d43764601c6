# SPDX-License-Identifier: Apache-2.0
"""Limits of who comes, on real sockets: what a peer sees, what is counted, what the log says."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import pytest
from support.peers import FRAME, UPGRADE, bare, calling, how_closed, next_audio, request
from support.serving import Listener, echo, serving, until, warnings_of

from audio_connector import AudioConnectorServerHandle, Limits, Timeouts
from audio_connector.errors import DeadlineError

SESSION = {**UPGRADE, "x-opentok-ws-sessionid": "1_MX40"}


@asynccontextmanager
async def full(limits: dict[str, Any], **options: Any) -> AsyncIterator[AudioConnectorServerHandle]:
    """A server with one call of a session, which goes on."""
    async with (
        serving(echo, limits=Limits(**limits), **options) as handle,
        bare(handle.get_address(), request(SESSION)) as peer,
    ):
        assert (await peer.answer()).status == 101
        yield handle


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(
    ("limits", "status", "retry_after"),
    [
        ({"max_connections": 1}, 503, "5"),
        ({"max_connections_per_address": 1}, 503, "5"),
        ({"max_connections_per_session": 1}, 503, "5"),
        ({"upgrades_per_second_per_address": 0.01}, 429, "1"),
    ],
)
async def test_who_is_over_a_limit_is_told_when_to_come_again(
    limits: dict[str, Any], status: int, retry_after: str, isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    [name] = limits
    async with full(limits, isolation=isolation) as handle:
        for _ in range(3):
            async with bare(handle.get_address(), request(SESSION)) as peer:
                answer = await peer.answer()
            assert (answer.status, answer.headers["retry-after"]) == (status, retry_after)
            assert answer.body == "This server cannot take the connection now.\n"
        await until(lambda: handle.refusals == {name: 3}, "the count")
        await until(lambda: warnings_of(caplog), "the line")
        assert len(handle.connections) == 1
    [line] = warnings_of(caplog)
    assert f"Limits.{name}" in line
    assert line.startswith(f"refused GET '/' from 127.0.0.1 with {status}: ")


@pytest.mark.thread
async def test_memory_that_is_short_keeps_new_calls_out_and_those_that_are_there_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory_mb = 10.0
    monkeypatch.setattr("audio_connector.server.load.resident_mb", lambda: memory_mb)
    monkeypatch.setattr("audio_connector.server.load.MEMORY_S", 0.0)
    limits = Limits(max_memory_mb=100)
    async with serving(echo, limits=limits) as handle, calling(handle.get_address()) as caller:
        memory_mb = 101.0
        async with bare(handle.get_address(), request(UPGRADE)) as peer:
            answer = await peer.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert handle.refusals == {"max_memory_mb": 1}
        await caller.send(FRAME)
        assert await next_audio(caller, 1) == [FRAME]
        memory_mb = 99.0
        async with bare(handle.get_address()):
            pass


async def test_the_log_and_the_application_name_who_is_behind_a_trusted_proxy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "audio_connector")
    listener = Listener()
    limits = Limits(trusted_proxies=("127.0.0.1",), max_connections_per_address=1)
    said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    async with (
        serving(listener, limits=limits) as handle,
        calling(handle.get_address(), additional_headers=said),
    ):
        heard = await listener.call()
        assert heard.client.remote_address == ("203.0.113.7", 0)
        headers = {**UPGRADE, "Forwarded": 'for="203.0.113.7:99"'}
        async with bare(handle.get_address(), request(headers)) as peer:
            assert (await peer.answer()).status == 503
    lines = [record.getMessage() for record in caplog.records]
    assert any("opened by 203.0.113.7:0 with path" in line for line in lines)
    assert any("refused GET '/' from 203.0.113.7 with 503" in line for line in lines)


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_call_of_its_full_length_is_told_and_counted(isolation: str) -> None:
    listener = Listener()
    async with (
        serving(listener, timeouts=Timeouts(session_s=0.3), isolation=isolation) as handle,
        calling(handle.get_address()) as caller,
    ):
        assert await how_closed(caller) == (1001, "session length")
        heard = await listener.ended()
        await until(lambda: handle.refusals == {"session_s": 1}, "the count")
    assert heard.order == ["message", "error", "end"]
    assert isinstance(heard.errors[0], DeadlineError)
    assert (heard.end.code, heard.end.reason, heard.end.closed_by) == (1001, "session length", "server")


async def test_who_never_says_anything_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    timeouts = Timeouts(no_message_s=0.2)
    async with serving(echo, timeouts=timeouts) as handle, bare(handle.get_address()) as peer:
        frame = await peer.frame()
        assert (frame.code, frame.reason) == (1008, "no message came")
        await until(lambda: handle.refusals == {"no_message_s": 1}, "the count")


@pytest.mark.thread
async def test_calls_open_while_the_descriptors_are_used_up_by_who_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As many come and hold as there may be; the calls beside them are let in, and nothing fills the log."""
    monkeypatch.setattr("audio_connector.wire.descriptors.MOST_WAITING", 32)
    caplog.set_level(logging.INFO, "audio_connector.wire")
    async with serving(echo) as handle, AsyncExitStack() as calls:
        with ExitStack() as held:
            for round_ in range(6):
                for _ in range(32):
                    held.enter_context(socket.create_connection(("127.0.0.1", handle.port)))
                url = handle.get_address()
                caller = await asyncio.wait_for(calls.enter_async_context(calling(url)), 2.0)
                await caller.send(FRAME)
                assert await next_audio(caller, 1) == [FRAME]
                assert len(handle.connections) == round_ + 1
        assert handle.refusals["crowded"] >= 32 * 5 - 6
    assert len([record for record in caplog.records if record.name == "audio_connector.wire"]) <= 4


@pytest.mark.thread
async def test_as_soon_as_there_is_room_again_who_waits_is_let_in(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(echo) as handle:
        address = ("127.0.0.1", handle.port)
        loop = asyncio.get_running_loop()
        with socket.socket() as caller, ExitStack() as other:
            caller.setblocking(False)
            taken = [other.enter_context(socket.socket())]
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0].fileno() + 1, hard))
            try:
                await loop.sock_connect(caller, address)
                await loop.sock_sendall(caller, request(UPGRADE))
                await until(lambda: warnings_of(caplog), "the warning")
                await asyncio.sleep(0.2)
                assert len(handle.connections) == 0
                begun = loop.time()
                taken[0].close()
                answer = await asyncio.wait_for(loop.sock_recv(caller, 4096), 5.0)
                assert loop.time() - begun < 0.5
                assert answer.startswith(b"HTTP/1.1 101 ")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
