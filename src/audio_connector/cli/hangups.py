# SPDX-License-Identifier: Apache-2.0
"""A SIGHUP while ``serve`` starts: a reload that was asked for a moment too early must not end the service.

Whether there are workers, for which it is a reload, is known only after a second of imports. This file imports
nothing, so that it is there before them.
"""

from __future__ import annotations

import signal

_held: list[int] = []


def hold() -> None:
    """Keep it until `release`; one that is ignored, as under nohup, stays so."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda number, _: _held.append(number))


def release() -> None:
    """There are no workers: it ends the program, as a terminal that is closed means it."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if _held:
            signal.raise_signal(signal.SIGHUP)
