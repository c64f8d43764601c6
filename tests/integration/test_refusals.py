# SPDX-License-Identifier: Apache-2.0
"""What a refused call leaves behind: nothing is lost, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from support.peers import calling, next_audio, next_text
from support.serving import sawtooth, serving, until
from websockets.asyncio.client import ClientConnection

from audio_connector import (
    AudioConnectorConnection,
    AudioDataError,
    AudioFormatError,
    HandlerError,
    MessageError,
    Playback,
    UsageError,
)

Call = Callable[[AudioConnectorConnection], Awaitable[Any]]


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[AudioConnectorConnection, ClientConnection]]:
    # With an on_connect messages are kept for who asks for them late.
    async with serving(lambda _: None, **options) as handle, calling(handle.get_address()) as caller:
        await until(
            lambda: handle.connections and handle.connections.all()[0].statistics().text_messages_received,
            "the first message",
        )
        yield handle.connections.all()[0], caller


BAD_AUDIO: dict[str, tuple[Call, type[Exception], str]] = {
    "text": (lambda c: c.send_audio_buffer("abc"), AudioDataError, "got audio of type str"),  # type: ignore[arg-type]
    "nothing, at the end": (
        lambda c: c.send_audio_buffer(None, pad_last_frame=True),  # type: ignore[arg-type]
        AudioDataError,
        "got audio of type NoneType",
    ),
    "an odd end": (
        lambda c: c.send_audio_buffer(b"12", pad_last_frame=True),
        AudioDataError,
        "(2 in this call)",
    ),
    "an odd view": (
        lambda c: c.send_audio_buffer(memoryview(b"1234").cast("h"), pad_last_frame=True),
        AudioDataError,
        "(4 in this call)",
    ),
    "an array behind half a sample": (
        lambda c: c.send_audio_buffer(np.zeros(320, np.int16)),
        AudioDataError,
        "got a numpy array while half a sample of the router's rate waits",
    ),
    "another rate behind half a sample": (
        lambda c: c.send_audio_buffer(b"12", sample_rate=8000),
        AudioDataError,
        "got audio at 8000 Hz while half a sample of the router's rate waits",
    ),
    "no rate": (
        lambda c: c.send_audio_buffer(b"1", sample_rate=0),
        AudioFormatError,
        "got the sample rate 0",
    ),
    "a rate that is no int": (
        lambda c: c.send_audio_buffer(b"1", sample_rate=8000.0),  # type: ignore[arg-type]
        AudioFormatError,
        "got the sample rate 8000.0",
    ),
    "a frame of no bytes": (
        lambda c: c.send_audio_buffer(b"1", bytes_per_sample=-1),
        UsageError,
        "bytes_per_sample=-1",
    ),
    "a frame of 15 ms": (lambda c: c.send_audio_buffer(b"1", frames_ms=15), UsageError, "frames_ms=15"),
}


@pytest.mark.parametrize("name", BAD_AUDIO)
async def test_refused_audio_leaves_the_half_sample_that_waits(name: str) -> None:
    call, kind, text = BAD_AUDIO[name]
    async with connected() as (client, caller):
        audio = sawtooth(320)
        await client.send_audio_buffer(audio[:333])
        with pytest.raises(kind) as caught:
            await call(client)
        assert text in str(caught.value)
        await client.send_audio_buffer(audio[333:], pad_last_frame=True)
        assert await next_audio(caller, 1) == [audio]
        await until(lambda: client.statistics().audio_messages_sent == 1, "the figures")


@pytest.mark.parametrize(
    ("audio", "options", "kind"),
    [
        ("abc", {}, AudioDataError),
        (b"123", {"pad_last_frame": True}, AudioDataError),
        (b"12", {"sample_rate": 1}, AudioFormatError),
        (b"12", {"frames_ms": 1}, UsageError),
        (np.array([np.inf], np.float32), {}, AudioDataError),
    ],
)
async def test_refused_audio_cuts_nothing_off(
    audio: Any, options: dict[str, Any], kind: type[Exception]
) -> None:
    """Also where the same call asked for a flush."""
    async with connected() as (client, caller):
        await client.send_audio_buffer(sawtooth(320 * 20), pad_last_frame=True)
        with pytest.raises(kind):
            await client.send_audio_buffer(audio, flush_buffer=True, **options)
        assert b"".join(await next_audio(caller, 20)) == sawtooth(320 * 20)
        assert client.statistics().text_messages_sent == 0


async def test_refused_texts_send_nothing() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    bad: list[Any] = [
        "",
        "{",
        "nan",
        '{"a":1}x',
        b"{}",
        None,
        5,
        {1, 2},
        {"a": float("nan")},
        '"\ud800"',
        deep,
    ]
    async with connected() as (client, caller):
        for text in bad:
            with pytest.raises(MessageError):
                await client.send_json_packet(text)
        await client.send_json_packet('{"good":1}')
        assert await next_text(caller) == '{"good":1}'
        await until(lambda: client.statistics().text_messages_sent == 1, "the figures")


async def test_a_refused_handler_leaves_those_that_were_set() -> None:
    heard: list[object] = []
    async with connected() as (client, caller):
        client.set_handler(on_audio=heard.append)
        handlers: list[dict[str, Any]] = [
            {"on_message": 5},
            {"on_error": "x"},
            {"on_disconnect": lambda a, b: None},
        ]
        for bad in handlers:
            with pytest.raises(HandlerError):
                client.set_handler(**{"on_audio": print, **bad})
        await caller.send(sawtooth(320))
        await until(lambda: heard, "the frame")


async def test_a_refused_lead_changes_nothing() -> None:
    async with connected() as (client, caller):
        for bad in (0, -1, 61, float("nan"), True, "5"):
            with pytest.raises(
                UsageError, match=r"^active_seconds=.*: expected seconds, more than 0 and at most 60"
            ):
                client.set_buffer_timing(bad)  # type: ignore[arg-type]
        begun = asyncio.get_running_loop().time()
        await client.send_audio_buffer(sawtooth(320 * 20), pad_last_frame=True)
        await next_audio(caller, 20)
        assert asyncio.get_running_loop().time() - begun > 0.15  # the lead still is 200 ms


async def test_a_send_that_is_cancelled_while_it_waits_lets_the_next_one_through() -> None:
    async with connected(playback=Playback(max_buffer_s=0.2, lead_ms=40)) as (client, caller):
        await client.send_audio_buffer(sawtooth(320 * 20))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.send_audio_buffer(b"\x01\x01" * 320), 0.02)
        await client.flush_buffer()
        await client.send_audio_buffer(b"\x02\x02" * 320, pad_last_frame=True)
        heard = await next_audio(caller, 1)
        while heard[-1] != b"\x02\x02" * 320:
            heard += await next_audio(caller, 1)
        assert b"\x01\x01" * 320 not in heard
