# SPDX-License-Identifier: Apache-2.0
"""Audio that comes about as fast as it is heard, at any rate, in pieces of any length: a sine stays one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from support.bare_call import bare_call, clicks, sine

from audio_connector import AudioConnectorConnection, PlaybackOverflow, Played
from audio_connector.testing.virtual_time import in_virtual_time

Write = Callable[[bytes], Awaitable[None]]


async def in_time(write: Write, pcm: bytes, rate_hz: int, sizes: range, jitter_s: float, seed: int) -> None:
    """Each piece when its last sample was spoken, or a little later."""
    dice, loop = random.Random(seed), asyncio.get_running_loop()
    begun, at = loop.time(), 0
    while at < len(pcm):
        piece = pcm[at : at + dice.choice(sizes)]
        at += len(piece)
        due = begun + at / 2 / rate_hz + jitter_s * dice.random()
        await asyncio.sleep(max(0.0, due - loop.time()))
        await write(piece)


@pytest.mark.parametrize("seed", [11, 12, 13])
@in_virtual_time
async def test_pieces_of_odd_length_about_as_fast_as_they_are_heard_are_no_noise(seed: int) -> None:
    async with bare_call() as (client, router):
        pcm = sine(5, 16000, amplitude=3000)
        await in_time(client.send_audio_buffer, pcm, 15500, range(401, 7001), 0.12, seed)
        await asyncio.wait_for(client.wait_until_played(), 5)
        assert np.abs(router.samples).max() <= 3000
        assert len(router.loud()) >= 5 * 16000 - 100


@pytest.mark.parametrize("is_speech", [False, True])
@pytest.mark.parametrize("jitter_s", [0.0, 0.05])
@pytest.mark.parametrize(
    ("source_hz", "rate_hz"),
    [(8000, 16000), (24000, 8000), (16000, 24000), (22050, 16000), (44100, 8000), (16000, 16000)],
)
@in_virtual_time
async def test_a_relay_has_no_clicks(source_hz: int, rate_hz: int, jitter_s: float, is_speech: bool) -> None:
    """With 20 ms a piece and 50 ms of jitter, which the 100 ms that are gathered first ride out."""
    frame_bytes = source_hz // 50 * 2
    sizes = range(frame_bytes - 7, frame_bytes + 8)
    pcm = sine(4, source_hz)
    async with bare_call(rate_hz=rate_hz) as (client, router):
        if is_speech:
            async with client.speech() as speech:
                await in_time(
                    lambda piece: speech.write(piece, sample_rate=source_hz),
                    pcm,
                    source_hz,
                    sizes,
                    jitter_s,
                    1,
                )
        else:
            await in_time(
                lambda piece: client.send_audio_buffer(piece, sample_rate=source_hz),
                pcm, source_hz, sizes, jitter_s, 1,
            )  # fmt: skip
        assert await asyncio.wait_for(client.wait_until_played(), 5) == Played(4000.0)
        heard = router.loud()
        assert len(heard) == pytest.approx(4 * rate_hz, abs=20)
        assert clicks(heard[20:-20], rate_hz) == 0
        assert client.statistics().underruns == 0


@pytest.mark.parametrize(
    "rates_hz", [(24000, 16000), (22050, 8000), (44100, 24000), (8000, 24000), (16000, 16000)]
)
@pytest.mark.parametrize("seconds", [0.077, 0.77])
@in_virtual_time
async def test_the_end_of_a_sentence_is_heard_before_the_next_one(
    rates_hz: tuple[int, int], seconds: float
) -> None:
    """And what follows, in the same speech, is heard whole as well."""
    source_hz, rate_hz = rates_hz
    sentence = sine(seconds, source_hz)
    async with bare_call(rate_hz=rate_hz) as (client, router):
        async with client.speech() as speech:
            for number in (1, 2):
                await speech.write(sentence, sample_rate=source_hz)
                await asyncio.sleep(2)
                frames = round(seconds * 50 + 0.5)
                assert frames * number <= len(router.frames) <= (frames + 1) * number
                sound_s = float((router.samples**2).sum()) / (8000**2 / 2) / rate_hz
                assert sound_s == pytest.approx(number * seconds, rel=0.02)
        assert isinstance(await speech.finished(), Played)


# Behind.


async def live(client: AudioConnectorConnection, seconds: int, *, stall_s: float) -> list[float]:
    """A frame every 20 ms, once late by so much and then all at once; returns the delay after each second."""
    loop = asyncio.get_running_loop()
    begun, pcm, delays_ms = loop.time(), sine(seconds, 16000), []
    for number in range(seconds * 50):
        due = (number + 1) * 0.02
        if 3 <= due < 3 + stall_s:
            due = 3 + stall_s
        await asyncio.sleep(max(0.0, begun + due - loop.time()))
        await client.send_audio_buffer(pcm[number * 640 : (number + 1) * 640])
        if number % 50 == 49:
            delays_ms.append(client.playback.delay_ms)
    return delays_ms


@pytest.mark.parametrize("stall_s", [1.0, 2.5])
@in_virtual_time
async def test_a_live_relay_that_fell_behind_recovers_where_it_is_told_to(stall_s: float) -> None:
    errors: list[Exception] = []

    async def begin(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append)

    async with bare_call(begin, playback={"max_delay_ms": 300}) as (client, router):
        await asyncio.sleep(0.1)
        delays_ms = await live(client, 10, stall_s=stall_s)
        assert max(delays_ms[7:]) <= 300
        await client.wait_until_played()
        statistics = client.statistics()
        assert [type(error) for error in errors] == [PlaybackOverflow]
        assert statistics.skips > 0
        assert statistics.skipped_ms == pytest.approx(stall_s * 1000 - 200, abs=120)
        assert client.playback.skipped_ms == statistics.skipped_ms
        heard = router.loud()
        assert len(heard) / 16 == pytest.approx(10_000 - statistics.skipped_ms, abs=30)
        jumps = np.abs(np.diff(heard)).max()
        assert jumps < 2 * 8000 * 2 * np.pi * 440 / 16000  # blended, not cut


@in_virtual_time
async def test_without_a_bound_all_of_it_is_heard_late() -> None:
    async with bare_call() as (client, router):
        delays_ms = await live(client, 8, stall_s=1.0)
        assert min(delays_ms[5:]) >= 800
        await client.wait_until_played()
        assert client.statistics().skips == 0
        assert len(router.loud()) == pytest.approx(8 * 16000, abs=20)


@in_virtual_time
async def test_a_speech_is_never_cut_by_the_bound() -> None:
    async with bare_call(playback={"max_delay_ms": 300}) as (client, router):
        async with client.speech() as speech:
            await speech.write(sine(3, 16000))
        outcome: Any = await speech.finished()
        assert outcome == Played(3000.0)
        assert len(router.loud()) == pytest.approx(3 * 16000, abs=20)
