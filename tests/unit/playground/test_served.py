# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from audio_connector import AudioConnectorConnection
from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.playground.bots import Bot, configure_with, find_bot
from audio_connector.playground.faults import LOGGER
from audio_connector.playground.notices import Notices
from audio_connector.playground.served import Reached, ServedBot
from audio_connector.simulator import Router, RouterCall


def bot_of(app: object) -> Bot:
    return Bot("test", configure=configure_with("test", app))


def is_clean() -> bool:
    names = {thread.name for thread in threading.enumerate()}
    return "playground-bot" not in names and not logging.getLogger(LOGGER).handlers


async def test_it_serves_in_a_thread_of_its_own_and_leaves_nothing() -> None:
    threads = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        threads.append(threading.current_thread().name)
        client.disconnect()

    async with ServedBot(bot_of(on_connect), Notices()) as bot, Router() as router:
        report = await router.run(RouterCall(url=bot.url, tail_s=5))
    assert report.close_code == 1000
    assert threads == ["playground-bot"]
    assert is_clean()


async def test_a_server_that_runs_already_is_left_alone() -> None:
    async with ServedBot(find_bot("ws://127.0.0.1:9"), Notices()) as bot:
        assert bot == Reached("ws://127.0.0.1:9")
        assert is_clean()


async def test_how_an_application_wants_its_audio_is_known() -> None:
    config = {"host": "127.0.0.1", "port": 0, "on_connect": lambda client: None, "audio_transport": "json"}
    async with ServedBot(bot_of(config), Notices()) as bot:
        assert bot.audio_transport is not None
        assert bot.audio_transport.is_json


async def test_what_a_handler_raises_is_told() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        raise RuntimeError("the model is gone")

    notices = Notices()
    told: asyncio.Queue[str] = asyncio.Queue()
    notices.listen(told.put_nowait)
    async with ServedBot(bot_of(on_connect), notices) as bot, Router() as router:
        await router.run(RouterCall(url=bot.url, tail_s=5))
        line = await asyncio.wait_for(told.get(), 5)
    assert "on_connect raised RuntimeError" in line
    where = f"{__file__.rpartition('/')[2]}, line {on_connect.__code__.co_firstlineno + 1}"
    assert line.endswith(f"RuntimeError: the model is gone ({where})")


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (lambda: 7, UsageError),
        ({"on_connect": None, "on_start": lambda: 1 / 0}, AudioConnectorStartServerError),
    ],
)
async def test_what_cannot_be_started_is_raised_here(app: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        async with ServedBot(bot_of(app), Notices()):
            pass
    assert is_clean()


async def test_an_application_that_blocks_its_loop_does_not_stop_the_router() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        time.sleep(0.4)  # noqa: ASYNC251 - what a user's program may do

    async with ServedBot(bot_of(on_connect), Notices()) as bot, Router() as router:
        report = await router.run(RouterCall(url=bot.url, tail_s=0.5))
    assert report.frames_sent == 25
    assert report.latest_tick_ms < 200
