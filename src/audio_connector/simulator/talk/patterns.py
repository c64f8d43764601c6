# SPDX-License-Identifier: Apache-2.0
"""Regular expressions of a file, searched for no longer than a person would wait."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from audio_connector.errors import UsageError
from audio_connector.wire.quoting import quoted

LONGEST_S: Final = 1.0
"""Of CPU. A pattern for words takes microseconds; a repetition in a repetition, ``(a+)+$``, years on one sentence."""

_SHOWN_CHARS: Final = 80


class _Overrun(BaseException):
    """The time is over; no exception of anybody's, who might take it for his own."""


def is_found(pattern: str, text: str) -> bool:
    """Whether a text has a pattern in it, without regard to case.

    Raises:
        UsageError: It takes too long. Only where Python can be interrupted in the middle of a search: in the main
            thread, and not on Windows.
    """
    try:
        with _bounded(LONGEST_S):
            return re.search(pattern, text, re.IGNORECASE) is not None
    except _Overrun:
        raise UsageError(
            f"the pattern {quoted(pattern, _SHOWN_CHARS)} takes more than {LONGEST_S:g} s to be looked for in "
            f"{len(text)} characters; expected one without a repetition inside a repetition, such as (a+)+: write a+"
        ) from None


@contextmanager
def _bounded(limit_s: float) -> Iterator[None]:
    """Raise `_Overrun` after so many seconds of CPU.

    By the timer of virtual time: SIGALRM is the one of test runners. Of others only some profilers have it, which get
    it back. The search looks for signals by itself; a thread could not end it, since it never lets go of the
    interpreter's lock.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _overrun)
    theirs = signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if before is None else before)
        signal.setitimer(signal.ITIMER_VIRTUAL, *theirs)


def _overrun(_number: int, _frame: FrameType | None) -> None:
    raise _Overrun
