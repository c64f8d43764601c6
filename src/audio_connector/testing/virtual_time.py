# SPDX-License-Identifier: Apache-2.0
"""An event loop in virtual time: whoever waits for a timer has it at once, and the clock says that it took as long.

Nothing runs faster; only the waiting is left out. So ten minutes of a call take as long as the computing in them,
the same test gives the same times to the microsecond, and a machine that is busy makes no test fail. What cannot
happen any more is found at once: a wait for nothing, a wait without end, a task that was left behind.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, ParamSpec, TypeVar, overload

from audio_connector.errors import UsageError
from audio_connector.testing.misfortunes import Misfortunes, traceback_of
from audio_connector.testing.waiting import name_of, users_place, what_tasks_wait_for
from audio_connector.wire.memory_network import MemoryListening, MemoryNetwork

T = TypeVar("T")
P = ParamSpec("P")

START_S = 5000.0
"""What the clock says at first. A monotonic clock has no zero that means anything, so neither has this one."""

LIMIT_S = 3600.0
"""A test that has not ended by then never will: a call that is still open has timers for ever."""

SPIN_ROUNDS = 1_000_000
"""So many rounds of the loop without any time passing take seconds: somebody spins."""

WIND_UP_S = 100.0
"""How long what was cancelled may still take."""

OPENING_S = 0.005
"""How long after the opening a server hears the router's first words. On a wire they come after on_connect has begun,
and a bot has to cope with that; from then on no time passes on the way, so that the times of a test are exact."""

REST_S = 1e-8
"""Ten times the resolution of the clock."""


class Stuck(AssertionError):
    """Everybody waits for what will not happen; the text names every task and the line at which it waits."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock on."""

    def __init__(self, limit_s: float) -> None:
        super().__init__()
        self.now = START_S
        self._limit_s = limit_s
        self._rounds = 0
        self.loop: VirtualLoop
        self.threads = set(threading.enumerate())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Only another thread wakes the loop by a socket; it can wait until everybody here does.
        ready = [] if timeout is not None and timeout <= 0 else super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._rounds += 1
            if self._rounds > SPIN_ROUNDS:
                self._give_up(f"somebody spins: no time has passed for {SPIN_ROUNDS} rounds of the loop")
            return ready
        if timeout is None:
            self._give_up("everybody waits for what will not happen: no timer is set")
        if self.now - START_S > self._limit_s:
            self._give_up(
                f"this does not end; where it is meant to take so long, raise limit_s, which is {self._limit_s:g}"
            )
        self._rounds = 0
        self.now += timeout
        return []

    def _give_up(self, why: str) -> NoReturn:
        self._rounds, self._limit_s = 0, self.now - START_S + WIND_UP_S
        text = f"{why}, after {self.now - START_S:.3f} s of virtual time."
        started = [thread.name for thread in threading.enumerate() if thread not in self.threads]
        if started:
            text += f" Virtual time does not wait for threads, and these were started: {', '.join(started)}."
        text += what_tasks_wait_for(asyncio.all_tasks(self.loop))
        raise Stuck("\n".join([text, *self.loop.misfortunes.texts()]))


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps from timer to timer; see `run_in_virtual_time`.

    What is handed to an executor, by `asyncio.to_thread` for example, runs at once, while time stands still. There
    are no sockets and no subprocesses; an `audio_connector.AudioConnectorServer` that is started on it needs none.

    Args:
        limit_s: Virtual seconds after which `Stuck` is raised.
    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._virtual = _Selector(limit_s)
        super().__init__(self._virtual)
        self._virtual.loop = self
        self._clock_resolution = 1e-9  # of Windows' clock: 16 ms, and timers are early by as much
        self._thread = threading.get_ident()
        self.ports: dict[int, MemoryListening] = {}
        """What listens in memory."""
        self.network = MemoryNetwork(self.ports, self.call_later, opening_s=OPENING_S)
        """Where servers listen, and routers dial."""
        self._complaints: list[dict[str, Any]] = []
        self.misfortunes = Misfortunes()
        """What went wrong in tasks, and what virtual time had to refuse."""
        self.set_exception_handler(lambda _, context: self._complain(context))

    @property
    def audio_connector_io_host(self) -> Callable[..., Any]:
        """What makes a server's I/O side; `server.running.IO_HOST` looks for it."""
        from audio_connector.testing.in_loop import InLoopIo  # noqa: PLC0415 - time needs no server

        return functools.partial(InLoopIo, network=self.network)

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual.now

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - as asyncio has it
        """Make a task, and watch it."""
        task = super().create_task(coro, **options)
        self.misfortunes.watch(task)
        return task

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Without the system call that wakes a loop, where it is this thread that asks."""
        if threading.get_ident() == self._thread:
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ANN401
        """Call it now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who awaits it
            future.set_exception(error)
        return future

    # What went wrong without anybody noticing.

    def _complain(self, context: dict[str, Any]) -> None:
        self._complaints.append(context)
        self.misfortunes.note(context["message"], context.get("exception"))

    def left_behind(self) -> tuple[str, BaseException | None]:
        """Return what a test should not leave, "" for nothing, and an exception of it."""
        texts, first = [], None
        running = asyncio.all_tasks(self)
        if running:
            texts.append(
                "the test has ended, but these tasks have not; await them, or cancel them and await that:"
                + what_tasks_wait_for(running)
            )
        if self.ports:
            texts.append(f"a server still listens on port {', '.join(map(str, self.ports))}; stop it")
        for task, error in self.misfortunes.untaken():
            first = first or error
            texts.append(f"nobody took the exception of {name_of(task)}: {error!r}\n{traceback_of(error)}")
        for context in self._complaints:
            found = context.get("exception")
            first = first or found
            texts.append(f"{context['message']}{'' if found is None else f': {found!r}'}")
        return "\n".join(texts), first

    def wind_up(self) -> None:
        """End every task, and close the loop."""
        try:
            tasks = asyncio.all_tasks(self)
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait_for(_ended(tasks), WIND_UP_S / 2))
            self.run_until_complete(self.shutdown_asyncgens())
        except (Stuck, asyncio.TimeoutError, TimeoutError):
            pass  # a task that will not be cancelled; that it was left is said already
        finally:
            self.close()


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: VirtualLoop, *_: object, **__: object) -> NoReturn:
        place = users_place()
        text = (
            f"loop.{name}() in virtual time, which has no sockets and no processes"
            f"{f', asked for at {place}' if place else ''}. For a server of this library use "
            "audio_connector.testing.serve(); whatever else the program dials or starts, replace it by a fake in the "
            "test; or run the test in real time, without @in_virtual_time"
        )
        # Told apart from its exception as well, which clients wrap, try again after, or swallow.
        self.misfortunes.note(text)
        raise UsageError(text)

    return refuse


for _name in (
    "add_reader",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
):
    setattr(VirtualLoop, _name, _refusing(_name))


def run_in_virtual_time(main: Coroutine[Any, Any, T], *, limit_s: float = LIMIT_S) -> T:
    """Run a coroutine to its end in virtual time, and see to it that nothing is left.

    Meanwhile `time.monotonic` and `time.time` follow virtual time in this thread, where they are called by these
    names; `time.perf_counter` and `datetime` do not.

    Args:
        main: What to run.
        limit_s: Virtual seconds that it may take.

    Returns:
        What it returns.

    Raises:
        Stuck: Everybody waits for what will not happen, or the limit has passed.
        AssertionError: Tasks were left running, or an exception was taken by nobody.
        UsageError: A loop runs in this thread already, or a socket was asked for.
    """
    __tracebackhide__ = True  # by pytest
    if asyncio._get_running_loop() is not None:
        main.close()
        raise UsageError(
            "virtual time has a loop of its own, and this thread runs one already; leave out the mark or the runner "
            "that makes the test asynchronous"
        )
    loop = VirtualLoop(limit_s=limit_s)
    with _CLOCKS.follow(loop):
        try:
            result = loop.run_until_complete(main)
            loop.run_until_complete(rest())
            text, error = loop.left_behind()
        except Stuck as stuck:
            raise stuck.with_traceback(None) from None  # where the loop was says nothing
        finally:
            loop.wind_up()
    if text:
        raise AssertionError(text) from error
    return result


@overload
def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]], /) -> Callable[P, None]: ...
@overload
def in_virtual_time(
    *, limit_s: float = LIMIT_S
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]: ...
def in_virtual_time(
    test: Callable[P, Coroutine[Any, Any, None]] | None = None, /, *, limit_s: float = LIMIT_S
) -> Callable[P, None] | Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Make an ``async def`` test run in virtual time: ``@in_virtual_time`` above it.

    The result is a plain function, so that no plugin for asynchronous tests is needed, and none touches it. Fixtures
    work; those that are asynchronous themselves belong to another loop and do not.

    Args:
        test: The test.
        limit_s: As in `run_in_virtual_time`: ``@in_virtual_time(limit_s=7200)``.

    Raises:
        UsageError: The test is not an ``async def``.
    """
    if test is None:
        return functools.partial(in_virtual_time, limit_s=limit_s)
    if not inspect.iscoroutinefunction(test):
        raise UsageError(f"@in_virtual_time on {test!r}: expected an async def")

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        __tracebackhide__ = True
        run_in_virtual_time(test(*args, **kwargs), limit_s=limit_s)

    return run


async def rest() -> None:
    """Let everybody else do all that can be done now; practically no time passes. In virtual time only."""
    if not isinstance(asyncio.get_running_loop(), VirtualLoop):
        raise UsageError("rest() can only be had in virtual time; in real time nobody knows when all is done")
    await asyncio.sleep(REST_S)


class _Clocks:
    """The clocks of the `time` module, which follow virtual time in the threads that live in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops: dict[int, tuple[VirtualLoop, float]] = {}
        self._real: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time)

    @contextmanager
    def follow(self, loop: VirtualLoop) -> Iterator[None]:
        """Follow a loop in this thread."""
        thread = threading.get_ident()
        with self._lock:
            if not self._loops:
                self._real = time.monotonic, time.time
                time.monotonic, time.time = self._monotonic, self._since_1970
            self._loops[thread] = loop, self._real[1]() - loop.time()
        try:
            yield
        finally:
            with self._lock:
                del self._loops[thread]
                if not self._loops:
                    time.monotonic, time.time = self._real

    def _monotonic(self) -> float:
        found = self._loops.get(threading.get_ident())
        return self._real[0]() if found is None else found[0].time()

    def _since_1970(self) -> float:
        found = self._loops.get(threading.get_ident())
        return self._real[1]() if found is None else found[0].time() + found[1]


_CLOCKS = _Clocks()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
