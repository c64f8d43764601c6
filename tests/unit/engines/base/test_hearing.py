# SPDX-License-Identifier: Apache-2.0
"""Partials over growing audio: not too often, never two at once, none where nobody asks, none after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.hearing import FIRST_S, LONGEST_S, RepeatedHearing
from audio_connector.engines.base.ports import Hearing, Transcript
from audio_connector.errors import AudioDataError

RATE_HZ = 8_000
SECOND = bytes(RATE_HZ * 2)


class Ears:
    """Understands how many seconds there are; each decode ends when it is let go."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, bool]] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.text: Callable[[float], str] = lambda audio_s: f"{audio_s:g} seconds"

    async def decode(self, audio: bytes, is_final: bool) -> Transcript:
        audio_s = len(audio) / len(SECOND)
        self.asked.append((audio_s, is_final))
        if not is_final:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]
        return Transcript(self.text(audio_s), is_final=is_final, audio_s=audio_s)

    async def let_go(self) -> None:
        await settle()
        self.waiting.pop(0).set_result(None)
        await settle()

    def hear(self) -> RepeatedHearing:
        return RepeatedHearing(self.decode, sample_rate=RATE_HZ)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def listen(hearing: RepeatedHearing, got: list[str]) -> None:
    async for transcript in hearing.partials():
        assert not transcript.is_final
        got.append(transcript.text)


async def test_partials_come_with_each_second_and_then_the_final() -> None:
    ears, got = Ears(), list[str]()
    async with ears.hear() as hearing:
        assert isinstance(hearing, Hearing)
        listening = asyncio.ensure_future(listen(hearing, got))
        await hearing.write(SECOND[: int(FIRST_S * len(SECOND)) - 2])
        await settle()
        assert ears.asked == []
        await hearing.write(SECOND[:2])
        await ears.let_go()
        await hearing.write(SECOND)
        await ears.let_go()
        final = await hearing.finish()
        await listening
    assert got == ["0.6 seconds", "1.6 seconds"]
    assert (final.text, final.is_final) == ("1.6 seconds", True)
    assert ears.asked == [(0.6, False), (1.6, False), (1.6, True)]


async def test_there_is_one_decode_at_a_time_and_it_takes_all_there_is() -> None:
    ears, got = Ears(), list[str]()
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, got))
        for _ in range(4):
            await hearing.write(SECOND)
            await settle()
        assert ears.asked == [(1, False)]
        await ears.let_go()
        assert ears.asked == [(1, False), (4, False)]
        await ears.let_go()
        await hearing.finish()
        await listening


async def test_nobody_who_asks_no_decode() -> None:
    ears = Ears()
    async with ears.hear() as hearing:
        await hearing.write(SECOND * 5)
        await settle()
        await hearing.finish()
    assert ears.asked == [(5, True)]


async def test_the_end_gives_up_a_partial_that_is_at_work() -> None:
    ears, got = Ears(), list[str]()
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, got))
        await hearing.write(SECOND)
        await settle()
        assert (await hearing.finish()).text == "1 seconds"
        await listening
    assert got == []
    assert ears.waiting[0].cancelled()


async def test_a_partial_that_ends_with_the_utterance_is_none() -> None:
    ears, got = Ears(), list[str]()
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, got))
        await hearing.write(SECOND)
        await settle()
        ears.waiting[0].set_result(None)
        await hearing.finish()
        await listening
    assert got == []


async def test_leaving_gives_up_everything() -> None:
    ears, got = Ears(), list[str]()
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, got))
        await hearing.write(SECOND)
        await settle()
    await listening
    assert ears.waiting[0].cancelled()
    with pytest.raises(EngineError, match="is over"):
        await hearing.finish()
    with pytest.raises(EngineError, match="is over"):
        await hearing.write(SECOND)


async def test_a_listener_that_is_cancelled_frees_the_engine() -> None:
    ears = Ears()
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, []))
        await hearing.write(SECOND)
        await settle()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        await settle()
        assert ears.waiting[0].cancelled()
        assert (await hearing.finish()).text == "1 seconds"


async def test_what_did_not_change_is_not_told_twice() -> None:
    ears, got = Ears(), list[str]()
    ears.text = lambda audio_s: "" if audio_s < 2 else "yes"
    async with ears.hear() as hearing:
        listening = asyncio.ensure_future(listen(hearing, got))
        for _ in range(3):
            await hearing.write(SECOND)
            await ears.let_go()
        await hearing.finish()
        await listening
    assert got == ["yes"]


async def test_a_failure_reaches_who_iterates() -> None:
    async def fail(_audio: bytes, _is_final: bool) -> Transcript:
        raise EngineError("broken")

    async with RepeatedHearing(fail, sample_rate=RATE_HZ) as hearing:
        await hearing.write(SECOND)
        with pytest.raises(EngineError, match="broken"):
            await listen(hearing, [])


async def test_odd_and_endless_audio_is_refused() -> None:
    async with Ears().hear() as hearing:
        with pytest.raises(AudioDataError, match="got 3 bytes"):
            await hearing.write(b"abc")
        await hearing.write(SECOND * int(LONGEST_S))
        with pytest.raises(EngineError, match="more than 600 s"):
            await hearing.write(b"ab")
