# SPDX-License-Identifier: Apache-2.0
"""What an application sets to be called: checked when it is set, called the same way whatever it is."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from types import FunctionType, MethodType
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
    if not takes(handler, 0 if argument is None else 1):
        expected = f"one argument, the {argument}" if argument else "no argument"
        raise HandlerError(
            f"{name}={_called(handler)} cannot be called with {expected}; change its parameters"
        )
    return handler


def check_disconnect_handler(handler: Handler | None) -> Handler | None:
    """Check on_disconnect, which takes no argument or a `Disconnected`; the result always takes one."""
    if handler is None or (callable(handler) and takes(handler, 1)):
        return handler
    if callable(handler) and not takes(handler, 0):
        raise HandlerError(
            f"on_disconnect={_called(handler)} can be called neither with no argument nor with one, the "
            "Disconnected; change its parameters"
        )
    check_handler("on_disconnect", handler, None)
    return _Ignoring(handler)


class _Ignoring:
    """A handler without parameters, called with one."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __call__(self, _: object) -> object:
        return self.handler()


async def call_handler(handler: Handler, *arguments: object) -> None:
    """Call a handler, and await what it returns if that can be awaited."""
    result = handler(*arguments)
    if isinstance(result, Awaitable):
        await result


def name_of(handler: Handler) -> str:
    """Name a handler for the log: how it is called, and where it stands."""
    function: Any = handler.handler if isinstance(handler, _Ignoring) else handler
    while isinstance(function, functools.partial):
        function = function.func
    called = _called(function)
    with contextlib.suppress(ValueError):  # wrapped in itself
        function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None and callable(function):  # an object that can be called
        code = getattr(type(function).__call__, "__code__", None)
    return called if code is None else f"{called} ({code.co_filename}:{code.co_firstlineno})"


def takes(handler: Handler, count: int) -> bool:
    """Whether it can be called with so many arguments; True where that cannot be told."""
    plainly = _plainly_takes(handler, count)
    if plainly is not None:
        return plainly
    try:
        signature = _signature_of(handler)
    except (TypeError, ValueError, NameError):
        return True  # a builtin without a signature: it will say itself
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True


def _signature_of(handler: Handler) -> inspect.Signature:
    """Its parameters. Annotations may name what only a type checker knows, and Python 3.14 looks them up here."""
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - new in it

        return inspect.signature(handler, annotation_format=annotationlib.Format.STRING)
    return inspect.signature(handler)


def _plainly_takes(handler: Handler, count: int) -> bool | None:
    """What a look at the function itself shows; None where it is not plain.

    A whole signature costs 20 µs, and the handlers of a call have three to five: more than all else in its opening.
    """
    function: Any = handler
    if isinstance(handler, MethodType):
        function, count = handler.__func__, count + 1
    if type(function) is not FunctionType or function.__dict__:  # a wrapper may show another signature
        return None
    code = function.__code__
    defaults = len(function.__defaults__ or ())
    has_keywords_only = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
    has_room = count <= code.co_argcount or bool(code.co_flags & inspect.CO_VARARGS)
    return has_room and code.co_argcount - defaults <= count and not has_keywords_only


def _called(handler: Handler) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
