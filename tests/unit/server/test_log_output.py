# SPDX-License-Identifier: Apache-2.0
"""Who logs does not wait for who reads; nothing is lost at an end, unless nobody reads, and then it is counted."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from audio_connector.server import log_output
from audio_connector.server.log_output import LineWriter, has_room, lines_lost, logged_aside

if sys.platform == "win32":
    pytest.skip("a pipe is no file that can be asked there", allow_module_level=True)

import fcntl

LOG = logging.getLogger("audio_connector.test_log_output")

LINE = "x" * 99


class Pipe:
    """Somewhere to log to, which holds 4 KiB until somebody reads."""

    def __init__(self) -> None:
        self.end, theirs = os.pipe()
        fcntl.fcntl(theirs, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
        self.stream: TextIO = os.fdopen(theirs, "w", encoding="ascii", errors="backslashreplace")
        self.handler = logging.StreamHandler(self.stream)
        self.text = ""
        self._reading: threading.Thread | None = None

    def read(self) -> None:
        """Have it read, from now on to the end."""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        with os.fdopen(self.end, encoding="ascii") as end:
            self.text = end.read()

    def close(self) -> None:
        """Leave nothing."""
        with contextlib.suppress(OSError):  # nobody reads what was not written
            self.stream.close()
        if self._reading is None and not self.text:
            os.close(self.end)

    def lines(self) -> list[str]:
        """All that came, once nobody writes any more."""
        self.stream.close()
        if self._reading is None:
            self._read()
        else:
            self._reading.join()
        return self.text.splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    own = logging.getLogger("audio_connector")
    before = own.level, own.propagate
    own.addHandler(pipe.handler)
    own.setLevel(logging.INFO)
    own.propagate = False
    yield pipe
    pipe.close()
    own.removeHandler(pipe.handler)
    own.setLevel(before[0])
    own.propagate = before[1]


def test_nothing_is_lost_at_the_end_and_the_handler_is_as_it_was(pipe: Pipe) -> None:
    pipe.read()
    with logged_aside():
        assert isinstance(pipe.handler.stream, LineWriter)
        for number in range(2000):
            LOG.info("%s %d", LINE, number)
    assert pipe.handler.stream is pipe.stream
    LOG.info("after it")
    assert pipe.lines() == [*(f"{LINE} {number}" for number in range(2000)), "after it"]


def test_what_another_thread_logs_while_the_writing_one_ends_is_not_lost(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe.read()
    with logged_aside():
        writer = pipe.handler.stream
        assert isinstance(writer, LineWriter)
        join = writer._thread.join

        def then_log(timeout: float) -> None:
            join(timeout)
            LOG.info("late")

        monkeypatch.setattr(writer._thread, "join", then_log)
        LOG.info("in time")
    LOG.info("after it")
    assert pipe.lines() == ["in time", "late", "after it"]


def test_who_logs_goes_on_where_nobody_reads_and_what_is_lost_is_said_once_somebody_does(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_output, "MAX_BYTES", 10_000)
    before = lines_lost()
    with logged_aside():
        for number in range(1000):  # a test that hangs here has failed
            LOG.info("%s %d", LINE, number)
        lost = lines_lost() - before
        assert 500 < lost < 900
        pipe.read()
    *came, told = pipe.lines()
    numbers = [int(line.removeprefix(LINE)) for line in came]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 1000 - lost
    assert numbers[:90] == [*range(90)], "the first ones, which say how it began"
    assert told.startswith(f"{lost} lines of this log were lost within ")


def test_an_end_does_not_wait_for_who_has_stopped_reading(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_output, "FINISH_S", 0.05)
    with logged_aside():
        for _ in range(100):
            LOG.info(LINE)
    for _ in range(100):
        LOG.info("nor does who logs later")
    assert "nor does" not in "".join(pipe.lines())


def test_where_the_reader_is_gone_lines_are_lost_and_nothing_fails(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    os.close(pipe.end)
    before = lines_lost()
    with logged_aside():
        for _ in range(5):
            LOG.info(LINE)
        give_up_at = time.monotonic() + 10
        while lines_lost() - before < 5:
            assert time.monotonic() < give_up_at
    assert capsys.readouterr().err == ""
    pipe.end = os.open(os.devnull, os.O_RDONLY)


def test_a_pipe_that_somebody_else_has_made_one_that_never_blocks_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    with logged_aside():
        for number in range(500):
            LOG.info("%s %d", LINE, number)
        pipe.read()
    assert len(pipe.lines()) == 500


def test_what_stands_in_a_file_or_in_memory_is_written_by_who_logs(tmp_path: Path) -> None:
    own = logging.getLogger("audio_connector")
    with (tmp_path / "log").open("w") as file:
        handlers: list[logging.StreamHandler[Any]] = [
            logging.StreamHandler(file),
            logging.StreamHandler(io.StringIO()),
            logging.FileHandler(tmp_path / "other"),
        ]
        before = [handler.stream for handler in handlers]
        for handler in handlers:
            own.addHandler(handler)
        try:
            with logged_aside():
                assert [handler.stream for handler in handlers] == before
        finally:
            for handler in handlers:
                own.removeHandler(handler)
                handler.close()


def test_what_python_prints_where_nobody_has_set_up_a_log_is_aside_as_well(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", pipe.stream)
    before = logging.lastResort
    assert before is not None
    with logged_aside():
        last = logging.lastResort
        assert isinstance(last, logging.StreamHandler)
        assert last.level == logging.WARNING
        assert last.stream is pipe.handler.stream, "one file has one writer"
    assert logging.lastResort is before


def test_a_process_that_was_forked_writes_by_itself(pipe: Pipe) -> None:
    with logged_aside():
        writer = pipe.handler.stream
        assert isinstance(writer, LineWriter)
        log_output._let_go()
        LOG.info("a child")
        assert writer.encoding == "ascii"
        assert os.read(pipe.end, 100) == b"a child\n"


def test_a_mark_that_the_encoding_lacks_is_escaped(pipe: Pipe) -> None:
    with logged_aside():
        LOG.info("grüße")
    assert pipe.lines() == [r"gr\xfc\xdfe"]


def test_whether_a_line_can_be_printed(pipe: Pipe) -> None:
    assert has_room(pipe.stream, 0.0)
    assert has_room(io.StringIO(), 0.0)
    assert has_room(None, 0.0)
    os.write(pipe.stream.fileno(), b"x" * 4096)
    assert not has_room(pipe.stream, 0.0)
    os.read(pipe.end, 4096)
