# SPDX-License-Identifier: Apache-2.0
"""Work of an engine within a bound: its result, its failure, too late, and a cancellation at every moment."""

from __future__ import annotations

import asyncio

import pytest

from audio_connector.engines import EngineError
from audio_connector.engines.base.deadline import begun_within, within
from audio_connector.testing import in_virtual_time


async def work(takes_s: float, fails: bool = False) -> str:
    await asyncio.sleep(takes_s)
    if fails:
        raise EngineError("it broke")
    return "done"


@in_virtual_time
async def test_what_comes_in_time() -> None:
    assert await within(2.0, work(1.0)) == "done"
    with pytest.raises(EngineError, match="it broke"):
        await within(2.0, work(1.0, fails=True))


@in_virtual_time
async def test_what_comes_too_late_is_given_up() -> None:
    with pytest.raises(EngineError, match="no answer within 2 s"):
        await within(2.0, work(3600.0))


@pytest.mark.parametrize("at_s", [0.5, 1.0, 1.5])
@in_virtual_time
async def test_a_cancellation_is_never_kept_back(at_s: float) -> None:
    waiting = asyncio.ensure_future(within(2.0, work(1.0)))
    asyncio.get_running_loop().call_later(at_s, waiting.cancel)
    if at_s > 1.0:
        assert await waiting == "done"
        return
    with pytest.raises(asyncio.CancelledError):
        await waiting


@in_virtual_time
async def test_a_cancellation_in_the_turn_in_which_the_work_ends() -> None:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(within(2.0, ended))
    await asyncio.sleep(0)
    ended.set_result("done")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("ends_in_s", [0.0, 0.5, 3600.0])
@pytest.mark.parametrize("how", ["too late", "cancelled"])
@in_virtual_time
async def test_what_is_given_up_has_ended_unless_it_does_not_end(how: str, ends_in_s: float) -> None:
    before, ended = asyncio.all_tasks(), list[float]()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(ends_in_s)
            ended.append(ends_in_s)
            raise KeyError("at the end")

    waiting = asyncio.ensure_future(within(2.0, stubborn()))
    await asyncio.sleep(1.0)
    if how == "cancelled":
        waiting.cancel()
    await asyncio.wait({waiting}, timeout=2.1)
    assert waiting.done()
    assert waiting.cancelled() if how == "cancelled" else isinstance(waiting.exception(), EngineError)
    left = asyncio.all_tasks() - before - {waiting}
    assert (ended, len(left)) == (([ends_in_s], 0) if ends_in_s < 1 else ([], 1))
    for task in left:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@in_virtual_time
async def test_a_block_begins_in_time_lasts_as_it_likes_and_ends_with_what_ended_it() -> None:
    told: list[object] = []

    class Block:
        def __init__(self, takes_s: float) -> None:
            self.takes_s = takes_s

        async def __aenter__(self) -> str:
            return await work(self.takes_s)

        async def __aexit__(self, *how: object) -> None:
            told.append(how[1])

    async with begun_within(2.0, Block(1.0)) as value:
        await asyncio.sleep(100.0)
    error = KeyError("x")
    with pytest.raises(KeyError):
        async with begun_within(2.0, Block(1.0)):
            raise error
    with pytest.raises(EngineError, match="no answer within 2 s"):
        async with begun_within(2.0, Block(3600.0)):
            pytest.fail("it never began")
    assert (value, told) == ("done", [None, error])
