# SPDX-License-Identifier: Apache-2.0
"""When what is played leaves, and when it counts as heard: in virtual time, where nothing else is late."""

from __future__ import annotations

import asyncio

import pytest
from support.bare_call import bare_call
from support.serving import sawtooth, until

from audio_connector import Playback, Played
from audio_connector.testing.virtual_time import in_virtual_time


@pytest.mark.parametrize("pad", [True, False])
@in_virtual_time
async def test_a_remainder_is_padded_when_nothing_follows(pad: bool) -> None:
    async with bare_call() as (client, router):
        begun = asyncio.get_running_loop().time()
        await client.send_audio_buffer(b"\x05\x06" * 5, pad_last_frame=pad)
        await asyncio.sleep(2)
        [(at, frame)] = router.frames
        assert frame == (b"\x05\x06" * 5).ljust(640, b"\0")
        assert at - begun < 0.1 if pad else 0.1 <= at - begun < 1


@in_virtual_time
async def test_no_frame_comes_after_its_time() -> None:
    """Unless something else has the machine meanwhile, which is left out here."""
    async with bare_call(playback=Playback(lead_ms=200)) as (client, router):
        await client.send_audio_buffer(sawtooth(16000), pad_last_frame=True)
        await client.wait_until_played()
    first_at = router.frames[0][0]
    early_s = [number * 0.02 - (at - first_at) for number, (at, _) in enumerate(router.frames)]
    assert len(early_s) == 50
    assert 0 < min(early_s[1:]) < max(early_s) <= 0.201


@in_virtual_time
async def test_wait_until_played_waits_for_the_router() -> None:
    async with bare_call() as (client, _):
        clock = asyncio.get_running_loop().time
        begun = clock()
        await client.send_audio_buffer(sawtooth(320 * 10))
        assert isinstance(await client.wait_until_played(), Played)
        assert 0.19 < clock() - begun < 0.6
        first_at = clock()
        assert isinstance(await client.wait_until_played(), Played)
        assert clock() - first_at < 0.01
        state = client.playback
    assert (state.queued_ms, state.in_flight_ms, state.played_ms, state.underruns) == (0.0, 0.0, 200.0, 0)


@in_virtual_time
async def test_an_echoed_notify_corrects_the_clock() -> None:
    """The router says that it has heard everything; ours had guessed later."""
    async with bare_call() as (client, router):
        begun = asyncio.get_running_loop().time()
        await client.send_audio_buffer(sawtooth(320 * 10), pad_last_frame=True)
        await until(lambda: len(router.frames) == 10, "all frames")
        await client.send_json_packet({"action": "notify", "payload": {"n": 1}})
        await until(lambda: router.texts, "the question")
        [(_, text)] = router.texts
        assert text == '{"action":"notify","payload":{"n":1}}'
        router.socket.send_text('{"event":"websocket:notify","payload":{"n":1}}')
        await client.wait_until_played()
        assert asyncio.get_running_loop().time() - begun < 0.19
