# SPDX-License-Identifier: Apache-2.0
"""The sums over the processes of ``serve --workers``: what the load was, whoever is asked and whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.serving import until
from support.watching import TOLD_AT, admin_in, calls_of, counts_in, counts_of, fetch
from support.workers import BOT, LAST, Guest, Served, guests, supervised

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]

RAISING = BOT.replace(
    "async def on_audio(frame):",
    "async def on_audio(frame):\n        client.is_resumed or 1 / (int.from_bytes(frame[:2], 'little') - 7)",
)
"""Fails at frame 7, unless that was handed over again."""

FLAGS = ("--io-processes", "2", "--admin-port", "0", "--log-level", "info")


async def admin_of(served: Served) -> str:
    """Where its admin port is now."""
    await until(lambda: TOLD_AT.search(served.log), "the admin port")
    return admin_in(served.log)


async def converse(callers: list[Guest], frames: int) -> None:
    """Each says so many frames, and the bot has heard them."""
    for caller in callers:
        await caller.say(*range(1, frames), LAST)
    await until(lambda: all("heard" in caller.told[-1] for caller in callers), "what was heard")


async def counted(admin: str, key: tuple[str, tuple[str, ...]], value: float) -> dict[Any, Any]:
    """The counts, once one of them is so; it is never more."""
    while (counts := await counts_of(admin)).get(key, 0.0) != value:
        assert counts.get(key, 0.0) < value, (key, counts)
        await asyncio.sleep(0.05)
    return counts


async def test_the_sums_are_what_the_load_was_whichever_worker_dies(tmp_path: Path) -> None:
    with supervised(tmp_path, *FLAGS, bot=RAISING) as served:
        admin = await admin_of(served)
        async with guests(served.address, *["/"] * 6) as callers:
            await converse(callers, 10)
            counts = await counted(admin, ("errors", ("ZeroDivisionError",)), 6)  # told each second
            for key, value in {("calls", ()): 6, ("calls_opened", ()): 6, ("upgrades", ("101",)): 6}.items():
                assert counts[key] == value, key
            assert counts["audio_received_messages", ()] == 60
            assert counts["audio_received_seconds", ()] == pytest.approx(60 * 0.02)
            assert counts["text_sent_messages", ()] == sum(len(caller.told) for caller in callers)
            assert counts["workers", ()] == counts["ready", ()] == counts["io_processes", ()] == 2
            rows = await calls_of(admin)
            assert [row["received_s"] for row in rows] == pytest.approx([0.2] * 6)
            assert {row["worker"] for row in rows} <= {1, 2}
            for _ in range(4):  # whichever of the two it comes to
                text = counts_in((await fetch(served.address, "/metrics")).body)
                assert text["calls_opened", ()] == text["calls", ()] == 6
                assert text["errors", ("ZeroDivisionError",)] == 6
            told = {
                key: value
                for key, value in (await counts_of(admin)).items()
                if key[0].startswith("port_batches")
            }
            assert len(told) == 2
            os.kill(served.workers()[0], signal.SIGKILL)
            await until(lambda: "is started" in served.log or "another" in served.log, "another worker")
            await counted(admin, ("workers", ()), 2)
            counts = await counts_of(admin)
            assert counts["errors", ("ZeroDivisionError",)] == 6, "its counts stay"
            assert counts["calls_opened", ()] == counts["calls", ()] == 6
            assert all(counts[key] >= value for key, value in told.items()), (
                "nor does what crossed to it vanish"
            )


async def test_what_waits_for_a_worker_whose_loop_is_blocked_is_counted(tmp_path: Path) -> None:
    with supervised(tmp_path, *FLAGS, workers=1) as served:
        admin = await admin_of(served)
        async with guests(served.address, "/", "/block?3600") as (other, _):
            await other.say(*range(1, 21))
            counts: dict[Any, Any] = {}
            while counts.get(("port_waiting_messages", ()), 0.0) < 20:
                counts = await counts_of(admin)
            assert counts["port_lag_seconds_max", ()] > 0


@pytest.mark.slow
async def test_the_counts_of_io_processes_that_die_stay(tmp_path: Path) -> None:
    with supervised(tmp_path, *FLAGS, bot=RAISING) as served:
        admin = await admin_of(served)
        async with guests(served.address, *["/"] * 6) as callers:
            await converse(callers, 10)
            assert (await counted(admin, ("errors", ("ZeroDivisionError",)), 6))["calls_opened", ()] == 6
            for pid in served.io_processes():
                os.kill(pid, signal.SIGKILL)
            await until(lambda: served.log.count("another I/O process listens") == 2, "other I/O processes")
        admin = TOLD_AT.findall(served.log)[-1]
        assert (await counts_of(admin))["audio_received_messages", ()] >= 60, (
            "a sum that drops is taken for a restart"
        )
        async with guests(served.address, "/", "/") as callers:
            await converse(callers, 10)
            counts = await counts_of(admin)
            assert counts["calls", ()] == 2
            assert counts["calls_opened", ()] == 8
            assert counts["audio_received_messages", ()] == 80
            assert await counted(admin, ("errors", ("ZeroDivisionError",)), 8)


async def test_it_is_not_ready_without_a_worker(tmp_path: Path) -> None:
    with supervised(tmp_path, *FLAGS, workers=1) as served:
        address = served.address
        assert (await fetch(address, "/readyz")).status == 200
        os.kill(served.workers()[0], signal.SIGKILL)
        while (page := await fetch(address, "/readyz")).status == 200:
            pass
        assert (page.status, page.body) == (503, "no worker takes calls\n")
        assert (await fetch(address, "/healthz")).status == 200
        while (await fetch(address, "/readyz")).status != 200:
            pass
