# SPDX-License-Identifier: Apache-2.0
"""The thread in which recordings are written: one for all of the process, there while there is something to write.

What waits is bounded by who hands it over: a recorder is told no more than it has written (`asks.TapeMore`).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

logger = logging.getLogger("audio_connector.recording")

IDLE_S: Final = 1.0
"""A thread with nothing to do for so long ends; batches come twice a second."""

EXIT_S: Final = 2.0
"""A program that ends waits so long for what is not written yet."""

Job = Callable[[], None]


class Writer:
    """Does jobs in order, in a thread of its own; handing one over takes a lock for microseconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from nothing: in a child that was forked, which has no such thread."""
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._is_running = False

    def submit(self, job: Job) -> None:
        """Have it done; from any thread."""
        with self._changed:
            self._jobs.append(job)
            if not self._is_running:
                threading.Thread(target=self._run, name="audio-connector recordings", daemon=True).start()
                self._is_running = (
                    True  # now, since a system without room for a thread may have some the next time
                )
            else:
                self._changed.notify()

    def finish(self) -> None:
        """Wait until all is done, or the disk takes too long."""
        done = threading.Event()
        if self._is_running:
            self.submit(done.set)
            done.wait(EXIT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._jobs, IDLE_S):
                    self._is_running = False
                    return
                job = self._jobs.popleft()
            do(job)


def do(job: Job) -> None:
    """Do a job; what it raises is logged, since the other recordings go on."""
    try:
        job()
    except Exception:
        logger.exception("a recording failed; this is an error of the library")


WRITER: Final = Writer()
atexit.register(WRITER.finish)
if hasattr(os, "register_at_fork"):  # there is none on Windows
    os.register_at_fork(after_in_child=WRITER.reset)
