# SPDX-License-Identifier: Apache-2.0
"""The thread that the I/O side runs in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from audio_connector.playback.speech import Interrupted
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_thread import IoThread


def config(**values: Any) -> AudioConnectorServerConfig:
    return AudioConnectorServerConfig(**{"host": "127.0.0.1", "port": 0, **values})


async def ended(io: IoThread) -> None:
    io.shut_down()
    await asyncio.wrap_future(io.ended)
    assert io.join(5.0)


async def test_it_listens_and_ends_without_a_trace() -> None:
    io = IoThread(asyncio.get_running_loop(), lambda message: None, config())
    before = threading.active_count()
    io.start()
    host, port = await io.listen()
    assert host == "127.0.0.1"
    assert port > 0
    await io.close_all(1001, "stop", 1.0)
    await ended(io)
    assert threading.active_count() == before
    io.shut_down()


ASKED: list[tuple[Callable[[mail.Reply[Any]], mail.ToIo], object]] = [
    (lambda reply: mail.AwaitPlayed(7, reply), Interrupted(0.0, 0.0)),
    (lambda reply: mail.BeginSpeech(7, 1, mail.SpeechProgress(), reply), Interrupted(0.0, 0.0)),
    (lambda reply: mail.AwaitRoom(7, 100, reply), None),
    (lambda reply: mail.AwaitClosed(7, reply), None),
    (lambda reply: mail.Flush(7, 1, reply), None),
]


@pytest.mark.parametrize("when", ["the connection is over", "the thread has ended"])
@pytest.mark.parametrize(("ask", "answer"), ASKED)
async def test_whoever_asks_too_late_is_answered(
    when: str, ask: Callable[[mail.Reply[Any]], mail.ToIo], answer: object
) -> None:
    io = IoThread(asyncio.get_running_loop(), lambda message: None, config())
    io.start()
    if when == "the thread has ended":
        await ended(io)
    reply: mail.Reply[Any] = mail.Reply()
    gone: mail.Reply[Any] = mail.Reply()
    gone.cancel()
    io.inbox.post(ask(gone))
    io.inbox.post(ask(reply))
    io.inbox.post(mail.SendText(7, "{}"))
    assert await asyncio.wrap_future(reply) == answer
    if when == "the connection is over":
        await ended(io)
