# SPDX-License-Identifier: Apache-2.0
"""The stream between two real processes, cut anywhere, slow, and stopped: all arrives, in order, and nothing else."""

from __future__ import annotations

import asyncio
import os

import pytest
from support.audio import numbered, numbers_of
from support.peers import FRAME, calling, next_audio, next_text
from support.serving import echo, serving
from support.stream_proxy import StreamProxy

from audio_connector.server import children

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no process form")

CALLS, FRAMES = 4, 60


@pytest.mark.parametrize("pause_s", [0.0, 0.0005], ids=["cut", "slow"])
async def test_calls_over_a_stream_that_is_cut_anywhere_hear_each_frame_in_order(
    monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    with StreamProxy(1, pause_s=pause_s) as proxy:
        monkeypatch.setattr(children, "stream_pair", proxy.pair)
        async with serving(echo, isolation="process") as handle:

            async def call(number: int) -> list[int]:
                async with calling(handle.get_address()) as caller:
                    for at in range(FRAMES):
                        await caller.send(numbered(100 * number + at, len(FRAME)))
                    return numbers_of(await next_audio(caller, FRAMES))

            heard = await asyncio.gather(*(call(number) for number in range(CALLS)))
    assert heard == [list(range(100 * number, 100 * number + FRAMES)) for number in range(CALLS)]
    assert proxy.handed_bytes > 2 * CALLS * FRAMES * len(FRAME)
    assert proxy.cuts > 500


async def test_a_stream_that_stands_still_holds_everything_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StreamProxy(2) as proxy:
        monkeypatch.setattr(children, "stream_pair", proxy.pair)
        async with serving(echo, isolation="process") as handle, calling(handle.get_address()) as caller:
            await caller.send(numbered(0, len(FRAME)) * 10)
            await next_audio(caller, 5)
            proxy.goes_on.clear()
            await caller.send('{"event": "one"}')
            await caller.send(numbered(1, len(FRAME)) * 10)
            await asyncio.sleep(0.3)  # of real time: the process goes on meanwhile, and answers pings
            await asyncio.wait_for(await caller.ping(), 1.0)
            proxy.goes_on.set()
            assert await next_text(caller) == '{"event": "one"}'
            assert set(numbers_of(await next_audio(caller, 10))) == {1}


async def test_a_stream_that_is_cut_off_ends_the_calls_and_another_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StreamProxy(3) as proxy:
        monkeypatch.setattr(children, "stream_pair", proxy.pair)
        async with serving(echo, isolation="process") as handle:
            async with calling(handle.get_address()) as caller:
                await caller.send(FRAME)
                await next_audio(caller, 1)
                proxy.cut_off()
                await asyncio.wait_for(caller.wait_closed(), 5.0)
            async with calling(handle.get_address()) as again:
                await again.send(FRAME)
                assert await next_audio(again, 1) == [FRAME]
