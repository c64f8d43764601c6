# SPDX-License-Identifier: Apache-2.0
"""What the application asks and waits for: each wait is answered once or left, in whatever loop it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.serving import own_loop

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks
from audio_connector.call.tells import Figures
from audio_connector.errors import ConnectionClosed
from audio_connector.playback.speech import Interrupted, Played, Progress
from audio_connector.server.line import OVER, Line, resolve
from audio_connector.server.statistics import playback_of, statistics_of
from audio_connector.wire.messages import Disconnected

BYE = Disconnected(code=1000, reason="bye", closed_by="router")


class Stage:
    """A line, and what it hands over."""

    def __init__(self) -> None:
        self.posted: list[asks.Ask] = []
        self.has_posted = threading.Event()
        self.line = Line(
            7,
            self._post,
            max_buffer_s=1.0,
            report=lambda error: None,
            owes_work=lambda: False,
            clock=lambda: 5000.0,
        )

    def _post(self, message: tuple[int, asks.Ask]) -> None:
        assert message[0] == 7
        self.posted.append(message[1])
        self.has_posted.set()


async def test_an_answer_finds_who_waits() -> None:
    stage = Stage()
    waiting = [asyncio.ensure_future(stage.line.ask(asks.Flush)) for _ in range(3)]
    await asyncio.sleep(0)
    assert stage.posted == [asks.Flush(1), asks.Flush(2), asks.Flush(3)]
    for token in (2, 3, 1):
        stage.line.answer(token, Played(float(token)))
    assert [await task for task in waiting] == [Played(1.0), Played(2.0), Played(3.0)]
    assert stage.line._waits == {}
    stage.line.answer(2, Played(0.0))
    stage.line.answer(99, Played(0.0))


@pytest.mark.parametrize("is_answered", [False, True])
async def test_who_is_cancelled_leaves(is_answered: bool) -> None:
    stage = Stage()
    waiting = asyncio.ensure_future(stage.line.ask(asks.Flush))
    await asyncio.sleep(0)
    if is_answered:  # in the same round
        stage.line.answer(1, Played(1.0))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stage.line._waits == {}
    assert stage.posted[1:] == [asks.Leave(1)], "what was granted is not taken"


async def test_who_waits_for_the_format_leaves_nothing_however_often_and_however_it_ends() -> None:
    line = Stage().line
    waiting = [asyncio.ensure_future(line.wait_settled()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    line.settle(AudioFormat(24000), None)
    await waiting[1]
    for _ in range(3):
        await line.wait_settled()
    assert (line._settling, line._waits, line._answered) == (set(), {}, {})


async def test_a_coroutine_that_is_collected_while_it_waits_leaves() -> None:
    stage = Stage()
    coroutine = stage.line.ask(asks.Flush)
    coroutine.send(None)
    coroutine.close()
    assert stage.line._waits == {}
    assert stage.posted == [asks.Flush(1), asks.Leave(1)]


def wait_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begin something in a loop that does not run on."""

    async def begin() -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        return task

    return loop.run_until_complete(begin())


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_one_whose_loop_was_closed_gives_back_what_it_was_granted() -> None:
    stage = Stage()
    loop = asyncio.new_event_loop()
    task = wait_in(loop, stage.line.ask(lambda token: asks.StandInLine(0, token, False)))
    loop.close()
    stage.line.answer(1, True)
    assert stage.posted == [asks.StandInLine(0, 1, False), asks.Leave(1)]
    assert stage.line._waits == {}
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()  # or the collector does it


async def test_whoever_waits_in_another_loop_is_answered_there() -> None:
    stage = Stage()
    threads = []

    async def wait() -> object:
        answer = await stage.line.ask(asks.Flush)
        threads.append(threading.current_thread().name)
        return answer

    with own_loop() as loop:
        future = asyncio.run_coroutine_threadsafe(wait(), loop)
        await asyncio.to_thread(stage.has_posted.wait, 10)
        stage.line.answer(1, "answer")
        assert await asyncio.wrap_future(future) == "answer"
    assert threads == ["second-loop"]


async def test_the_end_answers_everybody_and_comes_once() -> None:
    stage = Stage()
    line = stage.line
    finished: list[object] = []
    line.speeches |= {1: finished.append, 2: finished.append}
    line.finish(1, Played(5.0))
    line.finish(1, Played(6.0))
    waiting = [asyncio.ensure_future(line.ask(asks.Flush)) for _ in range(3)]
    closing = asyncio.ensure_future(line.wait_closed(1000.0))
    await asyncio.sleep(0)
    line.end(BYE)
    line.end(Disconnected(code=1006, reason="", closed_by="network"))
    assert [await task for task in waiting] == [OVER] * 3
    await closing
    assert line.closed == BYE
    assert finished == [Played(5.0), Interrupted(0.0, 0.0)]
    assert await line.ask(asks.Flush) is OVER
    await line.wait_closed(1000.0)
    assert line._waits == {}
    assert len(stage.posted) == 3, "nobody is asked who is not there"


@pytest.mark.parametrize("is_released", [False, True])
async def test_where_the_io_side_is_gone_all_stands_still_as_far_as_it_was_known(is_released: bool) -> None:
    """A second was heard, 200 ms were under way, and 3.8 s were to follow; those of others, where they go on."""
    stage, now = Stage(), [5001.0]
    stage.line.clock = lambda: now[0]
    outcomes: list[Played | Interrupted] = []
    stage.line.begin_speech(7, outcomes.append)
    stage.line.begin_speech(8, outcomes.append)
    going = Progress(anchor_s=5000.0, run_sent=61, queued_ms=3780.0, run_coming=189, lead_s=0.2)
    stage.line.figures = Figures(progress=going, speeches=((7, going),))
    if is_released:
        stage.line.release(BYE)
    else:
        stage.line.end(BYE)
    unheard_ms, unsent_ms = (0.0, 0.0) if is_released else (4000.0, 3780.0)
    assert outcomes == [Interrupted(1000.0, unheard_ms), Interrupted(0.0, 0.0)]
    for now[0] in (5001.0, 5100.0):
        figures = statistics_of(stage.line)
        assert (figures.played_ms, figures.queued_ms, figures.unsent_ms) == (1000.0, 0.0, unsent_ms)
        assert playback_of(stage.line).in_flight_ms == 0.0


async def test_waiting_for_the_end_leaves_nothing_whether_it_comes_or_not() -> None:
    stage = Stage()
    await stage.line.wait_closed(0.0)
    waiting = asyncio.ensure_future(stage.line.wait_closed(1000.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stage.line._waits == {}


ENDS: list[tuple[Callable[[Line], object], int, str]] = [
    (lambda line: line.close(3001, "enough"), 1000, "by the server with 1000"),
    (lambda line: line.end(BYE), 1000, "by the router with 1000 (bye)"),
    (lambda line: line.end(Disconnected(code=None, reason="", closed_by="network")), 1006, "by the network"),
]


@pytest.mark.parametrize(("end", "code", "text"), ENDS)
async def test_what_needs_an_open_connection_is_refused_once_it_is_over(
    end: Callable[[Line], object], code: int, text: str
) -> None:
    stage = Stage()
    stage.line.check_open("speak")
    assert stage.line.is_open
    end(stage.line)
    assert not stage.line.is_open
    with pytest.raises(ConnectionClosed, match="cannot speak: the connection was closed") as caught:
        stage.line.check_open("speak")
    assert text in str(caught.value)
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)


async def test_numbers_are_never_used_twice_whoever_asks() -> None:
    stage = Stage()
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(next(stage.line.numbers) for _ in range(5000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 20_000


async def test_a_future_that_is_done_is_left_alone() -> None:
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.cancel()
    assert resolve(future, 5)
    assert future.cancelled()


async def test_who_was_answered_but_whose_loop_was_closed_before_its_turn_has_left() -> None:
    stage, loop = Stage(), asyncio.new_event_loop()
    waiting = loop.create_task(stage.line.ask(asks.Flush))

    def begin() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    await asyncio.to_thread(begin)
    stage.line.answer(1, Played(1.0))  # which the loop takes, and then it is never run again
    stage.line.forget_closed()
    assert stage.posted == [asks.Flush(1)]  # it may run again
    loop.close()
    stage.line.forget_closed()
    stage.line.forget_closed()
    assert stage.posted == [asks.Flush(1), asks.Leave(1)]
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = waiting.get_coro()
    assert coroutine is not None
    coroutine.close()
    assert stage.line._answered == {}
