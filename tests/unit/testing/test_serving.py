# SPDX-License-Identifier: Apache-2.0
"""The server of a test: around any bot, in virtual time or on real sockets, and strict about what went wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from support.tokens import KEY

from audio_connector import (
    AudioConnectorConfigError,
    AudioConnectorConnection,
    AudioConnectorServer,
    AudioConnectorServerConfig,
    DialError,
    UsageError,
    Video,
)
from audio_connector.auth import SignedToken, mint_token
from audio_connector.simulator import RouterCall, run_calls
from audio_connector.testing import Audio, BotFailed, CallFailed, connect, in_virtual_time, router, serve

TONE = Audio.tone(440, 0.3)


async def greet(client: AudioConnectorConnection) -> None:
    await client.send_audio_buffer(TONE.pcm, pad_last_frame=True)
    async for frame in client.audio():
        if not Audio(frame).is_silent:
            await client.flush_buffer()


@pytest.mark.parametrize(
    "app",
    [
        greet,
        {"on_connect": greet, "playback": {"lead_ms": 60}},
        {"on_connect": greet, "host": "203.0.113.1", "port": 443},
        AudioConnectorServerConfig(host="0.0.0.0", port=8765, on_connect=greet),
        lambda: {"on_connect": greet},
    ],
    ids=["on_connect", "mapping", "mapping elsewhere", "config", "function"],
)
@in_virtual_time
async def test_a_bot_may_be_given_in_any_form(app: Any) -> None:
    async with serve(app, intake={"max_texts": 7}) as server, server.call() as call:
        assert server.handle.host == "127.0.0.1"
        assert server.handle.port not in (443, 8765)
        assert call.client._config.intake.max_texts == 7
        assert (await call.reply()).matches(TONE)


@in_virtual_time
async def test_a_wrong_configuration_is_refused() -> None:
    with pytest.raises(AudioConnectorConfigError, match="playbak"):
        async with serve(greet, playbak={}):
            pass
    with pytest.raises(
        UsageError, match="of a function without parameters, and an on_connect takes the connection"
    ):
        async with serve(lambda: None):
            pass


# What the bot did wrong.


async def fail(client: AudioConnectorConnection) -> None:
    await asyncio.sleep(0.5)
    raise KeyError("the question")


@in_virtual_time
async def test_a_bot_that_fails_fails_its_test() -> None:
    with pytest.raises(
        BotFailed, match=r"expect it with serve\(\.\.\., allow_errors=True\):\n.*KeyError\('the question'\)"
    ):
        async with serve(fail) as server, server.call():
            await asyncio.sleep(1)


@in_virtual_time
async def test_unless_that_is_allowed() -> None:
    async with serve(fail, allow_errors=True) as server:
        async with server.call() as call:
            await asyncio.sleep(1)
            assert call.report().close_code == 1011
        assert len(server.errors) == 1
        assert "on_connect raised KeyError('the question'); it is closed with 1011. " in server.errors[0]


@in_virtual_time
async def test_a_reply_that_does_not_come_names_the_bot_s_exception() -> None:
    with pytest.raises(CallFailed, match=r"the server logged: .*KeyError\('the question'\)") as caught:
        async with serve(fail) as server, server.call() as call:
            await call.reply()
    assert "server closed 1011 'internal error'" in str(caught.value)


async def serve_and_fail() -> None:
    async with serve(fail) as server, server.call():
        await asyncio.sleep(1)
        raise AssertionError("mine")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes from Python 3.11 on")
@in_virtual_time
async def test_so_does_any_other_failure() -> None:
    with pytest.raises(AssertionError) as caught:
        await serve_and_fail()
    [note] = caught.value.__notes__
    assert note.startswith("the server logged: connection ")


@in_virtual_time
async def test_a_handler_that_hangs_is_not_waited_for_longer_than_a_stop_takes() -> None:
    async def hang(client: AudioConnectorConnection) -> None:
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with serve(hang, allow_errors=True) as server, server.call():
        begun_s = loop.time()
    assert loop.time() - begun_s < 10


# Servers that the test did not start by serve().


@in_virtual_time
async def test_a_program_that_starts_its_own_server_can_be_called_at_its_own_port() -> None:
    handle = await Video().start_audio_connector_server(
        {"host": "0.0.0.0", "port": 8765, "on_connect": greet}
    )
    async with connect("ws://localhost:8765/bot", profile="voice") as call:
        assert (await call.reply()).matches(TONE)
    [report] = await run_calls([RouterCall(url="ws://localhost:9999")], dial=router()._dial)
    assert report.error is not None
    assert "none of them listens on port 9999 (open: 8765)" in report.error
    await handle.stop()


@in_virtual_time
async def test_in_virtual_time_nothing_else_can_be_called() -> None:
    with pytest.raises(DialError, match="in virtual time there are only the servers of the test itself"):
        async with connect("ws://127.0.0.1:1"):
            pass


async def test_where_nothing_listens_the_call_is_not_made() -> None:
    async with AudioConnectorServer({"host": "127.0.0.1", "port": 0}) as handle:
        url = handle.get_address()
    with pytest.raises(DialError, match="cannot be reached"):
        async with connect(url):
            pass


@in_virtual_time
async def test_a_bot_that_asks_who_dials_is_called_with_a_token() -> None:
    async with serve(greet, authenticate=SignedToken([KEY])) as server:
        headers = {"authorization": f"Bearer {mint_token(KEY, customer='Ann')}"}
        async with server.call(headers=headers) as call:
            assert call.client.identity["customer"] == "Ann"
            assert (await call.reply()).matches(TONE)
        with pytest.raises(DialError, match="HTTP 401"):
            async with server.call():
                pass
        await asyncio.sleep(200)
        with pytest.raises(DialError, match="HTTP 401"):
            async with server.call(headers=headers):
                pass
        assert server.handle.refusals == {"401 no token": 1, "401 expired": 1}
