# SPDX-License-Identifier: Apache-2.0
"""A server that is stopped for a while, with its machine or alone: its callers are not to blame for that."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from support.peers import FRAME, calling, next_audio
from support.processes import children_of, program

pytestmark = [pytest.mark.programs, pytest.mark.skipif(os.name != "posix", reason="there are no signals")]

IDLE_S = 3.0

BOT = f"""
import sys
import audio_connector as ac

async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)

timeouts = ac.Timeouts(idle_s={IDLE_S})
ac.run(ac.AudioConnectorServerConfig(
    host="127.0.0.1", port=0, on_connect=on_connect, timeouts=timeouts, isolation=sys.argv[1]
))
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_who_spoke_all_the_time_is_not_called_silent(isolation: str) -> None:
    async with program(BOT, isolation) as (process, address), calling(address) as caller:
        await caller.send(FRAME)
        await next_audio(caller, 1)
        everybody = [process.pid, *children_of(process.pid)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(20):
            await asyncio.sleep((IDLE_S + 1.0) / 20)
            await caller.send(FRAME)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        assert await next_audio(caller, 20)
        process.terminate()
        assert await process.wait() == 0
