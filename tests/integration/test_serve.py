# SPDX-License-Identifier: Apache-2.0
"""`audio-connector serve` as a service: it listens where it is told, logs as it is told, and drains at SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.ends import heed_interrupts
from support.peers import FRAME, first_message
from support.serving import DEADLINE_S
from websockets.asyncio.client import connect

MAIN = "import sys; from audio_connector.cli import main; sys.exit(main())"

BOT = """
async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)
"""


AS_SYSTEMD = (
    "import os; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2(int(os.environ.pop('SENT')), 3); " + MAIN
)


@pytest.mark.skipif(sys.platform == "win32", reason="it is sent a signal")
async def test_it_serves_and_drains(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(BOT)
    (tmp_path / "serve.toml").write_text('host = "127.0.0.1"\nport = 1\nlog_format = "json"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", MAIN, "serve", "bot:on_connect"),
        *("--config", "serve.toml", "--port", "0"),
        cwd=tmp_path,
        env={**os.environ, "AUDIO_CONNECTOR_LOG_LEVEL": "info"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stderr is not None
        line = await asyncio.wait_for(process.stderr.readline(), DEADLINE_S)
        address = json.loads(line)["message"].removeprefix("listening on ")
        async with connect(address, compression=None, proxy=None) as caller:
            await caller.send(first_message())
            await caller.send(FRAME)
            while await caller.recv() != FRAME:
                pass
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(caller.wait_closed(), DEADLINE_S)
            assert caller.close_code == 1001
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0
        assert output == b""
        told = [json.loads(line) for line in errors.decode().splitlines()]
        assert [record["level"] for record in told] == ["info"] * 4, (
            "who came, at which rate, how it ended, and that it stopped"
        )
        [who] = {record.get("connection") for record in told[:3]}
        assert who
        assert all(f"connection {who}: " in record["message"] for record in told[:3])
        assert told[-1]["message"] == "stopped"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def served_from(
    sock: socket.socket, folder: Path, *flags: str, systemd: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`serve`, given a socket; until SIGTERM ends it."""
    number = sock.fileno()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", AS_SYSTEMD if systemd else MAIN, "serve", "bot:on_connect"),
        *flags,
        cwd=folder,
        env={**os.environ, **({"LISTEN_FDS": "1", "SENT": str(number)} if systemd else {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=[number],
        preexec_fn=heed_interrupts,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0, errors.decode()
        address = "ws://{}:{}".format(*sock.getsockname())
        assert output.decode().splitlines() == [f"listening on {address}", "stopped"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="it is given a descriptor")
@pytest.mark.parametrize("systemd", [False, True])
@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_socket_of_the_parent_outlives_it_and_is_taken_over(
    isolation: str, systemd: bool, tmp_path: Path
) -> None:
    (tmp_path / "bot.py").write_text(
        BOT + "import os\nassert 'LISTEN_FDS' not in os.environ and 'LISTEN_PID' not in os.environ\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        flags = ["--isolation", isolation, *([] if systemd else ["--fd", str(sock.fileno())])]
        for _ in range(2):
            # Who dials before it runs, or between two of them, waits.
            dialling = asyncio.create_task(is_echoed("ws://{}:{}".format(*sock.getsockname())))
            async with served_from(sock, tmp_path, *flags, systemd=systemd):
                await dialling


async def is_echoed(address: str) -> None:
    async with connect(address, compression=None, proxy=None, open_timeout=DEADLINE_S) as caller:
        await caller.send(first_message())
        await caller.send(FRAME)
        while await asyncio.wait_for(caller.recv(), DEADLINE_S) != FRAME:
            pass
