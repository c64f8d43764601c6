# SPDX-License-Identifier: Apache-2.0
"""The test kit: the same test in virtual time and on real sockets, whatever the loop."""

from __future__ import annotations

import pytest
from support.lateness import on_time
from support.serving import BOTH_LOOPS

from audio_connector import AudioConnectorConnection, UsageError
from audio_connector.simulator import RouterCall
from audio_connector.testing import Audio, connect, in_virtual_time, router, serve

TONE = Audio.tone(440, 0.3)


async def greet(client: AudioConnectorConnection) -> None:
    await client.send_audio_buffer(TONE.pcm, pad_last_frame=True)
    async for frame in client.audio():
        if not Audio(frame).is_silent:
            await client.flush_buffer()


async def converse(*, is_real: bool) -> None:
    """The same, whatever the loop."""
    async with serve(greet) as server:
        assert server.url.startswith("ws://127.0.0.1:")
        async with server.call("/a?b=c", headers={"x-who": "me"}) as call:
            assert call.client.query == "b=c"
            assert call.client.headers["x-who"] == "me"
            assert server.connections.all() == [call.client]
            reply = await call.reply()
            assert reply.matches(TONE)
            await call.say(TONE)
            report = await call.hang_up()
        assert (report.close_code, report.closed_by) == (1000, "us")
        async with connect(server.url) as other, router() as made:
            assert (await other.reply()).matches(TONE)
            with pytest.raises(UsageError, match="use serve"):
                _ = other.client
            plain = await made.run(RouterCall(url=server.url, tail_s=0.5))
            assert plain.frames_received == 15
        assert plain.latest_tick_ms < 3 or is_real


def test_in_virtual_time() -> None:
    in_virtual_time(converse)(is_real=False)


@BOTH_LOOPS
async def test_the_same_on_real_sockets() -> None:
    await on_time(lambda: converse(is_real=True))  # what is heard late on a busy machine has gaps
