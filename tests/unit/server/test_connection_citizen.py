# SPDX-License-Identifier: Apache-2.0
"""An application that never waits lets its other handlers run; where nobody needs the loop, nothing is given away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.audio import numbered
from support.conversation import Conversation
from support.serving import Listener, serving, until

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.testing.virtual_time import in_virtual_time
from audio_connector.wire import picows

FRAME = numbered(7, 640)


async def speak(client: AudioConnectorConnection) -> None:
    await client.send_audio_buffer(FRAME)


async def begin(client: AudioConnectorConnection) -> None:
    async with client.speech():
        pass


async def text(client: AudioConnectorConnection) -> None:
    await client.send_json_packet("{}")


ENDLESS: dict[str, Callable[[AudioConnectorConnection], Coroutine[Any, Any, None]]] = {
    "audio": speak,
    "a text": text,
    "a speech": begin,
}


class Router:
    """It only notes what it is sent."""

    def __init__(self) -> None:
        self.frames = 0

    def on_audio(self, payload: bytes) -> None:
        self.frames += 1

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda *_: None
        raise AttributeError(name)


@pytest.mark.parametrize("what", list(ENDLESS))
async def test_an_endless_loop_of_sending_lets_the_other_handlers_run(what: str) -> None:
    app, told = Listener(), []
    async with serving(app) as handle:
        socket = await picows.dial(handle.get_address(), Router())
        heard = await app.call()
        await until(lambda: heard.client._line.owes_work() or True, "anything")
        for number in range(5):
            socket.send_text(f'{{"number":{number}}}')
        spins = 0
        while len(heard.texts) < 5:  # awaits nothing but what is tested
            await ENDLESS[what](heard.client)
            spins += 1
            assert spins < 1_000_000
        told += heard.texts
        socket.close()
        await app.ended()
    assert len(told) == 5


@in_virtual_time
async def test_in_the_steady_state_of_an_echo_no_round_is_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float, *rest: Any) -> None:
        if seconds == 0:
            rounds.append(seconds)
        await sleep(seconds, *rest)

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_message(message: bytes | str) -> None:
            if isinstance(message, bytes):
                await client.send_audio_buffer(message)

        client.set_handler(on_message=on_message)

    async with Conversation(on_connect) as call:
        for number in range(300):
            if number == 50:
                monkeypatch.setattr("audio_connector.server.connection.asyncio.sleep", counted)
            call.router_socket.send_audio(FRAME)
            await sleep(0.02)
        monkeypatch.undo()
        assert len(call.router.frames) == 300
    assert rounds == []
