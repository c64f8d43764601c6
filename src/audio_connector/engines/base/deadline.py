# SPDX-License-Identifier: Apache-2.0
"""A bound on how long an application waits for an engine: one in a network may never answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from audio_connector.engines.base.faults import EngineError

T = TypeVar("T")

END_S = 1.0
"""For what is given up to end, so that whoever leaves a block leaves nothing at work."""


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Return what some work returns.

    Work that is given up, or whose waiter is cancelled, is cancelled and has `END_S` to end: so much later at most
    this returns.

    Args:
        seconds: That it may take.
        work: A coroutine, or a future, which is cancelled as well.

    Raises:
        EngineError: It took longer, and was given up.
    """
    task = asyncio.ensure_future(work)
    try:
        # Not wait_for, which before Python 3.12 keeps a cancellation to itself that comes as the work ends.
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=END_S)
            if task.done() and not task.cancelled():
                task.exception()  # looked at, or asyncio reports it as forgotten
    if not done:
        raise EngineError(f"no answer within {seconds:g} s; expected one; is the service overloaded?")
    return task.result()


@asynccontextmanager
async def begun_within(seconds: float, block: AbstractAsyncContextManager[T, Any]) -> AsyncIterator[T]:
    """Have a block that has to begin in time; how long it lasts is not bounded.

    Raises:
        EngineError: Its beginning took longer, and was given up.
    """
    value = await within(seconds, block.__aenter__())
    async with AsyncExitStack() as stack:
        stack.push_async_exit(block)
        yield value
