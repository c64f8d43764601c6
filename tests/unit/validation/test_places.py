# SPDX-License-Identifier: Apache-2.0
"""Where a thread is, is said by the name of the handler and the line that it is at."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from audio_connector.validation.places import describe, where_is


def frame_of(function: Callable[[], FrameType]) -> str:
    return where_is(function(), RUN_HANDLERS)


def under(filename: str, inner: Callable[[], FrameType]) -> Callable[[], FrameType]:
    """A function that calls another one, and whose code pretends to stand in this file."""
    scope: dict[str, Any] = {"inner": inner}
    exec(compile("def outer():\n    return inner()\n", filename, "exec"), scope)
    return scope["outer"]  # type: ignore[no-any-return]


def here() -> FrameType:
    return sys._getframe()


def my_handler() -> FrameType:
    return here_below()


def here_below() -> FrameType:
    return here()


RUN_HANDLERS = ("intake/dispatch.py", "server/session.py", "validation/handlers.py")
DISPATCH = "/anywhere/audio_connector/intake/dispatch.py"


@pytest.mark.parametrize(
    "filename", [DISPATCH, "C:\\x\\audio_connector\\server\\session.py", "/x/validation/handlers.py"]
)
def test_the_handler_is_named_and_the_line_it_is_at(filename: str) -> None:
    where = frame_of(under(filename, my_handler))
    assert where.startswith("the handler my_handler (")
    assert ", at here (" in where
    assert where.count("test_places.py:") == 2


def test_a_handler_that_blocks_by_itself_is_named_once() -> None:
    where = frame_of(under(DISPATCH, here))
    assert where.startswith("the handler here (")
    assert "at" not in where.split(")", 1)[1]


def test_elsewhere_is_said_to_be_elsewhere() -> None:
    where = frame_of(here)
    assert where.startswith("here (")
    assert where.endswith("outside of handlers")
    assert where_is(None, RUN_HANDLERS) == "a thread that has ended"


def test_a_task_is_named_that_is_not_a_handler() -> None:
    """As of a bot that iterates over the audio."""
    where = frame_of(under("/usr/lib/python3.11/asyncio/events.py", my_handler))
    assert re.fullmatch(r"my_handler \(.*:\d+\), at here \(.*:\d+\), outside of handlers", where), where


def raised(text: str) -> Exception:
    try:
        json.loads(text)
    except ValueError as error:
        return error
    raise AssertionError


def test_the_place_is_the_users_line_and_not_the_librarys() -> None:
    told = describe(raised("{"))
    assert told.startswith("JSONDecodeError: Expecting property name")
    assert "test_places.py, line " in told


def test_an_error_without_a_text_or_a_place_is_told_by_its_name() -> None:
    assert describe(KeyError()) == "KeyError"
