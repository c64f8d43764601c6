# SPDX-License-Identifier: Apache-2.0
"""Audio in JSON: a router of another library, whose messages are written by hand, and a real server of ours."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.peers import first_message, how_closed
from support.serving import DEADLINE_S, Listener, joined, sawtooth, serving, until
from websockets.asyncio.client import ClientConnection, connect

from audio_connector import (
    AudioConnectorConnection,
    AudioTransport,
    Connected,
    Flushed,
    MediaUpdate,
    ProtocolError,
)

FRAMES = 40


class Router:
    """A media router in JSON mode, told the body of the REST call."""

    def __init__(self, connection: ClientConnection, body: Mapping[str, Any]) -> None:
        self.connection = connection
        self._sends = body.get("audio_field", "audio")
        self._receives = body.get("receive_audio_field", self._sends)
        self._static = body.get("static_fields", {})
        self.others: list[dict[str, Any]] = []

    async def say(self, pcm: bytes, *, field: str | None = None) -> None:
        encoded = base64.standard_b64encode(pcm).decode()
        await self.connection.send(json.dumps({**self._static, field or self._sends: encoded}, indent=1))

    async def hear(self, frames: int, *, field: str | None = None) -> list[bytes]:
        """So many frames; every message has to be a text, and one of audio has no other key."""
        heard: list[bytes] = []
        while len(heard) < frames:
            message = await asyncio.wait_for(self.connection.recv(), DEADLINE_S)
            assert isinstance(message, str)
            values = json.loads(message)
            encoded = values.pop(field or self._receives, None)
            if encoded is None:
                self.others.append(values)
            else:
                assert values == {}
                heard.append(base64.b64decode(encoded, validate=True))
        return heard


@asynccontextmanager
async def routing(address: str, body: Mapping[str, Any], *, rate_hz: int = 16000) -> AsyncIterator[Router]:
    async with connect(address, compression=None, close_timeout=DEADLINE_S, max_queue=None) as connection:
        await connection.send(first_message(rate_hz))
        yield Router(connection, body)


async def echo(client: AudioConnectorConnection) -> None:
    async for frame in client.audio():
        await client.send_audio_buffer(frame)


async def first_event(client: AudioConnectorConnection) -> None:
    """Wait for the message that says the rate."""
    async for event in client.events():
        assert isinstance(event, Connected)
        return


BODIES: list[dict[str, Any]] = [
    {"transport": "json", "encoding": "base64"},
    {"transport": "json", "encoding": "base64", "audio_field": "payload"},
    {"transport": "json", "encoding": "base64", "audio_field": "up", "receive_audio_field": "down"},
    {
        "transport": "json",
        "encoding": "base64",
        "audio_field": "audio.chunk \N{SNOWMAN}",
        "static_fields": {"event": "media", "nested": {"audio": "AAAA"}, "audio": None, "one": 1},
    },
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.get("audio_field", "defaults"))
async def test_speech_goes_both_ways(body: dict[str, Any]) -> None:
    speech = sawtooth(FRAMES * 320)
    async with serving(echo, audio_transport=body) as handle, routing(handle.get_address(), body) as router:
        for at in range(FRAMES):
            await router.say(speech[at * 640 : (at + 1) * 640])
        heard = await router.hear(FRAMES)
        assert {len(frame) for frame in heard} == {640}
        assert joined(heard) == speech
        assert router.others == []


@pytest.mark.parametrize(("rate_hz", "frame_bytes"), [(8000, 320), (16000, 640), (24000, 960)])
async def test_every_message_is_20_ms_at_every_rate(rate_hz: int, frame_bytes: int) -> None:
    async def speak(client: AudioConnectorConnection) -> None:
        await first_event(client)
        async with client.speech() as speech:
            await speech.write(sawtooth(frame_bytes * 5 // 2 + 100))

    async with (
        serving(speak, audio_transport="json") as handle,
        routing(handle.get_address(), {}, rate_hz=rate_hz) as router,
    ):
        heard = await router.hear(6)
    assert {len(frame) for frame in heard} == {frame_bytes}
    said = sawtooth(frame_bytes * 5 // 2 + 100)
    assert joined(heard) == said.ljust(6 * frame_bytes, b"\0")


async def test_names_that_are_swapped_are_heard_and_the_documented_one_is_sent() -> None:
    """The router of whoever reads the two names from the server's side (PROTOCOL 4.32)."""
    body = {"transport": "json", "audio_field": "up", "receive_audio_field": "down"}
    speech = sawtooth(FRAMES * 320)
    async with serving(echo, audio_transport=body) as handle, routing(handle.get_address(), body) as router:
        for at in range(FRAMES):
            await router.say(speech[at * 640 : (at + 1) * 640], field="down")
        assert joined(await router.hear(FRAMES, field="down")) == speech


async def test_events_and_binary_audio_interleave() -> None:
    listener = Listener()
    async with (
        serving(listener, audio_transport=AudioTransport(transport="json")) as handle,
        routing(handle.get_address(), {}) as router,
    ):
        mute = '{"event":"websocket:media:update","active":false,"audio":"AAAA"}'
        unknown = '{"event":"session:stream:created","stream":"s"}'
        first, second, third = (sawtooth(320, start=at) for at in (0, 320, 640))
        await router.say(first)
        await router.connection.send(mute)
        await router.connection.send(second)
        await router.connection.send(unknown)
        await router.say(third)
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 6, "all messages")
        assert heard.messages == [first_message(), first, mute, second, unknown, third]
        await until(lambda: heard.client.statistics().audio_messages_received == 3, "the figures")
        statistics = heard.client.statistics()
        assert (statistics.audio_messages_received, statistics.text_messages_received) == (3, 3)
        assert statistics.unreadable_messages_received == 0
        assert not heard.client.is_active


async def test_events_are_typed_as_ever() -> None:
    events: list[object] = []

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=events.append)

    async with (
        serving(on_connect, audio_transport="json") as handle,
        routing(handle.get_address(), {}) as router,
    ):
        await router.connection.send('{"event":"websocket:media:update","active":true}')
        await until(lambda: len(events) == 2, "both events")
        assert events[1] == MediaUpdate(active=True)


async def test_a_flush_is_a_text_among_texts() -> None:
    flushed: list[Flushed] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        await first_event(client)
        async with client.speech() as speech:
            await speech.write(sawtooth(320) * 200)
            await asyncio.sleep(0.1)
            flushed.append(await client.flush_buffer())

    async with (
        serving(on_connect, audio_transport="json") as handle,
        routing(handle.get_address(), {}) as router,
    ):
        await router.hear(5)
        while {"action": "clear"} not in router.others:
            message = json.loads(await asyncio.wait_for(router.connection.recv(), DEADLINE_S))
            if "audio" not in message:
                router.others.append(message)
        await until(lambda: flushed, "the flush")
        assert flushed[0].discarded_ms > 3000


async def test_what_should_be_audio_and_is_none_is_reported_once_and_counted() -> None:
    listener = Listener()
    bad = ['{"audio":"not base64"}', '{"audio":"AA=="}', '{"audio":"AAA"}']
    async with (
        serving(listener, audio_transport="json") as handle,
        routing(handle.get_address(), {}) as router,
    ):
        frame = sawtooth(320)
        for text in bad:
            await router.connection.send(text)
            await router.say(frame)
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 7, "all messages")
        assert heard.texts[1:] == bad
        assert heard.audio == [frame] * 3
        [error] = heard.errors
        assert isinstance(error, ProtocolError)
        assert str(error) == (
            "got 'not base64' of 10 characters, which is not base64, as audio; expected base64 of whole 16-bit "
            "samples under 'audio' in a JSON text; the text was handed on as it came. Compare audio_transport with "
            "audioTransport of the REST call"
        )
        await until(lambda: heard.client.statistics().unreadable_messages_received == 3, "the figures")
        heard.client.disconnect()
        assert await how_closed(router.connection) == (1000, "")


async def test_each_connection_is_told_of_its_own() -> None:
    listener = Listener()
    async with serving(listener, audio_transport="json") as handle:
        for number in range(2):
            async with routing(handle.get_address(), {}) as router:
                await router.connection.send('{"audio":"!"}')
                heard = await listener.call(number)
                await until(lambda heard=heard: heard.errors, "the error")  # type: ignore[misc]


async def test_without_it_such_a_text_is_a_text() -> None:
    listener = Listener()
    async with serving(listener) as handle, routing(handle.get_address(), {}) as router:
        await router.say(sawtooth(320))
        heard = await listener.call()
        await until(lambda: len(heard.messages) == 2, "both messages")
        assert heard.audio == []
        assert heard.errors == []
