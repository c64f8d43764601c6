# SPDX-License-Identifier: Apache-2.0
"""The hearing by itself: its service is a coroutine here, and time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from audio_connector.engines import EngineError, Transcript
from audio_connector.engines.base.live import MAX_WAITING_S, PIECE_MS, LiveHearing, both
from audio_connector.errors import AudioDataError, UsageError
from audio_connector.testing import in_virtual_time

RATE_HZ = 16000


@contextmanager
def exchange() -> Iterator[None]:
    yield


class Echo(LiveHearing):
    """Understands how many bytes it was sent."""

    def __init__(self, *, dial_s: float = 0.2, answer_s: float = 0.1, fails_after: int | None = None) -> None:
        super().__init__(sample_rate=RATE_HZ, timeout_s=5, who="the ear", exchange=exchange)
        self.dial_s, self.answer_s, self.fails_after = dial_s, answer_s, fails_after
        self.pieces: list[bytes] = []
        self.idle = 0
        self.has_hung_up = False

    async def _converse(self) -> Transcript:
        try:
            await asyncio.sleep(self.dial_s)
            while (piece := await self._next_audio(4)) is not None:
                self.idle += not piece
                self.pieces.append(piece)
                if len(self.pieces) == self.fails_after:
                    raise EngineError("the ear broke off; try again")
                self._tell(Transcript(str(len(b"".join(self.pieces))), False))
            await asyncio.sleep(self.answer_s)
            return Transcript(str(len(b"".join(self.pieces))), True, audio_s=self.audio_s)
        finally:
            self.has_hung_up = True


async def read(hearing: LiveHearing) -> list[str]:
    return [partial.text async for partial in hearing.partials()]


@in_virtual_time
async def test_what_is_said_while_it_dials_is_sent_in_pieces_and_in_order() -> None:
    loop = asyncio.get_running_loop()
    hearing = Echo()
    async with hearing:
        began = loop.time()
        for value in range(15):
            await hearing.write(bytes([value, 0]) * 320)
        assert loop.time() == began
        final = await hearing.finish()
    assert b"".join(hearing.pieces) == b"".join(bytes([value, 0]) * 320 for value in range(15))
    assert max(map(len, hearing.pieces)) == RATE_HZ * PIECE_MS // 1000 * 2
    assert (final.text, final.is_final, final.audio_s) == ("9600", True, 0.3)


@in_virtual_time
async def test_the_reader_gets_what_is_newest_and_ends_with_the_utterance() -> None:
    async with Echo(dial_s=0) as hearing:
        reader = asyncio.ensure_future(read(hearing))
        for _ in range(3):
            await hearing.write(bytes(640))
            await asyncio.sleep(0.02)
        await hearing.finish()
        assert await reader == ["640", "1280", "1920"]


@in_virtual_time
async def test_who_reads_late_gets_only_the_newest() -> None:
    async with Echo(dial_s=0) as hearing:
        for _ in range(3):
            await hearing.write(bytes(640))
            await asyncio.sleep(0.02)
        reader = asyncio.ensure_future(read(hearing))
        await asyncio.sleep(0.02)
        await hearing.finish()
        assert await reader == ["1920"]


@in_virtual_time
async def test_a_silent_caller_keeps_the_connection_alive() -> None:
    async with Echo(dial_s=0) as hearing:
        await asyncio.sleep(13)
        await hearing.write(bytes(640))
        await hearing.finish()
    assert (hearing.idle, hearing.pieces) == (3, [b"", b"", b"", bytes(640)])


@in_virtual_time
async def test_leaving_the_block_hangs_up_and_wakes_who_waits() -> None:
    loop = asyncio.get_running_loop()
    async with Echo() as hearing:
        reader = asyncio.ensure_future(read(hearing))
        await hearing.write(bytes(640))
        await asyncio.sleep(0.1)
        began = loop.time()
    assert hearing.has_hung_up
    assert await reader == []
    assert loop.time() == began
    with pytest.raises(UsageError, match="has ended"):
        await hearing.write(bytes(640))


@in_virtual_time
async def test_who_waits_for_the_end_when_the_block_is_left_is_told() -> None:
    hearing = Echo(answer_s=3)
    async with hearing:
        waiting = asyncio.ensure_future(hearing.finish())
        await asyncio.sleep(1)
    with pytest.raises(UsageError, match="abandoned meanwhile"):
        await waiting


@in_virtual_time
async def test_what_breaks_off_is_told_by_every_method() -> None:
    async with Echo(dial_s=0, fails_after=1) as hearing:
        reader = asyncio.ensure_future(read(hearing))
        await hearing.write(bytes(640))
        with pytest.raises(EngineError, match="broke off"):
            await reader
        for call in (hearing.write(bytes(2)), hearing.finish(), read(hearing)):
            with pytest.raises(EngineError, match="broke off"):
                await call


@in_virtual_time
async def test_a_failure_that_nobody_asks_about_is_no_noise() -> None:
    async with Echo(dial_s=0, fails_after=1) as hearing:
        await hearing.write(bytes(640))
        await asyncio.sleep(1)


@in_virtual_time
async def test_an_answer_that_does_not_come_is_waited_for_so_long() -> None:
    loop = asyncio.get_running_loop()
    async with Echo(answer_s=60) as hearing:
        began = loop.time()
        with pytest.raises(EngineError, match="the ear gave no transcript for 5 s"):
            await hearing.finish()
        assert loop.time() - began == 5
    assert hearing.has_hung_up


@in_virtual_time
async def test_audio_that_the_network_does_not_take_is_bounded() -> None:
    second = bytes(RATE_HZ * 2)
    async with Echo(dial_s=1000) as hearing:
        for _ in range(MAX_WAITING_S):
            await hearing.write(second)
        with pytest.raises(EngineError, match="has not taken the last 60 s"):
            await hearing.write(second)


@in_virtual_time
async def test_wrong_calls_are_told_apart() -> None:
    hearing = Echo()
    for call in (hearing.write(b""), hearing.finish(), read(hearing)):
        with pytest.raises(UsageError, match="not begun"):
            await call
    async with hearing:
        with pytest.raises(AudioDataError, match="3 bytes"):
            await hearing.write(b"abc")
        with pytest.raises(UsageError, match="begun already"):
            await hearing.__aenter__()
        await hearing.finish()
        with pytest.raises(UsageError, match="once"):
            await hearing.finish()


@in_virtual_time
async def test_a_cancelled_user_leaves_nothing() -> None:
    hearing = Echo()

    async def use() -> None:
        async with hearing:
            await hearing.write(bytes(640))
            await asyncio.sleep(100)

    task = asyncio.ensure_future(use())
    await asyncio.sleep(1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert hearing.has_hung_up


@in_virtual_time
async def test_the_first_of_two_that_fails_ends_both() -> None:
    async def fail(after_s: float, text: str) -> None:
        await asyncio.sleep(after_s)
        raise EngineError(text)

    async def work(after_s: float) -> str:
        await asyncio.sleep(after_s)
        return "done"

    assert await both(fail(2, "late"), work(1)) == "done"
    with pytest.raises(EngineError, match="sender"):
        await both(fail(1, "sender"), work(9))
    with pytest.raises(EngineError, match="receiver"):
        await both(fail(1, "sender"), fail(1, "receiver"))
    with pytest.raises(EngineError, match="receiver"):
        await both(fail(1, "sender"), fail(1.4, "receiver"))
