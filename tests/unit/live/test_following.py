# SPDX-License-Identifier: Apache-2.0
"""What follows calls ends with them, or a while later; and what fails with one utterance costs that one."""

from __future__ import annotations

import asyncio

import pytest

from audio_connector.engines import EngineError
from audio_connector.live.following import Following, OneByOne
from audio_connector.testing import in_virtual_time


@in_virtual_time
async def test_what_takes_too_long_at_the_end_is_given_up_and_what_fails_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    async def follow(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            if name == "wrong":
                raise ZeroDivisionError
        finally:
            ended.append(name)

    following = Following(finish_s=5)
    for name, seconds in (("soon", 4.0), ("wrong", 1.0), ("late", 60.0)):
        following.begin(name, follow(name, seconds))
    assert "late" in following
    await following.settle()
    assert ended == ["wrong", "soon"]
    assert "wrong" not in following
    await following.close()
    assert ended == ["wrong", "soon", "late"]
    await following.close()
    assert "late" not in following
    assert caplog.text.count("a call is not followed to its end") == 1
    assert caplog.text.count("gave up what 1 calls or sessions still had at work") == 1


@in_virtual_time
async def test_utterances_come_one_after_the_other_and_the_oldest_of_too_many_is_left_out() -> None:
    before = asyncio.all_tasks()
    understood: list[int] = []
    told: list[str] = []

    async def understand(number: int) -> None:
        await asyncio.sleep(1)
        if number == 3:
            raise EngineError("the service is down")
        understood.append(number)

    async with OneByOne(understand, most=3, tell=told.append) as waiting:
        waiting.put(0)
        await asyncio.sleep(0.5)
        for number in range(1, 6):
            waiting.put(number)
        await waiting.finish(10)
    assert understood == [0, 4, 5]
    assert told == [
        *2 * ["the recogniser is too slow for this call: an utterance is left out"],
        "an utterance was not understood: the service is down",
    ]
    assert asyncio.all_tasks() == before


@in_virtual_time
async def test_what_is_not_understood_in_time_is_given_up() -> None:
    before = asyncio.all_tasks()
    told: list[str] = []
    async with OneByOne(asyncio.sleep, most=3, tell=told.append) as waiting:
        waiting.put(60)
        await waiting.finish(8)
    assert told == ["the recogniser was more than 8 s behind at the end of the call"]
    assert asyncio.all_tasks() == before


@in_virtual_time
async def test_one_that_is_never_understood_does_not_keep_those_behind_it_for_ever() -> None:
    before = asyncio.all_tasks()
    understood: list[int] = []
    told: list[str] = []

    async def understand(number: int) -> None:
        if number == 0:
            await asyncio.Event().wait()
        understood.append(number)

    async with OneByOne(understand, most=3, tell=told.append) as waiting:
        waiting.put(0)
        waiting.put(1)
        await waiting.finish(100)
    assert understood == [1]
    assert told == [
        "an utterance was not understood: no answer within 60 s; expected one; is the service overloaded?"
    ]
    assert asyncio.all_tasks() == before
