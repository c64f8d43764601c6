# SPDX-License-Identifier: Apache-2.0
"""Where a thread is, or an error was raised, in the application's code: for the log and for one line of a command."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

_OURS: Final = (str(Path(__file__).parents[1]), str(Path(inspect.__file__).parent), "<frozen")
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def where_is(frame: FrameType | None, run_handlers: Sequence[str]) -> str:
    """Name the handler that a thread is in, or else the task or callback of its loop, and the line that it is at.

    Args:
        frame: Where the thread is; None where it has ended.
        run_handlers: Files whose calls into other files are calls of handlers: ends of their paths.
    """
    run_any = (*run_handlers, "/asyncio/")
    calls: list[FrameType] = []
    while frame is not None and (not calls or _runs(calls[-1], run_any) or not _runs(frame, run_any)):
        calls.append(frame)
        frame = frame.f_back
    if not calls:
        return "a thread that has ended"
    called = calls[-1 if frame is not None else 0]
    place = _name(called) if called is calls[0] else f"{_name(called)}, at {_name(calls[0])}"
    is_handler = frame is not None and _runs(frame, run_handlers)
    return f"the handler {place}" if is_handler else f"{place}, outside of handlers"


def describe(error: BaseException) -> str:
    """Say what was raised, and where: the innermost line that is neither of this library nor of an installed one."""
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    places = [place for place in traceback.extract_tb(error.__traceback__) if _is_users(place.filename)]
    return f"{what} ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else what


def _is_users(filename: str) -> bool:
    return not filename.startswith(_OURS) and not _INSTALLED & set(Path(filename).parts)


def _runs(frame: FrameType, files: Sequence[str]) -> bool:
    return any(file in frame.f_code.co_filename.replace("\\", "/") for file in files)


def _name(frame: FrameType) -> str:
    code: Any = frame.f_code
    return f"{getattr(code, 'co_qualname', code.co_name)} ({code.co_filename}:{frame.f_lineno})"
