# SPDX-License-Identifier: Apache-2.0
"""What a program of ours logs is written by a thread, so that whoever does not read its log holds up no call.

A pipe takes 64 KiB; then a write waits until somebody reads, in the thread that logs: that of the sockets or that of
the application, while all others who log wait for the same handler. So the handlers that write to stderr or stdout
are given something that never waits: it keeps a bounded amount of lines for the thread, and counts what is beyond.

Only a main program of ours does so (`run`, ``audio-connector serve``), for as long as it serves.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import queue
import select
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from enum import Enum
from typing import Any, TextIO

logger = logging.getLogger("audio_connector.server")

MAX_BYTES = 4 << 20
"""Of lines that wait: some 20,000, as many as a hundred calls a second log in a minute."""

FINISH_S = 1.0
"""At the end, for lines that wait; the other end may have gone to sleep for good."""

RETRY_S = 0.1
"""Somebody else has made the other end one that never blocks: so often it is looked whether it has room."""


class _State(Enum):
    ASIDE, DIRECT, STUCK = range(3)
    """Written by the thread; by whoever logs; by nobody, since the other end took nothing until the end."""


class LineWriter:
    """Stands for a stream towards who logs; everything but writing is as of that."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._stream = stream
        self._fd = stream.fileno()
        self._state = _State.ASIDE
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # A finalizer may log amid a write of the same thread.
        self._lock = threading.RLock()
        self._waiting_bytes = 0
        self._lost = self._untold = 0
        self._full_since = 0.0
        self._thread = threading.Thread(target=self._run, name="audio-connector-log", daemon=True)
        self._thread.start()
        _writers.add(self)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    @property
    def lost(self) -> int:
        """Lines that were not written, so far."""
        return self._lost

    def write(self, text: str) -> int:
        """Have it written; never waits for who reads."""
        if self._state is not _State.DIRECT:
            data = text.encode(self._stream.encoding or "utf-8", self._stream.errors or "backslashreplace")
            if self._take(data):
                return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Nothing to do: a handler calls it after each record."""
        if self._state is _State.DIRECT:
            self._stream.flush()

    def finish(self) -> bool:
        """Wait until all is written; from then on who logs writes. False where the other end takes nothing."""
        if self._state is _State.ASIDE:
            self._lines.put(None)
            self._thread.join(FINISH_S)
            with self._lock:
                is_stuck = self._thread.is_alive()
                self._state = _State.STUCK if is_stuck else _State.DIRECT
            while not is_stuck and not self._lines.empty():  # of who logged behind the thread's end
                if (data := self._lines.get()) is not None and not self._write(data):
                    self._lost += max(1, data.count(b"\n"))
        return self._state is _State.DIRECT

    def let_go(self) -> None:
        """In a process that was forked there is no thread."""
        if self._state is _State.ASIDE:
            self._state = _State.DIRECT

    def _take(self, data: bytes) -> bool:
        """Keep it for the thread, or lose it; False where that has ended meanwhile, and who logs writes."""
        with self._lock:
            if self._state is _State.DIRECT:
                return False
            if self._state is _State.STUCK or self._waiting_bytes + len(data) > MAX_BYTES:
                self._lose(data)
            else:
                self._waiting_bytes += len(data)
                self._lines.put(data)
            return True

    def _lose(self, data: bytes) -> None:
        count = max(1, data.count(b"\n"))
        if not self._untold:
            self._full_since = time.monotonic()
        self._lost += count
        self._untold += count

    # The thread.

    def _run(self) -> None:
        is_ending = False
        while not (is_ending and self._lines.empty()):
            data = self._lines.get()
            if data is None:
                is_ending = True  # what it says itself may stand behind that
                continue
            is_written = self._write(data)
            with self._lock:
                self._waiting_bytes -= len(data)
                if not is_written:
                    self._lose(data)
                count = self._untold if is_written and self._waiting_bytes <= MAX_BYTES / 2 else 0
                self._untold -= count
            if count:
                text = "%d lines of this log were lost within %.0f s: whoever reads it did not take them"
                logger.warning(text, count, time.monotonic() - self._full_since)

    def _write(self, data: bytes) -> bool:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                has_room(self._stream, RETRY_S)
            except OSError:  # nobody is left who could read it, or the disk is full
                return False
        return True


def has_room(stream: Any, timeout_s: float) -> bool:  # noqa: ANN401 - a stream
    """Whether a line can be written within so long, as far as the stream is one that knows it."""
    try:
        fd = stream.fileno()
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is the last two
        return True
    if os.name != "posix":
        return True
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(timeout_s * 1000))


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


def _let_go() -> None:
    for writer in tuple(_writers):
        writer.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def logged_aside() -> Iterator[None]:
    """Inside the block nobody who logs waits for who reads; at its end all is written, unless nobody reads.

    It concerns the handlers of the standard library that there are, and write to what may keep them waiting: a pipe,
    a socket, a terminal.
    """
    writers: dict[int, LineWriter] = {}
    before: list[tuple[logging.StreamHandler[Any], Any]] = []
    last_resort = logging.lastResort
    try:
        for handler in _handlers():
            if (writer := _writer_for(handler.stream, writers)) is not None:
                stream = handler.setStream(writer)
                before.append((handler, stream))
        last = getattr(last_resort, "stream", None)
        if last_resort is not None and (writer := _writer_for(last, writers)) is not None:
            logging.lastResort = logging.StreamHandler(writer)
            logging.lastResort.setLevel(last_resort.level)
        yield
    finally:
        are_finished = [writer.finish() for writer in writers.values()]
        if all(are_finished):
            logging.lastResort = last_resort
            for handler, stream in before:
                if isinstance(handler.stream, LineWriter):  # nobody has given it another one
                    handler.setStream(stream)


def finish() -> None:
    """All is written, as far as somebody reads: for who ends the process without the end of that block."""
    for writer in tuple(_writers):
        writer.finish()


def lines_lost() -> int:
    """Lines of the log of this process that were not written."""
    return sum(writer.lost for writer in tuple(_writers))


def _handlers() -> Iterator[logging.StreamHandler[Any]]:
    named = (each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger))
    for handler in {handler for each in (logging.root, *named) for handler in each.handlers}:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            yield handler


def _writer_for(stream: Any, writers: dict[int, LineWriter]) -> LineWriter | None:  # noqa: ANN401 - a stream
    """One for each file; None where a write never waits for a reader."""
    try:
        fd = stream.fileno()
        mode = os.fstat(fd).st_mode
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is the last two
        return None
    if not isinstance(stream, io.TextIOWrapper) or os.name != "posix" or stat.S_ISREG(mode):
        return None
    if fd not in writers:
        try:
            writers[fd] = LineWriter(stream)
        except (OSError, RuntimeError):  # no thread can be had
            return None
    return writers[fd]
