# SPDX-License-Identifier: Apache-2.0
"""Says in one line what a task waits for, by the name of the task and the line of the program that waits."""

from __future__ import annotations

import asyncio
import inspect
import linecache
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

_ASYNCIO, _LIBRARY = str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1])


def is_own_code(filename: str, *, asyncio_too: bool = True) -> bool:
    """Whether a file is of this library, or of asyncio, and so not the user's."""
    return filename.startswith((_LIBRARY, _ASYNCIO) if asyncio_too else _LIBRARY)


def users_place() -> str:
    """The line of the user's that is running, innermost; "" where none is, as in a task of asyncio's own."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "_run_once":  # below that is whoever runs the loop
        if not is_own_code(frame.f_code.co_filename):
            return f"{_place(frame)}: {_line(frame)}"
        frame = frame.f_back
    return ""


def what_tasks_wait_for(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Return one indented line for each task, in the order in which they were made."""
    return "".join(f"\n  {_waits(task)}" for task in sorted(tasks, key=_age))


def name_of(task: asyncio.Task[Any]) -> str:
    """Return the name of a task and of what it runs."""
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')})"


def _waits(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    frames = _frames_of(coroutine)
    if not frames or (
        inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    ):
        return f"{name_of(task)} has not begun"
    own = [frame for frame in frames if not is_own_code(frame.f_code.co_filename)]
    frame = own[-1] if own else frames[-1]
    inside = f" (in {_function(frames[-1])})" if frames[-1] is not frame else ""
    return f"{name_of(task)} waits at {_place(frame)}: {_line(frame)}{inside}"


def _frames_of(coroutine: object) -> list[FrameType]:
    """From the outermost coroutine to the innermost; those of ``async for`` cannot be looked into."""
    frames = []
    while coroutine is not None:
        for kind, awaited in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                frames.append(frame)
                coroutine = getattr(coroutine, awaited)
                break
        else:
            break
    return frames


def _function(frame: FrameType) -> str:
    return getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.11 and later


def _line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{frame.f_lineno}"


def _age(task: asyncio.Task[Any]) -> tuple[int, str]:
    name = task.get_name()
    number = name.rpartition("-")[2]
    return (int(number) if name.startswith("Task-") and number.isdecimal() else 0, name)
