# SPDX-License-Identifier: Apache-2.0
"""Texts while the router does not read: they wait, in order, and so does who sends them."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.audio import numbered
from support.conversation import Conversation

from audio_connector.call.texts import MAX_WAITING_CHARS
from audio_connector.errors import ConnectionClosed
from audio_connector.testing.virtual_time import in_virtual_time, rest

FRAME = numbered(7, 640)
PATIENT = {"stall_s": 3600.0, "ping_interval_s": None}


def text(number: int, size: int = 5000) -> str:
    return json.dumps({"number": number, "x": "y" * size})


def numbers(texts: list[str]) -> list[int]:
    return [json.loads(text)["number"] for text in texts]


@in_virtual_time
async def test_sending_waits_while_many_wait_and_goes_on_when_the_router_reads() -> None:
    async with Conversation(timeouts=PATIENT) as call:
        call.router_socket.pause_reading()
        sending = asyncio.ensure_future(self_sent(call, 200))
        await asyncio.sleep(5.0)
        assert not sending.done()
        machine = call.link.call
        assert sum(map(len, machine._texts.waiting)) <= MAX_WAITING_CHARS + len(text(0))
        assert call.client._line.is_open
        call.router_socket.resume_reading()
        await asyncio.wait_for(sending, 1.0)
        await rest()
        assert numbers(call.router.texts) == list(range(200))


async def self_sent(call: Conversation, count: int) -> None:
    for number in range(count):
        await call.client.send_json_packet(text(number))


@in_virtual_time
async def test_texts_of_many_tasks_keep_the_order_in_which_they_were_sent() -> None:
    async with Conversation(timeouts=PATIENT) as call:
        call.router_socket.pause_reading()
        tasks = []
        for number in range(100):
            tasks.append(asyncio.ensure_future(call.client.send_json_packet(text(number))))
            await asyncio.sleep(0.01 if number % 10 == 0 else 0)
        tasks += [
            asyncio.ensure_future(call.client.send_json_packet(text(number))) for number in range(100, 150)
        ]
        await rest()
        waiting = sum(not task.done() for task in tasks)
        assert waiting > 50
        for number in (20, 60, 149):
            tasks[number].cancel()
        call.router_socket.resume_reading()
        await asyncio.wait(tasks)
        await rest()
        sent = [number for number, task in enumerate(tasks) if not task.cancelled()]
        assert numbers(call.router.texts) == sent
        assert len(sent) in (147, 148, 149)


@in_virtual_time
async def test_whoever_is_cancelled_leaves_the_line() -> None:
    async with Conversation(timeouts=PATIENT) as call:
        call.router_socket.pause_reading()
        first = asyncio.ensure_future(self_sent(call, 100))
        await rest()
        others = [asyncio.ensure_future(call.client.send_json_packet(text(1000 + k))) for k in range(5)]
        await rest()
        assert len(call.link.call._texts.line) == 6
        first.cancel()
        others[2].cancel()
        await rest()
        assert len(call.link.call._texts.line) == 4
        call.router_socket.resume_reading()
        await rest()
        await asyncio.gather(*others, return_exceptions=True)
        await rest()
        assert numbers(call.router.texts)[-4:] == [1000, 1001, 1003, 1004]
        assert not call.link.call._texts.line
        assert call.client._line._waiting_texts == 0


@pytest.mark.parametrize("how", ["reset", "close", "disconnect"])
@in_virtual_time
async def test_at_the_end_of_the_connection_whoever_waits_is_told(how: str) -> None:
    async with Conversation(timeouts=PATIENT) as call:
        call.router_socket.pause_reading()
        tasks = [asyncio.ensure_future(self_sent(call, 100)) for _ in range(3)]
        await rest()
        if how == "disconnect":
            call.client.disconnect()
        else:
            call.router_socket.resume_reading() if how == "close" else None
            getattr(call.router_socket, how)()
        await asyncio.wait(tasks, timeout=5.0)
        for task in tasks:
            assert isinstance(task.exception(), ConnectionClosed)
        with pytest.raises(ConnectionClosed):
            await call.client.send_json_packet("{}")
        assert call.client._line._waits == {}


@in_virtual_time
async def test_a_text_longer_than_the_bound_goes_alone() -> None:
    async with Conversation(timeouts=PATIENT) as call:
        long = text(1, 3 * MAX_WAITING_CHARS)
        await call.client.send_json_packet(long)
        await asyncio.sleep(1.0)
        await call.client.send_json_packet(text(2))
        await asyncio.wait_for(call.client.send_json_packet(long), 1.0)
        await rest()
        assert numbers(call.router.texts) == [1, 2, 1]


@in_virtual_time
async def test_a_text_overtakes_queued_audio_while_the_router_reads() -> None:
    async with Conversation(playback={"lead_ms": 200}) as call:
        await call.client.send_audio_buffer(FRAME * 500)
        await asyncio.sleep(1.0)
        before = len(call.router.frames)
        await call.client.send_json_packet(text(1))
        await rest()
        assert numbers(call.router.texts) == [1]
        assert len(call.router.frames) <= before + 1


@in_virtual_time
async def test_a_text_at_rest_costs_no_round() -> None:
    async with Conversation() as call:
        call.client.set_handler(on_message=lambda message: None)
        await call.router_sends(FRAME)
        coroutine = call.client.send_json_packet("{}")
        with pytest.raises(StopIteration):
            coroutine.send(None)
