# SPDX-License-Identifier: Apache-2.0
"""A call that is over is gone at once, whatever the application did with it: no garbage collection has to find it.

Calls that wait for one are many on a busy server, and then it takes longer than a frame, for which all others wait.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.peers import BINARY, FRAME, TEXT, Frame, bare, close_frame, first_message
from support.serving import sawtooth, serving, speak_and_iterate, until

from audio_connector import AudioConnectorConnection, ConnectionClosed, Disconnected, FlightRecorder
from audio_connector.call.machine import Call
from audio_connector.server.link import Link
from audio_connector.server.session import Session

OF_A_CALL = (AudioConnectorConnection, Session, Link, Call)
CALLS = 8


class Bot:
    """Most applications are such: an object of each call, whose methods are its handlers."""

    def __init__(self, client: AudioConnectorConnection) -> None:
        self.client = client
        self.how: Disconnected | None = None
        client.set_handler(self.on_message, self.on_disconnect, on_error=self.on_error)

    async def on_message(self, message: bytes | str) -> None:
        if isinstance(message, bytes):
            await self.client.send_audio_buffer(message)

    def on_error(self, error: Exception) -> None:
        del error

    def on_disconnect(self, how: Disconnected) -> None:
        self.how = how


async def handlers_within(client: AudioConnectorConnection) -> None:
    async def on_audio(pcm: bytes) -> None:
        await client.send_audio_buffer(pcm)

    def on_disconnect() -> None:
        client.set_handler(on_audio=on_audio)  # too late, and it does no harm

    client.set_handler(on_audio=on_audio, on_disconnect=on_disconnect)


async def handlers_that_fail(client: AudioConnectorConnection) -> None:
    async def on_audio(pcm: bytes) -> None:
        await client.send_audio_buffer(pcm)
        raise ValueError(f"{client.id}: {len(pcm)}")

    client.set_handler(on_audio=on_audio)


async def an_on_connect_that_fails(client: AudioConnectorConnection) -> None:
    client.set_handler(on_audio=client.send_audio_buffer)
    raise ValueError(client.id)


async def music_that_nobody_stops(client: AudioConnectorConnection) -> None:
    try:
        while True:
            await client.send_audio_buffer(sawtooth(16000))
    except ConnectionClosed:
        pass


async def come_and_go(address: str, number: int) -> None:
    async with bare(address) as peer:
        peer.send(Frame(TEXT, first_message(16000).encode()))
        peer.send(Frame(BINARY, FRAME))
        await peer.frame()
        if number % 2:
            peer.send(close_frame(1000))
            await peer.rest()


def left() -> int:
    return sum(type(each) in OF_A_CALL for each in gc.get_objects())


@asynccontextmanager
async def without_collections() -> AsyncIterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def nothing_is_logged() -> Iterator[None]:
    """Pytest keeps what is logged, and errors with it."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)  # not by the manager's attribute: each logger remembers what it said


@pytest.mark.usefixtures("nothing_is_logged")
@pytest.mark.parametrize("flight_recorder", [False, True])
@pytest.mark.parametrize(
    "on_connect",
    [
        Bot,
        handlers_within,
        handlers_that_fail,
        an_on_connect_that_fails,
        speak_and_iterate,
        music_that_nobody_stops,
    ],
)
async def test_no_collection_has_to_find_a_call_that_is_over(
    on_connect: Callable[[AudioConnectorConnection], Awaitable[None]],
    flight_recorder: bool,
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {"flight_recorder": FlightRecorder(folder=tmp_path)} if flight_recorder else {}
    async with serving(on_connect, **settings) as handle, without_collections():
        await asyncio.gather(*(come_and_go(handle.get_address(), number) for number in range(CALLS)))
        await until(lambda: len(handle.connections) == 0, "the end of all calls")
        await until(lambda: left() == 0, "the last trace of all calls")
