# SPDX-License-Identifier: Apache-2.0
"""What several processes have counted, and that it never comes out less than it was told before."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from audio_connector.cluster.collecting import ANSWER_S, Collecting
from audio_connector.cluster.member import Member
from audio_connector.port import words
from audio_connector.port.meters import Found, read_found
from audio_connector.server.endpoints import KEPT_S
from audio_connector.testing.virtual_time import in_virtual_time


class Process:
    """A process as the supervisor has it: it answers with what it has counted, unless it is stopped."""

    def __init__(self, stage: Stage, opened: float) -> None:
        self.stage = stage
        self.opened = opened
        self.answers: list[str] = []
        self.says: str | None = None
        """In place of what it has counted."""
        self.is_stopped = False

    @property
    def member(self) -> Member:
        return cast("Member", self)

    def text(self, *calls: dict[str, Any]) -> str:
        return self.says or Found([("calls_opened", (), self.opened)], calls).as_json()

    def say(self, word: words.Word) -> None:
        if isinstance(word, words.Collected):
            self.answers.append(word.found)
        elif isinstance(word, words.Collect) and not self.is_stopped:
            calls = [{"number": self.opened}] if word.with_calls else []
            answer = words.Collected(word.token, self.text(*calls))
            asyncio.get_running_loop().call_soon(self.stage.collecting.take, self.member, answer)


class Stage:
    """A supervisor's part, and I/O processes."""

    def __init__(self, *opened: float) -> None:
        self.ios = [Process(self, count) for count in opened]
        self.collecting = Collecting(
            lambda asking: [io.member for io in self.ios if io.member is not asking],
            lambda: [("workers", (), 2.0)],
        )

    async def ask(self, io: Process, *, with_calls: bool = False) -> Found:
        """What an I/O process is told once what was told before is not kept any more."""
        await asyncio.sleep(KEPT_S)
        self.collecting.note(io.member, io.text())
        await self.collecting.answer(io.member, words.Collect(1, with_calls, ""))
        found = read_found(io.answers[-1])
        assert found is not None
        return found

    async def opened(self, io: Process) -> float:
        """The sum that this one tells whoever asks it."""
        found = await self.ask(io)
        return sum(cast("float", sample) for name, _, sample in found.snapshot if name == "calls_opened")

    def lose(self, io: Process) -> None:
        self.collecting.forget(io.member)
        self.ios.remove(io)


@in_virtual_time
async def test_whoever_is_asked_the_sum_is_the_same() -> None:
    stage = Stage(1.0, 2.0, 4.0)
    assert [await stage.opened(io) for io in stage.ios] == [7.0, 7.0, 7.0]
    found = await stage.ask(stage.ios[0], with_calls=True)
    assert found.calls == [{"number": 2.0}, {"number": 4.0}]
    assert ("workers", (), 2.0) in found.snapshot


@in_virtual_time
async def test_who_does_not_answer_is_as_it_was_and_holds_nobody_up() -> None:
    stage = Stage(1.0, 2.0)
    asked, stopped = stage.ios
    stopped.is_stopped = True
    began_at = asyncio.get_running_loop().time()
    assert await stage.opened(asked) == 1.0, "it has not said anything so far"
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(KEPT_S + ANSWER_S)
    stopped.is_stopped = False
    assert await stage.opened(asked) == 3.0
    stopped.is_stopped = True
    stopped.opened = 50.0
    assert await stage.opened(asked) == 3.0
    late = words.Collected(99, stopped.text())
    stage.collecting.take(stopped.member, late)
    assert await stage.opened(asked) == 51.0


@in_virtual_time
async def test_the_counts_of_who_is_gone_stay() -> None:
    stage = Stage(1.0, 2.0, 4.0)
    first, second, third = stage.ios
    worker = Process(stage, 100.0)
    stage.collecting.note(worker.member, worker.text())
    assert await stage.opened(second) == 107.0
    stage.lose(second)  # which was the one that told the sum
    assert await stage.opened(first) == 107.0
    stage.collecting.forget(worker.member)
    stage.lose(first)
    assert await stage.opened(third) == 107.0
    stage.ios.append(again := Process(stage, 0.0))
    again.opened += 1.0
    assert await stage.opened(again) == await stage.opened(third) == 108.0


@in_virtual_time
async def test_the_calls_of_an_io_process_that_is_gone_have_ended() -> None:
    stage = Stage(1.0, 2.0)
    asked, lost = stage.ios
    ended = ["calls_ended", ["router", "1000"], 3.0]
    lost.says = json.dumps([[["calls_opened", [], 7.0], ended, ["calls", [], 4.0]], []])
    await stage.ask(asked)
    stage.lose(lost)
    found = await stage.ask(asked)
    assert ("calls_opened", (), 1.0 + 7.0) in found.snapshot
    assert [row for row in found.snapshot if row[0].startswith("calls") and row[1]] == [
        ("calls_ended", ("router", "1000"), 3.0),
        ("calls_ended", ("server", "1006"), 4.0),
    ]


@in_virtual_time
async def test_who_is_lost_before_it_has_said_anything() -> None:
    stage = Stage(1.0, 2.0)
    stage.lose(stage.ios[1])
    assert await stage.opened(stage.ios[0]) == 1.0


@in_virtual_time
async def test_a_sum_that_fails_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(1.0, 2.0)
    asked, other = stage.ios
    with monkeypatch.context() as patched:
        patched.setattr(stage.collecting, "_own", lambda: 1 // 0)
        both = [stage.ask(asked), stage.ask(other)]
        ended = await asyncio.gather(*both, return_exceptions=True)
    assert [type(each) for each in ended] == [ZeroDivisionError, asyncio.CancelledError]
    assert await stage.opened(asked) == 3.0


@pytest.mark.parametrize("text", ["{", "null", '[{"snapshot": []}]', "[[[]], 7]"])
@in_virtual_time
async def test_what_cannot_be_read_is_no_answer(text: str) -> None:
    stage = Stage(1.0, 2.0)
    asked, other = stage.ios
    assert await stage.opened(asked) == 3.0
    other.says = text
    assert await stage.opened(asked) == 3.0
