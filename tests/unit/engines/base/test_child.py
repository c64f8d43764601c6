# SPDX-License-Identifier: Apache-2.0
"""An engine in a process of its own: killed, hung, stopped in the middle, and never a word of the old in the new."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from audio_connector.engines.base import child as child_module
from audio_connector.engines.base.child import Child
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.work import Stop, Worker

pytestmark = pytest.mark.programs

MODULE = "support.engine_child"


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("engine", MODULE)
    yield child
    child.close()


def say(child: Child, text: str, stop: Stop | None = None, **more: object) -> list[bytes]:
    return list(child.ask({"text": text, **more}, stop or Stop()))


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_answers_one_request_after_the_other_in_one_process(child: Child) -> None:
    child.start()
    pid = child.pid
    assert child.greeting == {"pid": pid}
    assert say(child, "a", pieces=3) == [b"a0", b"a1", b"a2"]
    assert say(child, "b") == [b"b0"]
    assert say(child, "c", pieces=0) == []
    assert child.pid == pid
    child.close()
    assert pid is not None
    assert not is_there(pid)
    child.close()


def test_what_goes_wrong_in_it_is_told_and_it_lives_on(child: Child) -> None:
    with pytest.raises(EngineError, match="engine: RuntimeError: cannot say that"):
        say(child, "fail")
    assert say(child, "b") == [b"b0"]


def test_one_that_died_is_told_and_another_one_started(child: Child) -> None:
    with pytest.raises(EngineError, match="its process ended by signal 9; the next call starts another one"):
        say(child, "die")
    assert say(child, "b") == [b"b0"]
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)  # between two requests
    deadline = time.monotonic() + 10
    while child._process is not None and child._process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert say(child, "c") == [b"c0"]
    assert child.pid != first


def test_what_it_warns_of_for_weeks_fills_no_disk_and_its_last_words_are_known(child: Child) -> None:
    for _ in range(8):
        assert say(child, "a", warnings=50_000) == [b"a0"]
        assert child._complaints is not None
        assert os.fstat(child._complaints.fileno()).st_size <= child_module.COMPLAINTS_BYTES + 500_000
    with pytest.raises(EngineError, match=r"ended by signal 9 \(a warning\)"):
        say(child, "die", warnings=1)


def test_one_that_hangs_is_ended(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    child.start()
    monkeypatch.setattr(child_module, "SILENCE_S", 0.1)
    with pytest.raises(EngineError, match=r"said nothing for 0\.1 s and was ended"):
        say(child, "hang")
    assert child.pid is None


def test_one_that_says_it_is_over_and_stays_is_ended(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "LAST_S", 0.1)
    with pytest.raises(EngineError, match="its process ended by signal 9"):
        say(child, "shut")
    assert child.pid is None


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("fails", "engine cannot be loaded: ValueError: a bad file"),
        ("dies", r"its process ended with status 1 \(the last word\)"),
    ],
)
def test_one_that_cannot_load_says_why(how: str, words: str) -> None:
    child = Child("engine", MODULE, how)
    for _ in range(2):
        with pytest.raises(EngineError, match=words):
            child.start()
    assert child.pid is None


def test_one_that_does_not_get_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "LOAD_S", 0.1)
    with pytest.raises(EngineError, match="said nothing"):
        Child("engine", MODULE, "silent").start()


def test_a_module_that_is_not_there_is_told() -> None:
    with pytest.raises(EngineError, match="ModuleNotFoundError"):
        Child("engine", "support.no_such_module").start()


async def test_a_stopped_request_ends_soon_and_the_next_gets_its_own(tmp_path: Path) -> None:
    note = tmp_path / "note"
    worker: Worker[Child] = Worker(
        "engine", lambda: Child("engine", MODULE, "", str(note)), unload=Child.close
    )

    def ask(text: str, pieces: int) -> AsyncGenerator[bytes, None]:
        return worker.stream(lambda child, stop: child.ask({"text": text, "pieces": pieces}, stop))

    for text in ("old", "older"):
        stream = ask(text, 10_000_000)
        assert await anext(stream) == f"{text}0".encode()
        await stream.aclose()
    assert [piece async for piece in ask("new", 3)] == [b"new0", b"new1", b"new2"]
    await worker.close()
    assert note.read_bytes() == b"new2"


async def test_it_ends_with_our_end_of_the_pipe() -> None:
    child = Child("engine", MODULE)
    await asyncio.to_thread(child.start)
    process = child._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 10) == 0
    child.close()
