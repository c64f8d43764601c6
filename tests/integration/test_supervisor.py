# SPDX-License-Identifier: Apache-2.0
"""The supervisor where something goes wrong with its workers: these are processes, and it is in here."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.processes import children_of, is_running
from support.serving import until, warnings_of
from support.workers import BOT, guests

from audio_connector.cluster import memory
from audio_connector.cluster import supervisor as module
from audio_connector.cluster.plan import Plan
from audio_connector.cluster.supervisor import Supervisor
from audio_connector.errors import UsageError

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]


class Served:
    """A supervisor that runs."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self.supervisor = supervisor
        self.running: asyncio.Task[bool]
        self._folder = folder

    @property
    def address(self) -> str:
        return self.supervisor.address

    def pids(self) -> list[int]:
        """Of the workers that serve."""
        return [seat.worker.pid for seat in self.supervisor._seats if seat.worker is not None]

    def change(self, text: str) -> None:
        (self._folder / "bot.py").write_text(text)

    async def drain(self) -> bool:
        self.supervisor.drain()
        return await self.running


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(memory, "LOOK_S", 0.05)
    monkeypatch.setattr(memory, "FIRST_PAUSE_S", 0.1)

    @asynccontextmanager
    async def make(bot: str = BOT, **plan: Any) -> AsyncIterator[Served]:
        (tmp_path / "bot.py").write_text(bot)
        listening = asyncio.Event()
        plan = {"workers": 1, "move_s": 0.1, "drain_s": 10.0, **plan}
        made = Plan(app="bot:config", settings="{}", worker_module="audio_connector.cli.worker", **plan)
        served = Served(Supervisor(made, lambda _: listening.set()), tmp_path)
        served.running = asyncio.ensure_future(served.supervisor.run())
        try:
            waiting = asyncio.ensure_future(listening.wait())
            await asyncio.wait((waiting, served.running), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if served.running.done():
                await served.running
            yield served
        finally:
            if not served.running.done():
                served.supervisor.drain()
                served.supervisor.drain()
            await asyncio.wait((served.running,))
        assert children_of(os.getpid()) == []

    return make


STARTING = """
import asyncio
from pathlib import Path
from audio_connector import AudioConnectorServerConfig

async def on_start():
    Path("begun").touch()
    await asyncio.sleep(60)

async def on_connect(client): ...

config = AudioConnectorServerConfig(
    host="127.0.0.1", port=0, on_connect=on_connect, on_start=on_start, on_stop=Path("ended").touch
)
"""


async def test_a_drain_while_on_start_runs_cancels_it_and_calls_on_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bot.py").write_text(STARTING)
    plan = Plan(app="bot:config", settings="{}", worker_module="audio_connector.cli.worker", workers=1)
    supervisor = Supervisor(plan, lambda _: None)
    running = asyncio.ensure_future(supervisor.run())
    await until((tmp_path / "begun").exists, "that it starts")
    supervisor.drain()
    assert await running, "no call was cut"
    assert (tmp_path / "ended").exists()
    assert children_of(os.getpid()) == []


@pytest.mark.slow
async def test_a_worker_that_hangs_as_it_starts_does_not_hold_up_the_others(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served:
        [before] = served.pids()
        monkeypatch.setattr(module, "START_S", 1.5)
        served.change(BOT.replace("on_resume=on_resume", "on_start=lambda: time.sleep(60)"))
        served.supervisor.reload()
        await until(lambda: warnings_of(caplog), "that it is said")
        assert served.pids() == [before]
        async with guests(served.address, "/") as (guest,):
            assert guest.told[0]["pid"] == before
    [line] = warnings_of(caplog)
    assert line.startswith(
        "the new workers are not used, and the old ones go on: worker 2 was not ready within"
    )
    caplog.clear()


@pytest.mark.slow
async def test_one_that_dies_again_and_again_is_waited_for_and_a_drain_ends_that(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller waits meanwhile, and gets the first one that lives."""
    bot = BOT.replace(", authenticate=authenticate", "")  # which nobody is there to decide
    assert bot != BOT
    async with serving(bot) as served:
        served.change("raise SystemExit(1)")
        os.kill(served.pids()[0], signal.SIGKILL)
        async with guests(served.address, "/", is_told=False) as (guest,):
            await until(lambda: caplog.text.count("is tried again") == 2, "two more that die")
            assert not guest.told
            served.change(bot)
            await until(lambda: guest.told, "a worker")
            # Resumed where its call had come before anybody knew that the first worker was gone.
            assert guest.told[0]["pid"] in served.pids()
        served.change("raise SystemExit(1)")
        os.kill(served.pids()[0], signal.SIGKILL)
        await until(lambda: caplog.text.count("is tried again") == 3, "one more that dies")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await served.drain()
        assert loop.time() - began < 5
    caplog.clear()


async def test_deaths_reloads_and_the_memory_leave_as_many_workers_as_were_asked_for(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(memory_mb=1e6) as served:
        supervisor = served.supervisor
        [first] = served.pids()
        supervisor.reload()
        os.kill(first, signal.SIGKILL)  # two are started in its place, and one is wanted
        await until(lambda: "reloaded" in caplog.text, "the reload")
        await until(lambda: list(supervisor._workers.values()) == [supervisor._seats[0].worker], "one worker")
        [second] = served.pids()
        async with guests(served.address, "/echo") as (guest,):
            await guest.say(1)
            watching = asyncio.ensure_future(supervisor._watch_memory(1.0))
            await until(lambda: second not in served.pids(), "another one")
            watching.cancel()
            await until(lambda: len(guest.told) == 2, "that it takes the call")
            await until(lambda: not is_running(second), "the end of the one before")
            await guest.say(2)
            await until(lambda: guest.numbers == [1, 2], "the echo")
            assert len(supervisor._workers) == len(served.pids()) == 1
    assert "MiB and is replaced" in caplog.text
    caplog.clear()


async def test_a_worker_that_dies_in_the_drain_is_said_and_cuts_its_calls(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(workers=2, drain_s=4.0) as served,
        guests(served.address, "/speak?50", "/speak?50") as (guest, _),
    ):
        served.supervisor.drain()
        await asyncio.sleep(0)  # they have been told
        os.kill(guest.told[0]["pid"], signal.SIGKILL)
        assert await served.running is False
    [line] = [text for text in caplog.messages if text.startswith("worker ") and "has ended" in text]
    assert line.endswith("has ended (signal 9) in the middle of the drain")
    caplog.clear()


async def test_an_io_process_that_dies_in_the_drain_cuts_its_calls(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(drain_s=4.0) as served, guests(served.address, "/speak?500"):
        served.supervisor.drain()
        await asyncio.sleep(0)  # they have been told
        [io] = served.supervisor._ios
        assert io.member is not None
        io.member.kill()
        assert await served.running is False
    assert "an I/O process has ended (signal 9): its calls are over" in caplog.text
    caplog.clear()


@pytest.mark.parametrize("what", ["process", "stream"])
async def test_where_the_system_has_no_room_for_another_worker_it_is_tried_again(
    what: str, serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = {"process": "ChildProcess", "stream": "stream_pair"}[what]
    real, goes_well = getattr(module, name), iter([False, True, True, False])

    def scarce(*arguments: Any) -> Any:
        if not next(goes_well, True):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*arguments)

    async with serving(workers=2) as served:
        before = served.pids()
        monkeypatch.setattr(module, name, scarce)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: "is tried again" in caplog.text, "that it is said")
        await until(lambda: len(served.pids()) == 2, "another one")
        before = served.pids()
        served.supervisor.reload()
        await until(lambda: "the old ones go on" in caplog.text, "that it is said")
        await until(lambda: len(served.supervisor._workers) == 2, "the end of what was begun")
        assert served.pids() == before
        served.supervisor.reload()
        await until(lambda: "reloaded: 2 new workers" in caplog.text, "the reload")
    assert caplog.text.count("the system has no room for another worker: Too many open files") == 2
    caplog.clear()


async def test_calls_that_stay_keep_their_worker_to_their_end_over_two_io_processes(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(move_s=None, io_processes=2) as served:
        [before] = served.pids()
        async with guests(served.address, *["/echo"] * 12):
            served.supervisor.reload()
            await until(lambda: "reloaded" in caplog.text, "the reload")
            io = served.supervisor._ios[0]
            assert io.member is not None
            io.member.kill()  # whoever takes its place must not give calls to who retires
            await until(lambda: "another I/O process listens" in caplog.text, "another one")
            async with guests(served.address, *["/"] * 12) as new:
                assert {guest.told[0]["pid"] for guest in new} == set(served.pids())
            assert is_running(before)
        await until(lambda: not is_running(before), "its end, with the last of its calls")
    caplog.clear()


async def test_a_reload_in_a_drain_is_not_done_and_a_drain_ends_a_reload(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served, guests(served.address, "/speak?25") as (guest,):
        served.supervisor.reload()
        await asyncio.sleep(0)
        served.supervisor.drain()
        served.supervisor.reload()
        assert await served.running
        assert guest.numbers == list(range(1, 26))
        await until(lambda: guest.is_over, "the end")
        assert guest.how == (1001, "the server has stopped")
        assert len(guest.told) == 1
    assert warnings_of(caplog) == []


async def test_what_cannot_be_read_ends_that_worker_and_nobody_else(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream to an I/O process, as a worker that has gone mad would use it."""
    at = '    elif client.path == "/die":\n'
    mad = BOT.replace(at, f'    elif client.path == "/mad":\n        await garble()\n{at}')
    mad += """
async def garble():
    import gc
    await asyncio.sleep(0.1)
    gc.unfreeze()  # a worker leaves what is loaded out of collections, and of what they know
    from audio_connector.server.remote import Remote
    for remote in [thing for thing in gc.get_objects() if type(thing) is Remote]:
        remote.stream.sock.send(b"\\xff" * 64)
"""
    async with serving(mad, workers=2) as served:
        async with guests(served.address, "/echo", "/echo", "/mad") as made:
            culprit = made[2].told[0]["pid"]
            await until(lambda: not is_running(culprit), "its end")
            await until(lambda: len(made[2].told) == 2, "another one for its calls")
            assert all(guest.told[-1]["pid"] != culprit for guest in made)
            assert not any(guest.is_over for guest in made)
        await until(lambda: len(served.pids()) == 2, "another one")
    assert "got a message of 4294967295 bytes" in caplog.text
    caplog.clear()


async def test_a_signal_while_it_starts_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bot.py").write_text("import time; time.sleep(60)")
    plan = Plan(app="bot:config", settings="{}", worker_module="audio_connector.cli.worker")
    supervisor = Supervisor(plan, lambda _: pytest.fail("it says that it listens"))
    running = asyncio.ensure_future(supervisor.run())
    await until(lambda: children_of(os.getpid()), "the first worker")
    supervisor.reload()
    supervisor.drain()
    assert await running
    assert children_of(os.getpid()) == []
    assert warnings_of(caplog) == []


async def test_a_reload_while_it_starts_is_done_once_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bot.py").write_text(BOT)
    plan = Plan(app="bot:config", settings="{}", worker_module="audio_connector.cli.worker", workers=1)
    supervisor = Supervisor(plan, lambda _: None)
    running = asyncio.ensure_future(supervisor.run())
    await until(lambda: children_of(os.getpid()), "the first worker")
    supervisor.reload()
    await until(lambda: "reloaded: 1 new workers" in caplog.text, "the reload")
    supervisor.drain()
    assert await running


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bot", "why"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("config = 5", "expected"),
        (
            BOT.replace("on_resume=on_resume", "on_start=lambda: 1 / 0"),
            "on_start failed with ZeroDivisionError",
        ),
        ("import os; os._exit(7)", "worker 1 has ended while it started (status 7)"),
    ],
)
async def test_what_cannot_be_had_at_the_start_is_said(serving: Serving, bot: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        async with serving(bot):
            pass
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_what_the_application_says_of_a_drain_holds(serving: Serving) -> None:
    """The sentence is longer than that, and is cut."""
    bot = BOT + "\nfrom audio_connector import Timeouts\nconfig.timeouts = Timeouts(drain_s=0.3)\n"
    async with serving(bot, drain_s=None) as served, guests(served.address, "/speak?500") as [guest]:
        await until(lambda: guest.frames, "its first word")
        assert await asyncio.wait_for(served.drain(), 8) is False
