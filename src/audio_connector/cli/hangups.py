# SPDX-License-Identifier: Apache-2.0
"""Signals while ``serve`` starts, in the second or more that imports take.

A SIGHUP is a reload that was asked for a moment too early, and must not end the service. Whether there are workers,
for which it is a reload, is known only after the imports. And process 1, as in a container, gets no signal from the
kernel that it has no handler for: SIGTERM would be lost, and the container killed half a minute later.

This file imports nothing else of the library, so that it is there before that.
"""

from __future__ import annotations

import os
import signal

_held: list[int] = []


def hold() -> None:
    """Keep a SIGHUP until `release`; one that is ignored, as under nohup, stays so. Have SIGTERM end process 1."""
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda number, _: _held.append(number))


def release() -> None:
    """There are no workers: it ends the program, as a terminal that is closed means it."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if _held:
            signal.raise_signal(signal.SIGHUP)
