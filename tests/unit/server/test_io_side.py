# SPDX-License-Identifier: Apache-2.0
"""The I/O side on whatever loop: it takes calls, ends them all, and no failure of one harms the others."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support.call import Router
from support.conversation import LoopClock

from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide
from audio_connector.server.link import Link
from audio_connector.testing.network import dial, listen
from audio_connector.testing.virtual_time import VirtualLoop, in_virtual_time, rest
from audio_connector.wire.memory import MemoryTransport


class Stage:
    """An I/O side that listens, and what it posts."""

    def __init__(self, **groups: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.posted: list[mail.ToApplication] = []
        config = AudioConnectorServerConfig(host="127.0.0.1", port=8765, **groups)
        self.side = IoSide(
            config, post=self.posted.append, listen=listen, clock=loop.time, call_later=loop.call_later
        )

    async def call(self) -> tuple[Router, MemoryTransport]:
        router = Router(LoopClock(self.loop), 16000)
        return router, await dial("ws://127.0.0.1:8765", router)

    def posted_of(self, kind: type) -> list[Any]:
        return [message for message in self.posted if isinstance(message, kind)]


@in_virtual_time
async def test_nobody_is_accepted_before_it_listens_and_after_it_ends() -> None:
    stage = Stage()
    assert not stage.side.is_open
    assert await stage.side.listen() == ("127.0.0.1", 8765)
    assert stage.side.is_open
    accept = stage.loop.ports[8765].accept
    assert isinstance(accept({}, "/"), Link)
    stage.side.stop()
    assert accept({}, "/") is None
    assert stage.loop.ports == {}


@in_virtual_time
async def test_all_are_closed_and_who_does_not_answer_is_aborted_at_the_deadline() -> None:
    stage = Stage(timeouts={"close_s": 60})
    await stage.side.listen()
    polite, _ = await stage.call()
    deaf, socket = await stage.call()
    socket.pause_reading()
    begun = stage.loop.time()
    await stage.side.close_all(1001, "bye", 3.0)
    assert stage.loop.time() - begun == pytest.approx(3.0, abs=0.01)
    assert stage.side.links == {}
    assert polite.closed is not None
    assert (polite.closed.code, polite.closed.reason) == (1001, "bye")
    assert deaf.closed is not None
    assert [ended.how.code for ended in stage.posted_of(mail.Ended)] == [1001, 1001]


@in_virtual_time
async def test_stopping_ends_all_at_once() -> None:
    stage = Stage()
    await stage.side.listen()
    router, _ = await stage.call()
    stage.side.stop()
    await rest()
    assert router.closed is not None
    assert stage.side.links == {}
    assert [(ended.how.code, ended.how.closed_by) for ended in stage.posted_of(mail.Ended)] == [
        (1001, "server")
    ]


@in_virtual_time
async def test_a_failure_of_one_link_ends_that_one_with_1011_and_is_told() -> None:
    stage = Stage()
    await stage.side.listen()
    one, _ = await stage.call()
    other, _ = await stage.call()
    reply: mail.Reply[Any] = mail.Reply()
    broken: Any = mail.AwaitRoom(1, "many", reply)  # type: ignore[arg-type]  # an error of the library, as it were
    logging.disable(logging.CRITICAL)
    try:
        stage.side.apply(broken)
    finally:
        logging.disable(logging.NOTSET)
    await rest()
    assert reply.result(timeout=0) is None
    assert isinstance(stage.posted_of(mail.Failed)[0].error, TypeError)
    assert one.closed is not None
    assert (one.closed.code, one.closed.reason) == (1011, "internal error")
    assert other.closed is None
    stage.side.stop()


@in_virtual_time
async def test_a_message_for_a_link_that_is_over_is_answered() -> None:
    stage = Stage()
    reply: mail.Reply[Any] = mail.Reply()
    stage.side.apply(mail.AwaitClosed(7, reply))
    stage.side.apply(mail.Close(7, 1000, ""))
    assert reply.result(timeout=0) is None
