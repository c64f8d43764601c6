# SPDX-License-Identifier: Apache-2.0
"""An asyncio loop in virtual time: what would be waited for has happened, and a wait for nothing is an error."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


START_S = 5000.0
LIMIT_S = 100_000.0
"""More than a day: a wait that lasts longer, by whatever timers, will never end."""


class Stuck(Exception):
    """Everybody waits for what will not happen."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self.now > START_S + LIMIT_S:
            raise Stuck("everybody waits, and there is no timer" if timeout is None else "this never ends")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps from timer to timer."""

    def __init__(self) -> None:
        self.virtual = _Selector()
        self.complaints: list[dict[str, Any]] = []
        super().__init__(self.virtual)
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        return self.virtual.now


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and see to it that nothing is left: no task, and no error that nobody took."""
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(main)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        loop.run_until_complete(_cancel(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
    assert left == []
    assert loop.complaints == []
    return result


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine function."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run


async def rest() -> None:
    """Let everybody else do what can be done now."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await asyncio.sleep(0)
    assert isinstance(loop, VirtualLoop)
