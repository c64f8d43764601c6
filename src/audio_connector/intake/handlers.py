# SPDX-License-Identifier: Apache-2.0
"""What an application sets to be called: checked when it is set, called the same way whatever it is."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from audio_connector.errors import HandlerError

Handler = Callable[..., Any]


def check_handler(name: str, handler: Handler | None, argument: str | None) -> Handler | None:
    """Check that a handler can be called as it will be.

    Args:
        name: How the handler is called, for the error.
        handler: A function, a coroutine function, or another callable; None for none.
        argument: What it will be given, for the error; None where it is given nothing.

    Returns:
        The handler.

    Raises:
        HandlerError: It is not callable, or does not take the argument.
    """
    if handler is None:
        return None
    if not callable(handler):
        raise HandlerError(
            f"{name}={handler!r} is not callable; expected a function or a coroutine function"
            + (" (was it called, instead of passed?)" if inspect.iscoroutine(handler) else "")
        )
    if not _takes(handler, 0 if argument is None else 1):
        expected = f"one argument, the {argument}" if argument else "no argument"
        raise HandlerError(
            f"{name}={_name_of(handler)} cannot be called with {expected}; change its parameters"
        )
    return handler


def check_disconnect_handler(handler: Handler | None) -> Handler | None:
    """Check on_disconnect, which takes no argument or a `Disconnected`; the result always takes one."""
    if handler is None or (callable(handler) and _takes(handler, 1)):
        return handler
    if callable(handler) and not _takes(handler, 0):
        raise HandlerError(
            f"on_disconnect={_name_of(handler)} can be called neither with no argument nor with one, the "
            "Disconnected; change its parameters"
        )
    check_handler("on_disconnect", handler, None)
    return _Ignoring(handler)


class _Ignoring:
    """A handler without parameters, called with one."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __call__(self, _: object) -> object:
        return self._handler()


async def call_handler(handler: Handler, *arguments: object) -> None:
    """Call a handler, and await what it returns if that can be awaited."""
    result = handler(*arguments)
    if isinstance(result, Awaitable):
        await result


def forgive_cancelling() -> None:
    """A handler has cancelled the task that runs it, and the task goes on: forget it, where Python counts it."""
    if sys.version_info >= (3, 11):
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()


def _takes(handler: Handler, count: int) -> bool:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return True  # a builtin without a signature: it will say itself
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True


def _name_of(handler: Handler) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
