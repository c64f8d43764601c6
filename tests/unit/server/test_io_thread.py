# SPDX-License-Identifier: Apache-2.0
"""The thread that the I/O side runs in."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from support.serving import io_threads

from audio_connector.call import asks
from audio_connector.server import lost_loop
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_thread import IoThread


def config(**values: Any) -> AudioConnectorServerConfig:
    return AudioConnectorServerConfig(**{"host": "127.0.0.1", "port": 0, **values})


def new_io(loop: asyncio.AbstractEventLoop | None = None) -> IoThread:
    return IoThread(
        loop or asyncio.get_running_loop(), lambda message: None, lambda link_id, tell: None, config()
    )


async def ended(io: IoThread) -> None:
    io.shut_down()
    await asyncio.wrap_future(io.ended)
    assert io.join(5.0)


async def test_it_listens_and_ends_without_a_trace() -> None:
    io = new_io()
    before = threading.active_count()
    io.start()
    host, port = await io.listen()
    assert host == "127.0.0.1"
    assert port > 0
    await io.close_all(1001, "stop", 1.0)
    await ended(io)
    assert threading.active_count() == before
    io.shut_down()
    assert io.join(0.0)


@pytest.mark.parametrize("is_over", [False, True])
async def test_what_is_asked_of_nobody_does_no_harm(is_over: bool) -> None:
    io = new_io()
    io.start()
    if is_over:
        await ended(io)
    for ask in (asks.WaitPlayed(5, None), asks.Flush(6), asks.SendText("{}", None), bytes(640)):
        io.post((7, ask))
    await asyncio.sleep(0)  # the round ends, and with it the gathering
    if not is_over:
        await ended(io)
    assert not io.inbox._messages


async def test_its_clock_is_the_one_that_everybody_has() -> None:
    io = new_io()
    io.start()
    assert io.clock() == pytest.approx(time.monotonic(), abs=1.0)
    await ended(io)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_loop_that_ends_without_stopping_its_server_ends_the_thread(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """Where the program goes on without it, that is told; where it ends, a word would be printed by chance."""
    monkeypatch.setattr(lost_loop, "GOES_ON_S", 0.0 if goes_on else 60.0)

    async def forget() -> IoThread:
        io = new_io()
        io.start()
        await io.listen()
        return io

    io = asyncio.run(forget())
    io.outbox.post((1, b""))
    if not goes_on:
        io._end_at_exit()
    assert io.ended.result(10.0) is None
    assert io.join(5.0)
    assert ("has ended without handle.stop()" in caplog.text) is goes_on
    assert io_threads() == 0
