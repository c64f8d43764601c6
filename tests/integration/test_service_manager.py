# SPDX-License-Identifier: Apache-2.0
"""Programs under a service manager, as systemd is one: what it is told, and when."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.deployed import ends_within_s
from support.processes import program
from support.service_manager import managed, told
from support.serving import DEADLINE_S, until
from support.workers import BOT, MAIN, supervised

from audio_connector import Timeouts
from audio_connector.server.run import LEAVE_S

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux"),
]

RUNS = """
import audio_connector
async def on_connect(client): ...
audio_connector.run({"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "timeouts": {"drain_s": 7.0}})
"""


async def test_a_program_says_that_it_listens_and_that_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with managed(tmp_path, monkeypatch) as manager:
        async with program(RUNS) as (process, address):
            said = await next_of(manager)
            assert said == {"READY": "1", "STATUS": f"listening on {address}"}
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            [stopping] = told(manager)
    assert int(stopping.pop("EXTEND_TIMEOUT_USEC")) >= alone_within_s(7.0) * 1e6
    assert stopping == {"STOPPING": "1", "STATUS": "draining, for 7 s at most; calls: 0"}


async def test_workers_are_ready_once_all_are_and_a_reload_has_a_beginning_and_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with managed(tmp_path, monkeypatch) as manager, supervised(tmp_path, "--drain-s", "7") as served:
        said = await next_of(manager)
        assert said == {"READY": "1", "STATUS": f"listening on {served.address}; workers: 2"}
        for bot, how in ((BOT, "reloaded"), ("raise LookupError", "not reloaded, the log says why")):
            served.change(bot)
            asked_us = time.monotonic_ns() // 1000
            served.process.send_signal(signal.SIGHUP)
            said = await next_of(manager)
            assert int(said.pop("MONOTONIC_USEC")) >= asked_us
            assert said == {"RELOADING": "1", "STATUS": "new workers start; workers: 2"}
            said = await next_of(manager)
            assert said == {"READY": "1", "STATUS": f"{how}; workers: 2"}
        served.process.send_signal(signal.SIGTERM)
        assert await served.ended() == 0
        [stopping] = told(manager)
    assert int(stopping.pop("EXTEND_TIMEOUT_USEC")) >= ends_within_s(7.0) * 1e6
    assert stopping["STOPPING"] == "1"
    assert stopping["STATUS"].startswith("draining, for 7 s at most; workers: ")


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_an_application_that_cannot_load_is_never_ready(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then ``systemctl start`` fails, as the program has ended."""
    (tmp_path / "bot.py").write_text("raise LookupError('no model')")
    with managed(tmp_path, monkeypatch) as manager:
        command = [sys.executable, "-c", MAIN, "serve", "bot:on_connect", "--port", "0", *flags]
        ended = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert ended.returncode == 2
        assert "no model" in ended.stderr
        assert told(manager) == []


async def next_of(manager: socket.socket) -> dict[str, str]:
    """What is told next; nothing else was."""
    said: list[dict[str, str]] = []

    def has_come() -> bool:
        said.extend(told(manager))
        return bool(said)

    await until(has_come, "that it is told")
    [only] = said
    return only


def alone_within_s(drain_s: float) -> float:
    """Of a program without workers."""
    return drain_s + 2 * Timeouts().stop_s + LEAVE_S
