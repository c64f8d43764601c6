# SPDX-License-Identifier: Apache-2.0
"""How an engine works off the event loop: one thread each, which does one job after the other.

Rules:

1. The thread loads the engine before its first job. Where that fails, the job fails, and the next one tries again.
2. Whoever waits for a job may be cancelled, and then returns at once. A job that has not begun is never begun; one
   that has is told by its `Stop` and its result is dropped, so that nothing of it reaches the next caller.
3. A job gives its pieces without waiting for who takes them, so that a slow listener does not hold the engine: an
   adapter asks for one sentence at a time.
4. A job that gives way is begun where no other one waits, and takes nobody's place among those that may wait: what it
   makes is soon made again of more, as a partial is, and what nobody makes again is not to be refused for it.
5. After `Worker.close` there is no thread, but for one that hangs, and every waiter has been answered.

A worker may be used from any event loop, and from several.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from audio_connector.engines.base.faults import EngineError

M = TypeVar("M")
T = TypeVar("T")

MAX_WAITING: Final = 16
"""Jobs that wait for an engine. At half a second each, the last of them is answered when nobody listens any more."""

CLOSE_S: Final = 30.0
"""For the piece of work that a thread is at when its engine is closed; the slowest decode of Whisper that is of use
in a call takes some seconds."""

_END: Final = object()

_log: Final = logging.getLogger(__name__)


class Stop:
    """Tells a job that nobody waits for it any more. It is asked between two pieces of the work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._is_over = False
        self._then: Callable[[], object] | None = None

    def is_set(self) -> bool:
        """Whether the rest of the work is for nobody."""
        return self._is_set

    def then(self, act: Callable[[], object]) -> None:
        """Have something done at once when it is set, in the thread that does so: for work that cannot ask.

        It may be done a moment after the job has ended, never after the next one has begun.
        """
        with self._lock:
            self._then = act
            if self._is_set:
                act()

    def set(self) -> None:
        """Say that nobody waits; again, or after the job's end, it does nothing."""
        with self._lock:
            if self._is_set or self._is_over:
                return
            self._is_set = True
            if self._then is not None:
                self._then()

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            self._then = None


class Worker(Generic[M]):
    """Does the jobs of an engine in a thread of its own.

    Args:
        name: The engine's, for errors and as the name of the thread.
        load: Makes what every job is given; called in the thread.
        unload: Frees it; called in the thread.
        max_waiting: Jobs that may wait. One more is refused.
        close_s: How long `close` waits for the thread.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], M],
        *,
        unload: Callable[[M], object] | None = None,
        max_waiting: int = MAX_WAITING,
        close_s: float = CLOSE_S,
    ) -> None:
        self._name = name
        self._load = load
        self._unload = unload
        self._max_waiting = max_waiting
        self._close_s = close_s
        self._changed = threading.Condition()
        self._waiting: deque[_Job[M]] = deque()
        self._giving_way: deque[_Job[M]] = deque()
        self._current: _Job[M] | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._farewells: list[Callable[[], None]] = []
        self._loaded: list[M] = []  # none or one; any value may be a model

    async def warm(self) -> None:
        """Load the engine, where it is not loaded yet.

        Raises:
            EngineError: It cannot be loaded, with `EngineMissing` where something is not there.
        """
        await self.run(lambda _model, _stop: None)

    async def run(self, job: Callable[[M, Stop], T], *, gives_way: bool = False) -> T:
        """Return what a job returns.

        Args:
            job: Given the engine.
            gives_way: Whether every other job goes before it.

        Raises:
            EngineError: It failed, too many wait already, or the engine was closed.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def perform(model: M, stop: Stop) -> None:
            result = job(model, stop)
            _tell(loop, _resolve, answer, result)

        made = _Job(perform, lambda error: _tell(loop, _reject, answer, error), gives_way=gives_way)
        with _Waiting(self, made):
            return await answer

    async def stream(self, job: Callable[[M, Stop], Iterable[T]]) -> AsyncGenerator[T, None]:
        """Iterate over what a job gives, each piece as soon as it is made. Closing the iterator stops the job.

        Raises:
            EngineError: It failed, too many wait already, or the engine was closed.
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Any] = asyncio.Queue()

        def perform(model: M, stop: Stop) -> None:
            for piece in job(model, stop):
                if stop.is_set():
                    return
                _tell(loop, pieces.put_nowait, piece)
            _tell(loop, pieces.put_nowait, _END)

        with _Waiting(self, _Job(perform, lambda error: _tell(loop, pieces.put_nowait, _Failure(error)))):
            while (piece := await pieces.get()) is not _END:
                if isinstance(piece, _Failure):
                    raise piece.error
                yield piece

    async def close(self) -> None:
        """Stop what is done, refuse what waits, free the engine and end the thread; idempotent.

        It waits for the piece of work that the thread is at, without blocking the loop; for `CLOSE_S` at most, since
        what hangs in a library cannot be ended, and must not keep a program from its end.
        """
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        with self._changed:
            self._is_closed = True
            thread = self._thread
            refused = [*self._waiting, *self._giving_way]
            self._waiting.clear()
            self._giving_way.clear()
            if self._current is not None:
                self._current.stop.set()
                refused.append(self._current)
            if thread is not None:
                self._farewells.append(lambda: _tell(loop, _resolve, gone, None))
                self._changed.notify()
        for job in refused:
            job.fail(self._closed())
        if thread is None:
            return
        await asyncio.wait({gone}, timeout=self._close_s)
        if gone.done():
            thread.join()  # it has said that it is at its end
        else:
            _log.warning(
                "%s: its thread is still at one piece of work %g s after it was closed; it is left alone, and "
                "ends with the process",
                self._name,
                self._close_s,
            )

    def _put(self, job: _Job[M]) -> None:
        with self._changed:
            if self._is_closed:
                raise self._closed()
            waiting = self._queue_of(job)
            if len(waiting) >= self._max_waiting:
                raise EngineError(
                    f"{self._name}: {len(waiting)} jobs wait already, which is all that are taken; expected "
                    "fewer calls at once; use a smaller model, or an engine for each few calls"
                )
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            waiting.append(job)
            self._changed.notify()

    def _give_up(self, job: _Job[M]) -> None:
        job.stop.set()
        with self._changed, suppress(ValueError):
            self._queue_of(job).remove(job)

    def _queue_of(self, job: _Job[M]) -> deque[_Job[M]]:
        return self._giving_way if job.gives_way else self._waiting

    def _closed(self) -> EngineError:
        return EngineError(f"{self._name}: the engine was closed; make another one")

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                if not job.stop.is_set():
                    job.perform(self._model(), job.stop)
            except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
                job.fail(self._explained(error))
            finally:
                job.stop._end()
                with self._changed:
                    self._current = None
            del job  # with what it has taken along, while the thread waits for the next
        if self._loaded and self._unload is not None:
            with suppress(Exception):  # nobody is left to be told
                self._unload(self._loaded.pop())
        self._loaded.clear()
        with self._changed:
            self._thread = None
            farewells, self._farewells = self._farewells, []
        for farewell in farewells:
            farewell()

    def _next(self) -> _Job[M] | None:
        with self._changed:
            while not self._waiting and not self._giving_way and not self._is_closed:
                self._changed.wait()
            self._current = None if self._is_closed else (self._waiting or self._giving_way).popleft()
            return self._current

    def _model(self) -> M:
        if not self._loaded:
            self._loaded.append(self._load())
        return self._loaded[0]

    def _explained(self, error: BaseException) -> EngineError:
        if isinstance(error, EngineError):
            return error
        what = "failed" if self._loaded else "cannot be loaded"
        explained = EngineError(f"{self._name} {what}: {type(error).__name__}: {error}")
        explained.__cause__ = error
        return explained


class _Failure:
    def __init__(self, error: EngineError) -> None:
        self.error = error


class _Job(Generic[M]):
    def __init__(
        self,
        perform: Callable[[M, Stop], None],
        fail: Callable[[EngineError], None],
        *,
        gives_way: bool = False,
    ) -> None:
        self.perform = perform
        self.fail = fail
        self.gives_way = gives_way
        self.stop = Stop()


class _Waiting(Generic[M]):
    """Has a job done, and gives it up where the block is left before it ended."""

    def __init__(self, worker: Worker[M], job: _Job[M]) -> None:
        self._worker = worker
        self._job = job

    def __enter__(self) -> None:
        self._worker._put(self._job)

    def __exit__(self, *_: object) -> None:
        self._worker._give_up(self._job)


def _tell(loop: asyncio.AbstractEventLoop, act: Callable[..., object], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed, and whoever waited is gone with it
        loop.call_soon_threadsafe(act, *arguments)


def _resolve(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _reject(answer: asyncio.Future[Any], error: EngineError) -> None:
    if not answer.done():
        answer.set_exception(error)
