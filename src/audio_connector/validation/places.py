# SPDX-License-Identifier: Apache-2.0
"""Where a thread is in the application's code, for the log."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import Any


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


def _runs(frame: FrameType, files: Sequence[str]) -> bool:
    return any(file in frame.f_code.co_filename.replace("\\", "/") for file in files)


def _name(frame: FrameType) -> str:
    code: Any = frame.f_code
    return f"{getattr(code, 'co_qualname', code.co_name)} ({code.co_filename}:{frame.f_lineno})"
