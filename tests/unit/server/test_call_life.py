# SPDX-License-Identifier: Apache-2.0
"""Calls that are lost, taken up, closed and cut in any order, under tasks that wait: all come to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.redials import RESUME_S, Scene, ids, sentence

from audio_connector.errors import DialError, VideoError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.testing.virtual_time import rest, run_in_virtual_time
from audio_connector.wire.memory import MemoryTransport


async def hear(client: AudioConnectorConnection) -> None:
    async for _ in client.audio():
        pass


async def follow(client: AudioConnectorConnection) -> None:
    async for _ in client.events():
        pass


async def speak(client: AudioConnectorConnection) -> None:
    async with client.speech() as speech:
        await speech.write(sentence(80))
    await speech.finished()


TASKS: dict[str, Callable[[AudioConnectorConnection], Coroutine[Any, Any, Any]]] = {
    "hear": hear,
    "follow": follow,
    "speak": speak,
    "write": lambda client: client.send_audio_buffer(sentence(80)),
    "wait": lambda client: client.wait_until_played(),
    "flush": lambda client: client.flush_buffer(),
    "text": lambda client: client.send_json_packet({"a": 1}),
    "close": lambda client: client.close(after_playback=True, timeout=1.0),
}


class Play:
    """Steps, each with a number that says on whom."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.sockets: list[MemoryTransport] = []
        self.tasks: list[asyncio.Future[Any]] = []

    async def dial(self, number: int) -> None:
        with_ids = ids(f"c{number % 2}")
        try:
            self.sockets.append(await self.scene.dial(with_ids, rate_hz=16000 if number % 3 else None))
        except DialError as error:
            assert error.status in {429, 503}  # noqa: PT017

    async def lose(self, number: int) -> None:
        if self.sockets:
            self.sockets.pop(number % len(self.sockets)).reset()

    async def hang_up(self, number: int) -> None:
        if self.sockets:
            self.sockets.pop(number % len(self.sockets)).close(1000)

    async def say(self, number: int) -> None:
        if self.sockets:
            socket = self.sockets[number % len(self.sockets)]
            if not socket.is_closing:
                socket.send_audio(bytes(640))

    async def read_no_more(self, number: int) -> None:
        if self.sockets:
            self.sockets[number % len(self.sockets)].pause_reading()

    async def begin(self, number: int) -> None:
        if clients := self.scene.app.connected:
            do = list(TASKS.values())[number % len(TASKS)]
            self.tasks.append(asyncio.ensure_future(do(clients[number // len(TASKS) % len(clients)])))
            await asyncio.sleep(0)

    async def cancel(self, number: int) -> None:
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    async def disconnect(self, number: int) -> None:
        if clients := self.scene.app.connected:
            clients[number % len(clients)].disconnect()

    async def pass_time(self, number: int) -> None:
        await asyncio.sleep(number / 20)

    async def pass_long(self, number: int) -> None:
        await asyncio.sleep(number * RESUME_S / 20)


STEPS = sorted(name for name in vars(Play) if not name.startswith("_"))


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 31)), max_size=20), st.booleans())
@settings(deadline=None)
def test_all_tasks_come_to_their_end_and_no_call_is_left(steps: list[tuple[str, int]], stops: bool) -> None:
    async def run() -> None:
        async with Scene() as scene:
            play = Play(scene)
            for name, number in steps:
                await getattr(play, name)(number)
            if not stops:
                for socket in play.sockets:
                    socket.reset()
                await asyncio.sleep(60.0)
                check(scene)
        await rest()
        check(scene)
        done, pending = await asyncio.wait(play.tasks, timeout=60.0) if play.tasks else (set(), set())
        assert pending == set()
        for task in done:
            assert task.cancelled() or task.exception() is None or isinstance(task.exception(), VideoError)
        assert len(scene.app.ends) == len(scene.app.connected)

    def check(scene: Scene) -> None:
        assert dict(scene.handle.connections) == {}
        assert scene.handle.sessions == {}
        if scene._server._running is not None:
            running, side = scene._server._running, scene.side
            assert (running.sessions, running.lines, side.links) == ({}, {}, {})
            assert (side._by_identity, side._identities, side._admission._open) == ({}, {}, {})
            assert not side._admission._addresses + side._admission._sessions

    run_in_virtual_time(run())
