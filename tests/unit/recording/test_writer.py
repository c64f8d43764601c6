# SPDX-License-Identifier: Apache-2.0
"""The thread that writes: in order, there while it is needed, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import pytest

from audio_connector.recording import writer as writer_module
from audio_connector.recording.writer import Writer

PATIENCE_S = 10


def run(writer: Writer, *jobs: Callable[[], None]) -> None:
    done = threading.Event()
    for job in (*jobs, done.set):
        writer.submit(job)
    assert done.wait(PATIENCE_S)


def test_jobs_are_done_in_order_in_one_thread_that_is_not_this_one() -> None:
    writer, seen = Writer(), list[tuple[int, int]]()

    def note(number: int) -> None:
        seen.append((number, threading.get_ident()))

    run(writer, *(partial(note, k) for k in range(100)))
    assert [number for number, _ in seen] == list(range(100))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_it_ends_when_there_is_nothing_to_do_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.01)
    writer, threads = Writer(), list[threading.Thread]()
    for _ in range(2):
        run(writer, lambda: threads.append(threading.current_thread()))
        threads[-1].join(PATIENCE_S)
        assert not threads[-1].is_alive()
    assert len(set(threads)) == 2


def test_a_job_that_fails_is_logged_and_the_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("oh")

    seen = list[int]()
    with caplog.at_level(logging.ERROR):
        run(Writer(), fail, lambda: seen.append(1))
    assert seen == [1]
    assert "an error of the library" in caplog.text


def test_the_end_of_the_program_waits_for_what_is_not_written() -> None:
    writer, seen, may_go_on = Writer(), list[int](), threading.Event()

    def hang() -> None:
        may_go_on.wait(PATIENCE_S)
        seen.append(1)

    writer.submit(hang)
    threading.Timer(0.05, may_go_on.set).start()
    writer.finish()
    assert seen == [1]
    Writer().finish()  # where nothing was ever written


def test_where_no_thread_can_be_started_the_next_job_tries_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, done = Writer(), threading.Event()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            writer.submit(lambda: None)
    writer.submit(done.set)
    assert done.wait(5.0)
