# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading

import pytest
from aiohttp import web
from support.pages import opened, page_of
from support.ports import refusing

from audio_connector import AudioConnectorConnection, AudioConnectorServer, AudioTransport
from audio_connector.errors import AudioConnectorStartServerError, DialError, UsageError
from audio_connector.playground.bots import Bot, configure_with, find_bot
from audio_connector.playground.run import Address, playground, serve
from audio_connector.playground.session import Settings

SETTINGS = Settings(url="", label="")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("0.0.0.0", "http://localhost:80/"),
        ("::", "http://localhost:80/"),
        ("::1", "http://[::1]:80/"),
        ("bot.example", "http://bot.example:80/"),
    ],
)
def test_the_address_is_one_to_open_here(host: str, url: str) -> None:
    assert Address(host, 80).url == url


async def test_a_port_in_use_is_named() -> None:
    async with opened() as address:
        says = rf"^cannot listen on 127\.0\.0\.1:{address.port}: the port is in use"
        with pytest.raises(AudioConnectorStartServerError, match=says):
            async with playground(find_bot(None), SETTINGS, host="127.0.0.1", port=address.port):
                pass


async def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(AudioConnectorStartServerError, match=r"^cannot listen on 192\.0\.2\.1:0: "):
        async with playground(find_bot(None), SETTINGS, host="192.0.2.1", port=0):
            pass


async def test_a_server_is_called_once_to_see_that_it_is_there() -> None:
    seen = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        seen.append(client.headers["caller"])

    async with AudioConnectorServer({"host": "127.0.0.1", "port": 0, "on_connect": on_connect}) as server:
        bot = find_bot(server.get_address())
        settings = Settings(url="", label="", headers={"caller": "Ann"})
        for is_checked in (False, True):
            async with playground(bot, settings, host="127.0.0.1", port=0, is_checked=is_checked):
                pass
    assert seen == ["Ann"]


@pytest.mark.parametrize("as_url", [False, True])
async def test_audio_in_json_is_spoken_and_heard(as_url: bool) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        async for frame in client.audio():
            await client.send_audio_buffer(frame)

    config = {"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "audio_transport": "json"}
    async with contextlib.AsyncExitStack() as stack:
        bot, transport = Bot("test", configure=configure_with("test", config)), AudioTransport()
        if as_url:  # where nobody can know it, an option says so
            server = await stack.enter_async_context(AudioConnectorServer(config))
            bot, transport = find_bot(server.get_address()), AudioTransport(transport="json")
        address = await stack.enter_async_context(opened(bot=bot, audio_transport=transport))
        page = await stack.enter_async_context(page_of(address))
        await page.connect()
        await page.say("say", speaker=1, sample="he-was-not.wav")
        await page.until(lambda: any(page.sound[1]))


async def test_a_server_that_answers_500_is_told_before_there_is_a_page() -> None:
    async def fail(request: web.Request) -> web.Response:
        raise web.HTTPInternalServerError

    application = web.Application()
    application.router.add_get("/", fail)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    with pytest.raises(DialError, match="500"):
        async with playground(
            find_bot(f"ws://127.0.0.1:{port}/"), SETTINGS, host="127.0.0.1", port=0, is_checked=True
        ):
            pass
    await runner.cleanup()


async def test_nobody_there_and_no_websocket_address_are_told() -> None:
    with refusing() as port:
        for url, error in [(f"ws://127.0.0.1:{port}", DialError), ("http://127.0.0.1/", UsageError)]:
            with pytest.raises(error):
                async with playground(find_bot(url), SETTINGS, host="127.0.0.1", port=0, is_checked=True):
                    pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
async def test_a_signal_ends_it_while_the_application_is_still_being_made() -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    async def make() -> None:
        loop.call_soon_threadsafe(begun.set)
        await asyncio.sleep(60)

    serving = asyncio.ensure_future(
        serve(
            Bot("test", configure=configure_with("test", make)),
            SETTINGS,
            host="127.0.0.1",
            port=0,
            is_checked=True,
            on_ready=lambda address: pytest.fail("there is no application yet"),
        )
    )
    await asyncio.wait_for(begun.wait(), 10)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(serving, 5)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert "playground-bot" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(
        serve(find_bot(None), SETTINGS, host="127.0.0.1", port=0, is_checked=True, on_ready=ready.set_result)
    )
    await asyncio.wait_for(ready, 10)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(serving, 10)
    assert asyncio.all_tasks() == {asyncio.current_task()}
