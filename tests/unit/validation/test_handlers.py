# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
import re
import sys
from collections.abc import AsyncIterator
from functools import partial, wraps
from typing import Any

import pytest

from audio_connector.errors import HandlerError
from audio_connector.validation.handlers import (
    _plainly_takes,
    call_handler,
    check_disconnect_handler,
    check_handler,
    name_of,
)


def takes_one(message: object) -> None: ...


async def takes_one_later(message: object) -> None: ...


def takes_one_or_two(message: object, more: object = None) -> None: ...


def takes_any(*args: object, **kwargs: object) -> None: ...


def takes_none() -> None: ...


def takes_two(first: object, second: object) -> None: ...


def takes_a_keyword(*, message: object) -> None: ...


class Callable1:
    def __call__(self, message: object) -> None: ...

    def method(self, message: object) -> None: ...

    @staticmethod
    def static(message: object) -> None: ...


GOOD = [
    takes_one,
    takes_one_later,
    takes_one_or_two,
    takes_any,
    Callable1(),
    Callable1().method,
    Callable1.static,
    partial(takes_two, 1),
    lambda message: None,
    print,
    [].append,
]


@pytest.mark.parametrize("handler", GOOD)
def test_whatever_takes_the_argument_is_taken(handler: Any) -> None:
    assert check_handler("on_message", handler, "message") is handler


@pytest.mark.parametrize(
    "handler", [takes_none, takes_two, takes_a_keyword, partial(takes_one, 1), Callable1.method]
)
def test_whatever_cannot_take_it_is_refused_by_name(handler: Any) -> None:
    with pytest.raises(HandlerError, match=r"on_message=.*one argument, the message"):
        check_handler("on_message", handler, "message")


@pytest.mark.parametrize("handler", [1, "on_message", object(), [takes_one]])
def test_what_cannot_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(HandlerError, match="is not callable"):
        check_handler("on_message", handler, "message")
    with pytest.raises(TypeError):
        check_disconnect_handler(handler)


def test_a_handler_that_was_called_instead_of_passed_is_recognised() -> None:
    coroutine: Any = takes_one_later(1)
    with pytest.raises(HandlerError, match="was it called, instead of passed"):
        check_handler("on_message", coroutine, "message")
    coroutine.close()


def test_none_is_none() -> None:
    assert check_handler("on_message", None, "message") is None
    assert check_disconnect_handler(None) is None


def test_a_handler_that_is_given_nothing() -> None:
    assert check_handler("on_start", takes_none, None) is takes_none
    with pytest.raises(HandlerError, match="with no argument"):
        check_handler("on_start", takes_one, None)


async def test_on_disconnect_may_take_what_happened_or_nothing() -> None:
    told: list[object] = []
    for handler in (told.append, lambda: told.append("nothing")):
        checked = check_disconnect_handler(handler)
        assert checked is not None
        await call_handler(checked, "how")
    assert told == ["how", "nothing"]
    with pytest.raises(HandlerError):
        check_disconnect_handler(takes_two)


async def test_what_can_be_awaited_is_awaited() -> None:
    done: list[str] = []

    async def later(text: str) -> None:
        done.append(text)

    class Wrapped:
        def __call__(self, text: str) -> Any:
            return later(text)

    await call_handler(later, "coroutine function")
    await call_handler(lambda text: later(text.upper()), "function that returns a coroutine")
    await call_handler(Wrapped(), "object")
    await call_handler(done.append, "function")
    assert done == ["coroutine function", "FUNCTION THAT RETURNS A COROUTINE", "object", "function"]


async def test_what_cannot_be_awaited_is_left_alone() -> None:
    async def generator(message: object) -> AsyncIterator[int]:
        yield 1

    await call_handler(generator, "an async generator function does nothing, as everywhere")


# A short look at a function.


@wraps(takes_two)
def wrapped(*args: object) -> None: ...


def defaults(first: object = 1, /, second: object = 2, *, third: object = 3) -> None: ...


def half_defaults(first: object, second: object = 2, *rest: object, third: object) -> None: ...


FUNCTIONS: list[Any] = [
    *GOOD,
    takes_none,
    takes_two,
    takes_a_keyword,
    wrapped,
    defaults,
    half_defaults,
    Callable1,
    Callable1.method,
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("count", range(4))
def test_a_short_look_says_what_the_signature_says(function: Any, count: int) -> None:
    try:
        inspect.signature(function).bind(*(None,) * count)
        takes = True
    except (TypeError, ValueError):
        takes = False
    is_plain = (inspect.isfunction(function) or inspect.ismethod(function)) and function is not wrapped
    assert _plainly_takes(function, count) == (takes if is_plain else None)


class Nameless:
    """Its signature is asked for in vain, since a name in it is not to be had."""

    @property
    def __signature__(self) -> inspect.Signature:
        raise NameError("name 'Message' is not defined")

    def __call__(self, message: object) -> None: ...


def test_one_whose_annotations_cannot_be_had_is_taken() -> None:
    handler = Nameless()
    assert check_handler("on_message", handler, "message") is handler


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are looked up when they are asked for")
def test_an_annotation_for_a_type_checker_alone_hides_no_parameter() -> None:
    scope: dict[str, Any] = {}
    exec("def on_disconnect() -> Unknown: ...\ndef on_message(message: Unknown): ...", scope)
    on_message = partial(scope["on_message"])
    assert check_handler("on_message", on_message, "message") is on_message
    check_disconnect_handler(partial(scope["on_disconnect"]))(None)  # type: ignore[misc]
    with pytest.raises(HandlerError):
        check_handler("on_message", partial(scope["on_disconnect"]), "message")


# Names.


class Bot:
    def __call__(self, message: object) -> None: ...

    async def on_message(self, message: object) -> None: ...


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (takes_one, "takes_one (FILE:LINE)"),
        (Bot().on_message, "Bot.on_message (FILE:LINE)"),
        (partial(partial(takes_two, 1), 2), "takes_two (FILE:LINE)"),
        (wrapped, "takes_two (FILE:LINE)"),
        (check_disconnect_handler(takes_none), "takes_none (FILE:LINE)"),
        (print, "print"),
        ([].append, "list.append"),
    ],
)
def test_a_handler_is_named_with_its_place(handler: Any, name: str) -> None:
    shown = re.sub(r"\(.*test_handlers\.py:\d+\)", "(FILE:LINE)", name_of(handler))
    assert shown == name


def test_an_object_is_named_by_its_own_words() -> None:
    assert re.fullmatch(r"<.*Bot object at .*> \(.*test_handlers\.py:\d+\)", name_of(Bot()))
