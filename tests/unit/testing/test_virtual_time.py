# SPDX-License-Identifier: Apache-2.0
"""Time jumps from timer to timer; what cannot happen, spins, or is left behind is named."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import itertools
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from audio_connector.errors import UsageError
from audio_connector.testing import virtual_time
from audio_connector.testing.virtual_time import Stuck, in_virtual_time, rest, run_in_virtual_time


@pytest.fixture
def seven() -> int:
    return 7


@in_virtual_time
async def test_an_hour_takes_no_time_and_the_clock_says_an_hour() -> None:
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    at = loop.time()
    await asyncio.sleep(3599)
    assert loop.time() - at == 3599
    assert time.perf_counter() - begun < 60, "of an hour"


@in_virtual_time
async def test_timers_fire_in_their_order_each_at_its_time() -> None:
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, loop.time() - begun))

    loop, woken = asyncio.get_running_loop(), list[tuple[float, float]]()
    begun = loop.time()
    await asyncio.gather(*(sleep(seconds) for seconds in (3.5, 0.25, 10, 0.5)))
    assert woken == [(seconds, seconds) for seconds in (0.25, 0.5, 3.5, 10)]


@in_virtual_time
async def test_a_fixture_is_given_to_a_test(seven: int) -> None:
    assert seven == 7


@pytest.mark.parametrize("number", [1, 2])
@in_virtual_time
async def test_so_are_parameters(number: int) -> None:
    await asyncio.sleep(number)


def test_what_it_makes_is_a_plain_function() -> None:
    assert not inspect.iscoroutinefunction(test_so_are_parameters)
    assert list(inspect.signature(test_a_fixture_is_given_to_a_test).parameters) == ["seven"]


@in_virtual_time
async def test_the_clocks_of_the_program_follow() -> None:
    monotonic, since_1970 = time.monotonic(), time.time()
    other: list[float] = []
    await asyncio.sleep(1000)
    assert time.monotonic() - monotonic == 1000
    assert time.time() - since_1970 == pytest.approx(1000)
    assert abs(since_1970 - dt.datetime.now().timestamp()) < 60  # noqa: DTZ005
    thread = threading.Thread(target=lambda: other.append(time.time()))
    thread.start()
    thread.join()
    assert other[0] - since_1970 < 900, "another thread lives in real time"


def test_afterwards_they_are_the_real_ones() -> None:
    real = time.monotonic, time.time
    with pytest.raises(KeyError):
        run_in_virtual_time(fail_with(KeyError()))
    assert (time.monotonic, time.time) == real


def test_two_threads_may_live_in_it_each_in_its_own() -> None:
    def live(seconds: float) -> None:
        async def sleep() -> None:
            for _ in range(50):
                await asyncio.sleep(seconds)
                barrier.wait(5)
            ends.append((seconds, time.monotonic() - begun))

        begun = virtual_time.START_S
        run_in_virtual_time(sleep())

    real, ends, barrier = (time.monotonic, time.time), list[tuple[float, float]](), threading.Barrier(2)
    threads = [threading.Thread(target=live, args=(seconds,)) for seconds in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == [(1.0, 50.0), (2.0, 100.0)]
    assert (time.monotonic, time.time) == real


async def fail_with(error: BaseException) -> None:
    raise error


@in_virtual_time
async def test_what_goes_to_a_thread_runs_at_once_and_time_stands_still() -> None:
    at, here = time.monotonic(), threading.get_ident()
    assert await asyncio.to_thread(threading.get_ident) == here
    assert await asyncio.get_running_loop().run_in_executor(None, max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)
    assert time.monotonic() == at


@in_virtual_time
async def test_another_thread_may_wake_the_loop() -> None:
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(woken.set))
    thread.start()
    thread.join()
    await woken.wait()


@in_virtual_time
async def test_rest_lets_everybody_come_to_rest() -> None:
    async def walk() -> None:
        for step in range(1000):
            await asyncio.sleep(0)
            steps.append(step)

    steps: list[int] = []
    at = time.monotonic()
    walking = asyncio.ensure_future(walk())
    await rest()
    assert walking.done()
    assert len(steps) == 1000
    assert time.monotonic() - at < 1e-7


async def test_rest_is_refused_in_real_time() -> None:
    with pytest.raises(UsageError, match="only be had in virtual time"):
        await rest()


# Sockets.


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("create_connection", lambda: asyncio.open_connection("127.0.0.1", 1)),
        ("create_server", lambda: asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)),
        ("subprocess_exec", lambda: asyncio.create_subprocess_exec("true")),
        ("getaddrinfo", lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1)),
    ],
)
@in_virtual_time
async def test_sockets_are_refused_and_the_error_says_what_to_use(
    name: str, ask: Callable[[], Awaitable[Any]]
) -> None:
    with pytest.raises(
        UsageError, match=rf"loop\.{name}\(\) in virtual time.*no sockets.*testing\.serve\(\).*real time"
    ):
        await ask()


@in_virtual_time
async def test_a_foreign_socket_is_refused_too() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(UsageError, match="sock_connect"):
            await loop.sock_connect(sock, ("127.0.0.1", 1))
        with pytest.raises(UsageError, match="add_reader"):
            loop.add_reader(sock, print)


# Waits that do not end.


def line_of(text: str) -> int:
    """Where this file has a text first."""
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()  # type: ignore[arg-type]
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_wait_for_nothing_names_every_task_and_its_line() -> None:
    async def pump(queue: asyncio.Queue[int]) -> None:
        while True:
            await queue.get()  # the pump

    async def call() -> None:
        # Held, or a garbage collection might take it: nobody else knows its queue.
        pumping = asyncio.get_running_loop().create_task(pump(asyncio.Queue()), name="the pump")
        await asyncio.sleep(1.5)
        assert not pumping.done()
        await asyncio.Event().wait()  # the call

    with pytest.raises(Stuck) as caught:
        run_in_virtual_time(call())
    text = str(caught.value)
    assert text.startswith(
        "everybody waits for what will not happen: no timer is set, after 1.500 s of virtual"
    )
    found = re.search(
        r"call\) waits at .*test_virtual_time\.py:(\d+): await asyncio\.Event\(\)\.wait\(\)  # the call "
        r"\(in (Event\.)?wait\)",
        text,
    )
    assert found is not None, text
    assert int(found[1]) == line_of("# the call")
    assert re.search(r"the pump \(.*pump\) waits at .*test_virtual_time\.py:\d+: await queue\.get\(\)", text)


def test_a_wait_without_end_is_found_by_its_length() -> None:
    async def tick() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0.02)

    async def call() -> None:
        ticking = asyncio.ensure_future(tick())
        try:
            await asyncio.Event().wait()
        finally:
            ticking.cancel()
            cleaned_up.append(time.monotonic())

    cleaned_up: list[float] = []
    with pytest.raises(
        Stuck, match=r"this does not end.* raise limit_s, which is 60, after 60\.\d+ s"
    ) as caught:
        run_in_virtual_time(call(), limit_s=60)
    assert "await asyncio.Event().wait()" in str(caught.value)
    assert len(cleaned_up) == 1


def test_who_spins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    monkeypatch.setattr(virtual_time, "SPIN_ROUNDS", 1000)
    with pytest.raises(Stuck, match=r"somebody spins(.|\n)*await asyncio\.sleep\(0\)"):
        run_in_virtual_time(spin())


def test_a_wait_for_a_thread_says_that_threads_are_not_waited_for() -> None:
    release = threading.Event()

    async def call() -> None:
        threading.Thread(target=release.wait, name="my-worker").start()
        await asyncio.Event().wait()

    try:
        with pytest.raises(Stuck, match="does not wait for threads, and these were started: my-worker"):
            run_in_virtual_time(call())
    finally:
        release.set()


def test_a_task_that_will_not_be_cancelled_ends_nothing_but_its_test() -> None:
    async def stay() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(Stuck, match="no timer"):
        run_in_virtual_time(stay())


# What is left behind.


def test_a_task_that_was_left_fails_the_test_by_its_name() -> None:
    async def call() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(10), name="the forgotten one")

    with pytest.raises(AssertionError, match=r"await them, or cancel them(.|\n)*the forgotten one \(sleep\)"):
        run_in_virtual_time(call())


def test_a_task_that_is_being_cancelled_is_not_left() -> None:
    async def call() -> None:
        asyncio.ensure_future(asyncio.sleep(10)).cancel()

    run_in_virtual_time(call())


def test_an_exception_that_nobody_took_fails_the_test_and_is_its_cause() -> None:
    async def call() -> None:
        kept.append(asyncio.ensure_future(fail_with(KeyError("lost"))))
        await asyncio.sleep(1)

    kept: list[object] = []
    with pytest.raises(
        AssertionError, match=r"nobody took the exception of Task-\d+ \(fail_with\)"
    ) as caught:
        run_in_virtual_time(call())
    assert isinstance(caught.value.__cause__, KeyError)


def test_so_does_one_of_a_task_that_nobody_held_and_of_a_callback() -> None:
    def fail() -> None:
        raise IndexError("in a callback")

    async def call() -> None:
        asyncio.ensure_future(fail_with(KeyError("gone")))  # noqa: RUF006 - that is the mistake
        asyncio.get_running_loop().call_later(1, fail)
        await asyncio.sleep(2)

    with pytest.raises(AssertionError, match=r"KeyError\('gone'\)(.|\n)*IndexError\('in a callback'\)"):
        run_in_virtual_time(call())


def test_the_test_s_own_failure_comes_first() -> None:
    async def call() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(10))
        raise LookupError("this one")

    with pytest.raises(LookupError, match="this one"):
        run_in_virtual_time(call())


def test_a_generator_that_was_left_is_closed() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.append(True)

    async def call() -> None:
        left.append(numbers())
        assert await anext(left[0]) == 0

    closed: list[bool] = []
    left: list[Any] = []
    run_in_virtual_time(call())
    assert closed == [True]


# Misuse.


def test_what_is_no_coroutine_function_is_refused() -> None:
    def plain() -> None: ...

    with pytest.raises(UsageError, match="expected an async def"):
        in_virtual_time(plain)  # type: ignore[arg-type]


async def test_inside_another_loop_it_is_refused() -> None:
    with pytest.raises(UsageError, match="this thread runs one already"):
        run_in_virtual_time(asyncio.sleep(1))


def test_the_limit_can_be_set() -> None:
    @in_virtual_time(limit_s=7200)
    async def long() -> None:
        await asyncio.sleep(7000)

    @in_virtual_time(limit_s=10)
    async def short() -> None:
        await asyncio.sleep(20)
        await asyncio.sleep(1)

    long()
    with pytest.raises(Stuck, match="limit_s, which is 10"):
        short()
