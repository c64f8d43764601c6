# SPDX-License-Identifier: Apache-2.0
"""Workers under a supervisor: what the death of each process, a reload and a drain cost those who are on a call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.processes import descriptors_of, is_running
from support.serving import DEADLINE_S, until
from support.workers import BOT, LAST, Guest, Served, guests, supervised
from websockets.exceptions import ConnectionClosed, InvalidStatus

from audio_connector.cluster.attached import LOAD_S

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]

CALLS = 50
SENTENCE = 75
"""Frames of what is said: 1.5 s."""

WORKERS = 2


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all that leave it as they found it: to start it takes 2 s of CPU."""
    with supervised(tmp_path_factory.mktemp("served"), "--move-s", "0.3", workers=WORKERS) as served:
        yield served


@pytest.fixture
async def served(program: Served) -> AsyncIterator[Served]:
    """It, and the proof that it is as it was."""
    before = await at_rest(program)
    program.forget_lines()
    yield program
    assert await at_rest(program) == before


async def at_rest(served: Served) -> list[list[str]]:
    """The descriptors of supervisor and I/O process, once there are as many processes as there should be."""

    serving: set[int] = set()
    give_up_at = time.monotonic() + DEADLINE_S
    while len(serving) < WORKERS:
        assert time.monotonic() < give_up_at, f"of {served.workers()} only {serving} take calls"
        async with guests(served.address, "/", "/") as made:
            serving = set(spread(made))
            # Each says so often how it is; sooner, nothing is different, and who dials faster than that gets 429.
            await asyncio.sleep(LOAD_S)
    await until(lambda: set(served.workers()) == serving, "the end of all others")
    found: list[list[str]] = []

    def are_known() -> bool:
        """Sockets are closed a moment later than their processes end."""
        before = found[:]
        found[:] = [descriptors_of(pid) for pid in (served.pid, *served.io_processes())]
        return before == found

    await until(are_known, "descriptors that stay")
    return found


def spread(made: list[Guest]) -> Counter[int]:
    """How many have which worker."""
    return Counter(guest.told[-1]["pid"] for guest in made)


# Who gets a call.


async def test_calls_are_spread_evenly(served: Served) -> None:
    async with guests(served.address, *["/"] * 200) as made:
        counts = spread(made)
        assert len(counts) == WORKERS
        assert max(counts.values()) <= 110
    assert served.lines == []


async def test_a_worker_whose_loop_is_blocked_gets_no_call(served: Served) -> None:
    # In this order: who is to be let in may be asked of the worker that is blocked, before that is noticed.
    async with guests(served.address, "/", "/block?60") as (other, blocking):
        blocked = blocking.told[0]["pid"]
        try:
            assert other.told[0]["pid"] != blocked
            await until(lambda: any("loop is blocked" in line for line in served.lines), "that it is noticed")
            await asyncio.sleep(2 * LOAD_S)  # so often each says how it is
            async with guests(served.address, *["/"] * 10) as made:
                assert spread(made) == {other.told[0]["pid"]: 10}
        finally:
            os.kill(blocked, signal.SIGKILL)  # else it is so in the tests that follow, too
        await until(lambda: len(blocking.told) == 2, "another worker")


async def test_workers_decide_who_is_let_in_and_the_identity_goes_with_the_call(served: Served) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with guests(served.address, "/nobody"):
            pass
    async with guests(served.address, *["/bot"] * 20) as made:
        identities = [guest.told[0]["identity"] for guest in made]
        assert {identity["path"] for identity in identities} == {"/bot"}
        assert {identity["decided_by"] for identity in identities} == set(served.workers())
        os.kill(served.workers()[0], signal.SIGKILL)
        await until(lambda: any(len(guest.told) == 2 for guest in made), "another worker")
        await until(lambda: len({guest.told[-1]["pid"] for guest in made}) == 1, "all of them")
        assert [guest.told[-1]["identity"] for guest in made] == identities


# Deaths.


async def test_a_worker_that_is_killed_under_speaking_calls(served: Served) -> None:
    async with guests(served.address, *[f"/speak?{SENTENCE}"] * CALLS) as made:
        for guest in made:
            await guest.say(*range(1, 11))
        killed = served.workers()[0]
        victims = [guest for guest in made if guest.told[0]["pid"] == killed]
        assert len(victims) == CALLS // 2
        began = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        for guest in made:
            await guest.say(*range(11, 21))
        await until(lambda: all(len(guest.told) == 2 for guest in victims), "another worker for each")
        late_s = max(guest.told_at[1] for guest in victims) - began
        for guest in made:
            await guest.say(LAST)
        await until(lambda: all(guest.told[-1].get("heard") for guest in made), "what they heard")
        await until(lambda: all(len(guest.frames) == SENTENCE for guest in made), "the sentences")
        for guest in made:
            assert guest.numbers == list(range(1, SENTENCE + 1))
            assert guest.told[-1]["heard"] == [*range(1, 21), LAST]
        for guest in victims:
            first, again = guest.told[:2]
            assert again["is_resumed"]
            assert (again["id"], again["rate_hz"]) == (first["id"], 16000)
            assert again["pid"] != killed
        assert late_s < 3, "a second, and what other programs take of two cores"
    await until(lambda: len(served.lines) == 3, "that another one takes calls")
    gone, ended, _ = sorted(served.lines, key=lambda line: (" takes " in line, " ended " in line))
    assert gone.endswith("): its 25 calls go to others")
    assert ended.endswith("has ended (signal 9); another one is started")


async def test_a_process_that_the_application_has_forked_does_not_hide_its_death(served: Served) -> None:
    async with guests(served.address, "/fork") as (guest,):
        os.kill(guest.told[0]["pid"], signal.SIGKILL)
        await until(lambda: len(guest.told) == 2, "another worker")
        os.kill(guest.told[0]["forked"], signal.SIGKILL)


async def test_an_io_process_that_is_killed_under_speaking_calls(served: Served) -> None:
    async with guests(served.address, *[f"/speak?{SENTENCE}"] * CALLS) as made:
        [killed], workers = served.io_processes(), served.workers()
        os.kill(killed, signal.SIGKILL)
        await until(lambda: all(guest.is_over for guest in made), "the end of all calls")
        assert {guest.how[0] for guest in made} == {1006}
    async with guests(served.address, "/", "/"):  # at once: they wait in the socket
        assert served.workers() == workers
        assert served.io_processes() != [killed]
    await until(lambda: len(served.lines) == 4, "that another one listens")
    assert sorted(line.partition(" (")[0] for line in served.lines) == [
        "an I/O process has ended",
        "another I/O process listens",
        "the I/O process has ended",
        "the I/O process has ended",
    ]


async def test_a_supervisor_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path) as served:
        async with guests(served.address, *[f"/speak?{SENTENCE}"] * CALLS, "/block?60") as made:
            everybody = [*served.workers(), *served.io_processes()]
            assert len(everybody) == 3
            served.process.kill()
            await until(lambda: all(guest.is_over for guest in made), "the end of all calls")
            assert {guest.how for guest in made} == {(1001, "the server has stopped")}
            await until(lambda: not any(map(is_running, everybody)), "the end of all processes")


async def test_a_supervisor_that_is_stopped_for_a_while_changes_nothing(served: Served) -> None:
    os.kill(served.pid, signal.SIGSTOP)
    try:
        async with guests(served.address, "/speak?10", "/speak?10", "/echo", "/echo") as made:
            victims = [guest for guest in made if guest.told[0]["pid"] == made[0].told[0]["pid"]]
            os.kill(made[0].told[0]["pid"], signal.SIGKILL)
            await until(lambda: all(len(guest.told) == 2 for guest in victims), "the other worker")
            for guest in made[2:]:
                await guest.talk(10)
            await until(lambda: all(len(guest.frames) == 10 for guest in made), "the frames")
            assert all(guest.numbers == list(range(1, 11)) for guest in made)
    finally:
        os.kill(served.pid, signal.SIGCONT)


@pytest.mark.parametrize("who", ["worker", "io process"])
async def test_a_process_that_is_stopped_for_a_while_and_goes_on(served: Served, who: str) -> None:
    """What comes meanwhile waits in the streams, and in the sockets."""
    async with guests(served.address, *["/echo"] * 6, *["/speak?60"] * 6) as made:
        stopped = made[0].told[0]["pid"] if who == "worker" else served.io_processes()[0]
        for first in (1, 11, 21):
            os.kill(stopped, signal.SIGSTOP)
            await asyncio.gather(*(guest.talk(10, start=first) for guest in made[:6]))
            os.kill(stopped, signal.SIGCONT)
        await until(lambda: [len(guest.frames) for guest in made] == [30] * 6 + [60] * 6, "all frames")
        for guest in made:
            assert guest.numbers == list(range(1, len(guest.frames) + 1))
            assert len(guest.told) == 1
    assert served.lines == []


async def test_an_application_that_does_not_load_ends_it_with_status_2_and_a_line(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception) as failed, supervised(tmp_path, bot="import no_such_module"):
        pass
    [line] = str(failed.value).strip().splitlines()
    assert "No module named 'no_such_module'" in line
    assert str(failed.value).startswith("status 2: ")


# Reload.


async def reload_under_load(served: Served, calls: int) -> None:
    """Echoing calls in the middle of speech, and others that come meanwhile."""
    async with guests(served.address, *["/echo"] * calls) as made:
        before = set(served.workers())
        is_over, sent = False, 0

        async def talk(guest: Guest) -> None:
            nonlocal sent
            frames = 0
            while not is_over:
                await guest.talk(10, start=1 + frames)
                frames += 10
            sent = max(sent, frames)
            await until(lambda: len(guest.frames) == frames, f"{frames} frames, not {len(guest.frames)}")
            assert guest.numbers == list(range(1, frames + 1))

        async def call() -> None:
            while not is_over:
                async with guests(served.address, "/"):
                    pass

        tasks = [asyncio.ensure_future(talk(guest)) for guest in made]
        tasks.append(asyncio.ensure_future(call()))
        os.kill(served.pid, signal.SIGHUP)
        await until(lambda: all(len(guest.told) == 2 for guest in made), "the new workers")
        await until(lambda: not before & set(served.workers()), "the end of the old ones")
        is_over = True
        await asyncio.gather(*tasks)
        assert not any(guest.is_over for guest in made)
        assert all(guest.told[1]["is_resumed"] for guest in made)
        assert {guest.told[1]["id"] for guest in made} == {guest.told[0]["id"] for guest in made}


async def test_a_reload_under_echoing_calls(served: Served) -> None:
    for _ in range(2):
        await reload_under_load(served, 20)
    assert served.lines == ["reloaded: 2 new workers take the calls of the old ones"] * 2


@pytest.mark.slow
async def test_ten_reloads_under_echoing_calls(served: Served) -> None:
    for _ in range(10):
        await reload_under_load(served, 50)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise RuntimeError('at once')", "RuntimeError: at once"),
        (
            BOT.replace("on_resume=on_resume", "on_start=lambda: 1 / 0"),
            "on_start failed with ZeroDivisionError",
        ),
    ],
)
async def test_a_reload_of_what_does_not_start(served: Served, text: str, why: str) -> None:
    served.change(text)
    try:
        async with guests(served.address, "/echo") as (guest,):
            os.kill(served.pid, signal.SIGHUP)
            await until(lambda: served.lines, "that it is said")
            await guest.say(1)
            await until(lambda: guest.numbers == [1], "the echo of the old one")
            assert len(served.lines) == 1, served.lines
            [line] = served.lines
            assert why in line
            assert line.startswith("the new workers are not used, and the old ones go on: ")
    finally:
        served.change(BOT)


# Drain.


async def test_a_drain_under_speaking_calls(tmp_path: Path) -> None:
    """All processes are sent the signal, as a service manager does."""
    with supervised(tmp_path) as served:
        async with guests(served.address, *[f"/speak?{SENTENCE}"] * CALLS) as made:
            for pid in [*served.workers(), *served.io_processes()]:
                os.kill(pid, signal.SIGTERM)
            os.killpg(served.pid, signal.SIGTERM)
            await until(lambda: all(guest.is_over for guest in made), "the end of all calls")
            assert await served.ended() == 0
        assert {guest.how for guest in made} == {(1001, "the server has stopped")}
        assert all(guest.numbers == list(range(1, SENTENCE + 1)) for guest in made)
        assert served.lines == []


async def test_new_calls_get_503_meanwhile_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as served:
        async with guests(served.address, *["/speak?3000"] * 4) as made:
            served.process.terminate()
            await until_refused(served.address)
            assert not any(guest.is_over for guest in made)
            served.process.terminate()
            began = time.monotonic()
            assert await served.ended() == 1
            assert time.monotonic() - began < 5
            await until(lambda: all(guest.is_over for guest in made), "the end of all calls")
        assert {guest.how for guest in made} == {(1001, "the server has stopped")}


async def until_refused(address: str) -> None:
    """Call until a call is refused."""

    async def call() -> None:
        while True:
            with contextlib.suppress(ConnectionClosed):  # it was let in just before
                async with guests(address, "/", is_told=False):
                    await asyncio.sleep(0.01)  # who dials faster gets 429

    with pytest.raises(InvalidStatus, match="503"):
        await call()
