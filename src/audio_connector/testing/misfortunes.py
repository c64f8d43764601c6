# SPDX-License-Identifier: Apache-2.0
"""What went wrong in an application's own tasks, where nobody looks: for the text of a test that failed.

A bot does its work in tasks that it starts itself. Where one of them fails, nobody is told until its exception is
taken, which the bot never does; all that its test sees is that no reply came.
"""

from __future__ import annotations

import asyncio
import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from audio_connector.testing.waiting import is_own_code, name_of

KEPT: Final = 10
"""Failures of which a text tells; a bot that fails with every frame has a thousand."""


class Misfortunes:
    """The tasks of a loop that failed, and what else went wrong in it; each is told, and nothing is taken away."""

    def __init__(self) -> None:
        # By the exception, which the task that awaits another one has as well: it is told once, of the outermost.
        self._failed: dict[int, asyncio.Task[Any]] = {}
        self._others: list[tuple[str, BaseException | None]] = []
        self._untold = 0

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Look at a task when it is done."""
        task.add_done_callback(self._note_end)

    def note(self, text: str, error: BaseException | None = None) -> None:
        """Something else went wrong; also while garbage is collected, so that nothing is formatted yet."""
        if len(self._others) < KEPT:
            self._others.append((text, error))
        else:
            self._untold += 1

    def texts(self) -> list[str]:
        """What went wrong so far; tasks with their tracebacks."""
        texts = [
            _with_traceback(f"{name_of(task)} failed", error)
            for task in self._failed.values()
            if (error := _exception_of(task)) is not None
        ]
        more = [f"and {self._untold} more failures like these"] if self._untold else []
        others = [text if error is None else _with_traceback(text, error) for text, error in self._others]
        # What was refused is in the traceback of who took no notice of that.
        others = [text for text in others if not any(text in told for told in texts)]
        return [*others, *texts, *more]

    def untaken(self) -> Iterator[tuple[asyncio.Task[Any], BaseException]]:
        """The tasks that failed and whose exception nobody has taken."""
        for task in self._failed.values():
            if getattr(task, "_log_traceback", False):
                error = task.exception()
                assert error is not None
                yield task, error

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        # Not task.exception(), which would tell the loop that somebody has seen it.
        error = None if task.cancelled() else _exception_of(task)
        if error is None or _is_ours(task):
            return
        if id(error) not in self._failed and len(self._failed) >= KEPT:
            self._untold += 1
            return
        self._failed[id(error)] = task


@contextmanager
def watching(loop: asyncio.AbstractEventLoop) -> Iterator[Misfortunes]:
    """Watch the tasks that are started on a loop from now on."""
    misfortunes = Misfortunes()
    before = loop.get_task_factory()
    make: Callable[..., asyncio.Task[Any]] = before or _make_task  # type: ignore[assignment]  # any future, it says

    def make_watched(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401
        task = make(loop, coro, **options)
        misfortunes.watch(task)
        return task

    loop.set_task_factory(make_watched)
    try:
        yield misfortunes
    finally:
        loop.set_task_factory(before)


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception and of its causes, without the lines of asyncio and of this library."""
    shown = traceback.TracebackException.from_exception(error)
    at: traceback.TracebackException | None = shown
    while at is not None:
        own = [line for line in at.stack if not is_own_code(line.filename)]
        at.stack = traceback.StackSummary.from_list(own or at.stack[-1:])
        at = at.__cause__ or at.__context__
    return "".join(shown.format()).rstrip()


def _with_traceback(what: str, error: BaseException) -> str:
    return f"{what}:\n{textwrap.indent(traceback_of(error), '  ')}"


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401
    return asyncio.Task(coro, loop=loop, **options)


def _exception_of(task: asyncio.Task[Any]) -> BaseException | None:
    found: BaseException | None = getattr(task, "_exception", None)
    return found


def _is_ours(task: asyncio.Task[Any]) -> bool:
    """Whether a task is of this library, which reports what fails in it by itself."""
    code = getattr(task.get_coro(), "cr_code", None)
    return inspect.iscode(code) and is_own_code(code.co_filename, asyncio_too=False)
