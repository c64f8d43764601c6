# SPDX-License-Identifier: Apache-2.0
"""Test a bot of your own: in virtual time, with a simulated media router that speaks to it and hears it.

::

    from audio_connector.testing import in_virtual_time, serve

    @in_virtual_time
    async def test_the_bot_answers():
        async with serve(on_connect) as server, server.call() as call:
            await call.say("question.wav")
            reply = await call.reply(within_s=2)
            assert reply.matches("answer.wav")
"""

from __future__ import annotations

from audio_connector.testing.audio import Audio, AudioSource, Verdict
from audio_connector.testing.call import Call, CallFailed, router
from audio_connector.testing.serving import BotFailed, Server, connect, serve
from audio_connector.testing.virtual_time import (
    Stuck,
    VirtualLoop,
    in_virtual_time,
    rest,
    run_in_virtual_time,
)

__all__ = [
    "Audio",
    "AudioSource",
    "BotFailed",
    "Call",
    "CallFailed",
    "Server",
    "Stuck",
    "Verdict",
    "VirtualLoop",
    "connect",
    "in_virtual_time",
    "rest",
    "router",
    "run_in_virtual_time",
    "serve",
]
