# SPDX-License-Identifier: Apache-2.0
"""The rate is not guessed as long as something may tell it: what is written early has its pitch and length."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from support.bare_call import bare_call, pitch_hz, sine

from audio_connector import AudioConnectorConnection
from audio_connector.testing.virtual_time import in_virtual_time

Talk = Callable[[AudioConnectorConnection, int], Awaitable[object]]


async def unlabelled(client: AudioConnectorConnection, rate_hz: int) -> None:
    """All at once, of the router's rate, whatever that is."""
    await client.send_audio_buffer(sine(1, rate_hz), pad_last_frame=True)


async def in_odd_pieces(client: AudioConnectorConnection, rate_hz: int) -> None:
    pcm = sine(1, rate_hz)
    for at in range(0, len(pcm), 333):
        await client.send_audio_buffer(pcm[at : at + 333])


async def labelled(client: AudioConnectorConnection, rate_hz: int) -> None:
    await client.send_audio_buffer(sine(1, 22050), sample_rate=22050, pad_last_frame=True)


async def as_an_array(client: AudioConnectorConnection, rate_hz: int) -> None:
    await client.send_audio_buffer(
        np.frombuffer(sine(1, 16000), "<i2"), sample_rate=16000, pad_last_frame=True
    )


async def as_a_speech(client: AudioConnectorConnection, rate_hz: int) -> None:
    pcm = sine(1, 24000)
    async with client.speech() as speech:
        for at in range(0, len(pcm), 777):
            await speech.write(pcm[at : at + 777], sample_rate=24000)


async def mixed(client: AudioConnectorConnection, rate_hz: int) -> None:
    await client.send_audio_buffer(sine(0.25, 24000), sample_rate=24000)
    await client.send_audio_buffer(sine(0.5, rate_hz))
    await client.send_audio_buffer(sine(0.25, 16000), sample_rate=16000, pad_last_frame=True)


WAYS = [unlabelled, in_odd_pieces, labelled, as_an_array, as_a_speech, mixed]

NO_RATE = '{"event":"websocket:connected"}'
OTHER_RATE = '{"event":"websocket:connected","content-type":"audio/l16;rate=44100"}'
NO_FIRST = '{"some":"text"}'

BEGINNINGS: dict[str, tuple[float | None, float | None, str | None]] = {
    "the first text comes at once": (0.0, None, None),
    "late": (0.1, None, None),
    "behind audio": (0.1, 0.05, None),
    "behind audio, when it is too late": (2.0, 0.1, None),
    "never": (None, 0.05, None),
    "and says no rate": (0.01, 0.05, NO_RATE),
    "and says another one": (0.01, 0.05, OTHER_RATE),
    "and is another text": (0.01, 0.05, NO_FIRST),
}
"""When the first text comes, and audio, and what the text is where it does not say the rate."""


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("talk", WAYS)
@pytest.mark.parametrize("beginning", BEGINNINGS)
@in_virtual_time
async def test_what_is_written_in_on_connect_has_its_pitch_and_length(
    beginning: str, talk: Talk, rate_hz: int
) -> None:
    first_s, audio_s, text = BEGINNINGS[beginning]
    loop = asyncio.get_running_loop()
    speaking: list[asyncio.Task[None]] = []
    async with bare_call(
        lambda client: talk(client, rate_hz), rate_hz=rate_hz, first_s=first_s if text is None else None
    ) as (client, router):
        if text is not None and first_s is not None:
            loop.call_later(first_s, router.socket.send_text, text)
        if audio_s is not None:
            loop.call_later(audio_s, lambda: speaking.append(loop.create_task(router.say_silence(rate_hz))))
        await asyncio.sleep(2.5)
        heard = router.loud()
        assert {len(frame) for _, frame in router.frames} == {rate_hz // 25}
        assert len(heard) / rate_hz == pytest.approx(1, abs=0.03)
        assert pitch_hz(heard, rate_hz) == pytest.approx(440, abs=5)
        assert client.format.rate_hz == rate_hz
    for task in speaking:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@in_virtual_time
async def test_where_nothing_tells_it_the_deadline_is_the_last_resort() -> None:
    async with bare_call(lambda client: unlabelled(client, 16000), first_s=None) as (_, router):
        await asyncio.sleep(0.24)
        assert router.frames == []
        await asyncio.sleep(2)
        assert len(router.loud()) == pytest.approx(16000, abs=100)


@in_virtual_time
async def test_who_it_is_is_known_although_the_rate_is_not() -> None:
    async with bare_call(first_s=None) as (client, router):
        router.socket.send_text('{"event":"websocket:connected","sessionId":"s1"}')
        await asyncio.sleep(0.02)
        assert client.session_id == "s1"
        router.socket.send_audio(bytes(320))
        await asyncio.sleep(0.02)
        assert client.format.rate_hz == 8000
