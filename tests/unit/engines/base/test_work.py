# SPDX-License-Identifier: Apache-2.0
"""Work off the loop: one job after the other, given up at once, and nothing of one in the next."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.work import Stop, Worker

SOON_S = 10.0
"""What should happen at once; a busy machine may take longer."""


class Held:
    """A job that waits until it is let go on, whatever its stop says, as a decode does."""

    def __init__(self, result: object = None) -> None:
        self.result = result
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.was_stopped = False

    def __call__(self, _model: object, stop: Stop) -> object:
        self.begun.set()
        assert self.go_on.wait(SOON_S)
        self.was_stopped = stop.is_set()
        return self.result

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, SOON_S)


@pytest.fixture
async def worker() -> AsyncIterator[Worker[str]]:
    worker = Worker("engine", lambda: "model")
    yield worker
    await worker.close()
    assert "engine" not in {thread.name for thread in threading.enumerate()}


async def test_a_job_runs_off_the_loop_with_what_was_loaded(worker: Worker[str]) -> None:
    model, thread = await worker.run(lambda model, _: (model, threading.current_thread().name))
    assert (model, thread) == ("model", "engine")


async def test_it_is_loaded_once_and_again_where_that_failed() -> None:
    loads: list[int] = []

    def load() -> int:
        loads.append(1)
        if len(loads) == 1:
            raise EngineMissing("no model", mend="pip install model")
        if len(loads) == 2:
            raise ValueError("bad file")
        return len(loads)

    worker = Worker("engine", load)
    with pytest.raises(EngineMissing, match="no model; mend it with: pip install model"):
        await worker.warm()
    with pytest.raises(EngineError, match="engine cannot be loaded: ValueError: bad file"):
        await worker.warm()
    await worker.warm()
    assert await worker.run(lambda model, _: model) == 3
    await worker.close()


async def test_a_failure_is_explained_and_the_next_job_runs(worker: Worker[str]) -> None:
    def fail(_model: str, _stop: Stop) -> None:
        raise RuntimeError("broken")

    with pytest.raises(EngineError, match="engine failed: RuntimeError: broken") as raised:
        await worker.run(fail)
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert await worker.run(lambda *_: 2) == 2


async def test_the_loop_goes_on_meanwhile(worker: Worker[str]) -> None:
    held = Held(7)
    waiting = asyncio.ensure_future(worker.run(held))
    await held.has_begun()
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    held.go_on.set()
    assert await waiting == 7


async def test_who_is_cancelled_returns_at_once_and_the_job_is_told(worker: Worker[str]) -> None:
    held = Held()
    waiting = asyncio.ensure_future(worker.run(held))
    await held.has_begun()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    following = asyncio.ensure_future(worker.run(lambda *_: "next"))
    held.go_on.set()
    assert await following == "next"
    assert held.was_stopped


async def test_pieces_come_as_they_are_made(worker: Worker[str]) -> None:
    gates = [threading.Event() for _ in range(3)]

    def job(_model: str, _stop: Stop) -> Iterator[int]:
        for number, gate in enumerate(gates):
            assert gate.wait(SOON_S)
            yield number

    got = []
    gates[0].set()
    async for piece in worker.stream(job):
        got.append(piece)
        if piece < 2:
            gates[piece + 1].set()
    assert got == [0, 1, 2]


async def test_a_closed_iterator_stops_the_job_and_the_next_gets_nothing_of_it(worker: Worker[str]) -> None:
    gate, made = threading.Event(), []

    def endless(_model: str, stop: Stop) -> Iterator[str]:
        while not stop.is_set():
            made.append("old")
            yield "old"
            assert gate.wait(SOON_S)

    stream = worker.stream(endless)
    assert await anext(stream) == "old"
    await stream.aclose()
    gate.set()
    assert [piece async for piece in worker.stream(lambda *_: ["new", "new"])] == ["new", "new"]
    assert made == ["old"]


async def test_a_slow_listener_does_not_hold_the_engine(worker: Worker[str]) -> None:
    stream = worker.stream(lambda *_: range(1000))
    assert await anext(stream) == 0
    assert await worker.run(lambda *_: "another") == "another"
    assert [piece async for piece in stream] == list(range(1, 1000))


async def test_a_failure_comes_after_the_pieces_before_it(worker: Worker[str]) -> None:
    def job(_model: str, _stop: Stop) -> Iterator[int]:
        yield 1
        raise OSError("gone")

    stream = worker.stream(job)
    assert await anext(stream) == 1
    with pytest.raises(EngineError, match="gone"):
        await anext(stream)


async def test_no_more_wait_than_are_wanted() -> None:
    worker = Worker("engine", lambda: None, max_waiting=2)
    held = Held()
    waiting = [asyncio.ensure_future(worker.run(held))]
    await held.has_begun()
    waiting += [asyncio.ensure_future(worker.run(lambda *_: None)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(EngineError, match="2 jobs wait already"):
        await worker.run(lambda *_: None)
    held.go_on.set()
    await asyncio.gather(*waiting)
    await worker.close()


async def test_what_gives_way_is_done_after_all_others_and_takes_nobodys_place() -> None:
    worker: Worker[str] = Worker("engine", lambda: "model", max_waiting=2)
    held, done = Held(), []

    def job(name: str) -> Callable[[str, Stop], None]:
        return lambda _model, _stop: done.append(name)

    waiting = [asyncio.ensure_future(worker.run(held))]
    await held.has_begun()
    partials = [worker.run(job(name), gives_way=True) for name in ("partial 1", "partial 2")]
    waiting += map(asyncio.ensure_future, partials)
    await asyncio.sleep(0)
    with pytest.raises(EngineError, match="2 jobs wait already"):
        await worker.run(job("partial 3"), gives_way=True)
    waiting += [asyncio.ensure_future(worker.run(job(name))) for name in ("final 1", "final 2")]
    await asyncio.sleep(0)
    waiting.pop(1).cancel()
    await asyncio.sleep(0)
    held.go_on.set()
    await asyncio.wait_for(asyncio.gather(*waiting), SOON_S)
    assert done == ["final 1", "final 2", "partial 2"]
    await worker.close()


async def test_closing_answers_everybody_and_leaves_no_thread() -> None:
    unloaded: list[str] = []
    worker = Worker("closing", lambda: "model", unload=unloaded.append)
    held = Held()
    waiting = [asyncio.ensure_future(worker.run(held))]
    await held.has_begun()
    waiting.append(asyncio.ensure_future(worker.run(lambda *_: pytest.fail("begun"))))
    await asyncio.sleep(0)
    closing = [asyncio.ensure_future(worker.close()) for _ in range(2)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert ["was closed" in str(result) for result in results] == [True, True]
    held.go_on.set()
    await asyncio.gather(*closing)
    assert held.was_stopped
    assert unloaded == ["model"]
    assert "closing" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(EngineError, match="was closed"):
        await worker.run(lambda *_: None)
    await worker.close()


async def test_what_hangs_keeps_nobody_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker("hanging", lambda: "model", close_s=0.01)
    held = Held()
    waiting = asyncio.ensure_future(worker.run(held))
    await held.has_begun()
    await worker.close()
    await worker.close()
    with pytest.raises(EngineError, match="was closed"):
        await waiting
    assert (
        "hanging: its thread is still at one piece of work 0.01 s after it was closed" in caplog.messages[0]
    )
    [thread] = [thread for thread in threading.enumerate() if thread.name == "hanging"]
    held.go_on.set()
    await asyncio.to_thread(thread.join, SOON_S)
    assert not thread.is_alive()


async def test_closing_what_was_never_used_makes_no_thread() -> None:
    worker = Worker("engine", pytest.fail)
    await worker.close()


def test_a_loop_that_is_gone_disturbs_nobody() -> None:
    worker = Worker("engine", lambda: None)
    held = Held()

    async def leave() -> None:
        waiting = asyncio.ensure_future(worker.run(held))
        await held.has_begun()
        waiting.cancel()

    asyncio.run(leave())
    held.go_on.set()
    assert asyncio.run(worker.run(lambda *_: 1)) == 1
    asyncio.run(worker.close())


def test_what_is_done_at_a_stop_is_done_once_and_never_after_the_job() -> None:
    done: list[int] = []
    stop = Stop()
    stop.then(lambda: done.append(1))
    stop.set()
    stop.set()
    stop.then(lambda: done.append(2))  # it is set already
    assert done == [1, 2]
    over = Stop()
    over.then(lambda: done.append(3))
    over._end()
    over.set()
    assert done == [1, 2]
    assert not over.is_set()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(["run", "stream"])),
        st.tuples(st.just("cancel"), st.integers(0, 7)),
        st.tuples(st.just("let go"), st.integers(0, 7)),
        st.tuples(st.just("close"), st.none()),
    ),
    max_size=14,
)


@given(STEPS)
def test_every_waiter_gets_its_own_answer_whatever_the_order(steps: list[tuple[str, object]]) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, object]]) -> None:
    worker = Worker("engine", lambda: None)
    first = Held("first")
    jobs: list[tuple[Held, bool]] = []
    tasks = [asyncio.ensure_future(worker.run(first))]
    await first.has_begun()  # so that what follows waits, until it is let go
    cancelled_waiting, is_closed, closings = set(), False, []

    async def streamed(job: Held) -> object:
        (piece,) = [piece async for piece in worker.stream(lambda model, stop: [job(model, stop)])]
        return piece

    for step, what in steps:
        if step == "ask":
            job = Held(len(jobs))
            job.go_on.set()
            jobs.append((job, is_closed))
            tasks.append(asyncio.ensure_future(worker.run(job) if what == "run" else streamed(job)))
        elif step == "cancel" and isinstance(what, int) and what < len(tasks):
            if not first.go_on.is_set() and what > 0:
                cancelled_waiting.add(what - 1)
            tasks[what].cancel()
        elif step == "let go":
            first.go_on.set()
        elif step == "close":
            is_closed = True
            closings.append(asyncio.ensure_future(worker.close()))
        await asyncio.sleep(0)
    first.go_on.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON_S)
    for number, ((job, was_closed), result) in enumerate(zip(jobs, results[1:], strict=True)):
        if number in cancelled_waiting or was_closed:
            assert not job.begun.is_set()
        fine = result == number or isinstance(result, asyncio.CancelledError)
        assert fine or (is_closed and isinstance(result, EngineError)), result
    await asyncio.gather(*closings, worker.close())
