# SPDX-License-Identifier: Apache-2.0
"""What a task waits for, in one line: the line of the program, not of the library that it called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from audio_connector.testing import in_virtual_time, rest
from audio_connector.testing.waiting import name_of, what_tasks_wait_for


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@in_virtual_time
async def test_the_innermost_line_of_the_program_is_named() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    task = asyncio.get_running_loop().create_task(outer(), name="waiter")
    await rest()
    text = what_tasks_wait_for([task])
    assert text.startswith("\n  waiter (")
    assert ".outer) waits at " in text
    assert ": await asyncio.Event().wait() (in " in text
    assert text.endswith("wait)")
    await ended(task)


@in_virtual_time
async def test_of_a_loop_over_a_generator_the_loop_is_named() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield await asyncio.get_running_loop().create_future()

    async def outer() -> None:
        async for _ in numbers():
            pass

    task = asyncio.ensure_future(outer())
    await rest()
    assert "async for _ in numbers():" in what_tasks_wait_for([task])
    await ended(task)


@in_virtual_time
async def test_tasks_stand_in_the_order_in_which_they_were_made() -> None:
    tasks = [asyncio.ensure_future(asyncio.sleep(1, None)) for _ in range(12)]
    lines = what_tasks_wait_for(reversed(tasks)).splitlines()[1:]
    assert lines == [f"  {name_of(task)} has not begun" for task in tasks]
    await ended(*tasks)
