# SPDX-License-Identifier: Apache-2.0
"""Whatever the application does, what it says is heard: cancelled, overtaken, late, waited for, all at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.bare_call import BareRouter, bare_call, constant

from audio_connector import AudioConnectorConnection, Interrupted, Played, SpeechInterrupted, UsageError
from audio_connector.testing.virtual_time import in_virtual_time, run_in_virtual_time

SECOND = 16000


async def say(client: AudioConnectorConnection, pcm: bytes) -> Played | Interrupted:
    """One speech, heard to its end."""
    async with client.speech() as speech:
        await speech.write(pcm)
    return await asyncio.wait_for(speech.finished(), 30)


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.5, 2.0])
@in_virtual_time
async def test_a_long_write_that_is_cancelled_silences_nothing_that_follows(
    after_s: float, pad: bool
) -> None:
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(
                client.send_audio_buffer(constant(1, 5 * SECOND), pad_last_frame=pad), after_s
            )
        await asyncio.sleep(4.5)
        await client.send_audio_buffer(constant(2, SECOND), pad_last_frame=True)
        await asyncio.wait_for(client.wait_until_played(), 8)
        assert router.count(2) == SECOND


@in_virtual_time
async def test_a_write_cancelled_over_and_over_leaves_nothing_open() -> None:
    async with bare_call(playback={"max_buffer_s": 0.5}) as (client, router):
        for number in range(200):
            task = asyncio.ensure_future(client.send_audio_buffer(constant(1, 7001), pad_last_frame=True))
            await asyncio.sleep((number % 7) * 0.003)
            task.cancel()
        assert client.playback.queued_ms < 3000  # the bound, twice, and what was taken since
        assert await say(client, constant(2, SECOND)) == Played(1000.0)
        assert router.count(2) == SECOND


@in_virtual_time
async def test_music_behind_a_speech_that_thinks_does_not_starve_it() -> None:
    async with bare_call() as (client, router):

        async def answer() -> None:
            async with client.speech() as speech:
                for _ in range(4):
                    await speech.write(constant(1, SECOND // 2))
                    await asyncio.sleep(1)

        async def music() -> None:
            await asyncio.sleep(0.3)
            await client.send_audio_buffer(constant(2, 60 * SECOND))

        playing = [asyncio.ensure_future(music()) for _ in range(3)]
        await asyncio.wait_for(answer(), 4.1)
        assert router.count(1) == 2 * SECOND
        await asyncio.sleep(1)
        assert router.count(2) >= SECOND
        for task in playing:
            task.cancel()


@in_virtual_time
async def test_a_late_write_to_a_speech_is_refused_and_silences_nothing() -> None:
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        async with client.speech() as speech:
            await speech.write(constant(1, SECOND // 2))
            long = asyncio.ensure_future(client.send_audio_buffer(constant(2, 4 * SECOND)))
            await asyncio.sleep(0.05)
            late = asyncio.ensure_future(speech.write(constant(3, 3 * SECOND)))
            await asyncio.sleep(0.05)
        with pytest.raises(UsageError, match="this speech is over"):
            await speech.write(constant(5, SECOND))
        await asyncio.wait_for(asyncio.gather(long, late), 8)
        assert await say(client, constant(4, SECOND)) == Played(1000.0)
        assert [router.count(value) for value in (1, 2, 3, 4, 5)] == [
            SECOND // 2, 4 * SECOND, 3 * SECOND, SECOND, 0,
        ]  # fmt: skip


@pytest.mark.parametrize("way", ["plain", "speech", "with a flush of its own"])
@in_virtual_time
async def test_what_is_asked_for_before_a_flush_is_cut_by_it(way: str) -> None:
    """Also where the loop was idle before, so that a call lets others run: they come later all the same."""
    async with bare_call() as (client, router):
        await asyncio.sleep(1)
        async with client.speech() as speech:
            await asyncio.sleep(1)
            ways = {
                "plain": lambda: client.send_audio_buffer(constant(1, SECOND)),
                "speech": lambda: speech.write(constant(1, SECOND)),
                "with a flush of its own": lambda: client.send_audio_buffer(
                    constant(1, SECOND), flush_buffer=True
                ),
            }
            await asyncio.gather(ways[way](), client.flush_buffer())
        await asyncio.sleep(1)
        assert router.count(1) <= 11 * 320  # the lead, sent before the clear
        assert await say(client, constant(2, SECOND)) == Played(1000.0)


@in_virtual_time
async def test_a_speech_that_is_cancelled_as_it_begins_is_over() -> None:
    async with bare_call() as (client, router):
        await asyncio.sleep(1)

        async def talk() -> None:
            async with client.speech():
                pytest.fail("it was cancelled before")

        task = asyncio.ensure_future(talk())
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.wait((task,))
        assert task.cancelled()
        assert await say(client, constant(2, SECOND)) == Played(1000.0)
        assert router.count(2) == SECOND


@pytest.mark.parametrize("size_bytes", [0, 1, 3, 640, 641, 6720])
@in_virtual_time
async def test_it_can_be_waited_inside_an_open_speech_of_any_length(size_bytes: int) -> None:
    async with bare_call() as (client, _):
        async with client.speech() as speech:
            await speech.write(bytes(size_bytes))
            outcome = await asyncio.wait_for(client.wait_until_played(), 2)
            assert isinstance(outcome, Played)
            assert size_bytes / 32 - 1 <= outcome.played_ms <= size_bytes / 32 + 20
            if size_bytes % 2:
                await speech.write(bytes(1))
        assert isinstance(await asyncio.wait_for(speech.finished(), 2), Played)


@in_virtual_time
async def test_it_can_be_waited_inside_a_speech_that_keeps_others_back() -> None:
    async with bare_call() as (client, router):
        async with client.speech() as outer:
            await outer.write(constant(1, SECOND))
            await client.send_audio_buffer(constant(3, SECOND))
            async with client.speech() as inner:
                await inner.write(constant(2, SECOND))
                assert await asyncio.wait_for(client.wait_until_played(), 2) == Played(1000.0)
        assert await asyncio.wait_for(client.wait_until_played(), 5) == Played(2000.0)
        assert [router.count(value) for value in (1, 2, 3)] == [SECOND] * 3


@in_virtual_time
async def test_who_asks_for_the_end_of_a_speech_inside_it_is_told_so() -> None:
    async with bare_call() as (client, _):
        async with client.speech() as speech:
            await speech.write(bytes(640))
            beside = asyncio.ensure_future(speech.finished())
            with pytest.raises(UsageError, match="would wait for ever"):
                await speech.finished()
        assert await speech.finished() == await beside == Played(20.0)


@in_virtual_time
async def test_who_waits_for_a_speech_behind_the_one_around_it_is_told_so() -> None:
    async with bare_call() as (client, router):
        async with client.speech() as outer:
            async with client.speech() as inner:
                await inner.write(constant(2, SECOND))
            beside = asyncio.ensure_future(inner.finished())
            with pytest.raises(UsageError, match="leave that block first"):
                await inner.finished()
            await outer.write(constant(1, SECOND))
        assert await inner.finished() == await beside == Played(1000.0)
        assert [router.count(value) for value in (1, 2)] == [SECOND, SECOND]


WAYS: dict[str, Callable[[AudioConnectorConnection, bytes], Awaitable[None]]] = {
    "plain": lambda client, pcm: client.send_audio_buffer(pcm),
    "the end of a plain one": lambda client, pcm: client.send_audio_buffer(pcm, pad_last_frame=True),
}


async def _say_inside(client: AudioConnectorConnection, pcm: bytes) -> None:
    async with client.speech() as inner:
        await inner.write(pcm)


WAYS["speech"] = _say_inside


@pytest.mark.parametrize("before_s", [0.0, 3.0])
@pytest.mark.parametrize("way", WAYS)
@in_virtual_time
async def test_what_has_no_room_behind_the_speech_around_it_is_told_so(way: str, before_s: float) -> None:
    """It would wait for ever; what was taken is heard, and so is all that follows."""
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        async with client.speech() as outer:
            await outer.write(constant(1, int(before_s * SECOND)))
            with pytest.raises(UsageError, match="leave that block first"):
                await WAYS[way](client, constant(2, 6 * SECOND))
            await outer.write(constant(3, SECOND))
        assert await say(client, constant(4, SECOND)) == Played(1000.0)
        values = [router.count(value) for value in (1, 2, 3, 4)]
        assert values[0] == before_s * SECOND
        assert SECOND <= values[1] < 6 * SECOND
        assert values[2:] == [SECOND, SECOND]


@in_virtual_time
async def test_what_has_room_behind_the_speech_around_it_or_will_have_is_taken() -> None:
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        async with client.speech() as first:
            await first.write(constant(1, SECOND))
        async with client.speech() as outer:
            long = asyncio.ensure_future(outer.write(constant(2, 4 * SECOND)))
            await asyncio.sleep(0)
            async with client.speech() as inner:
                await inner.write(constant(3, SECOND))
                await inner.write(constant(3, SECOND))
            await long
        assert await asyncio.wait_for(inner.finished(), 20) == Played(2000.0)
        assert [router.count(value) for value in (1, 2, 3)] == [SECOND, 4 * SECOND, 2 * SECOND]


@in_virtual_time
async def test_another_task_waits_for_the_speech_before_its_own() -> None:
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        async with client.speech() as outer:
            behind = asyncio.ensure_future(say(client, constant(2, 6 * SECOND)))
            await asyncio.sleep(2)
            await outer.write(constant(1, SECOND))
        assert await behind == Played(6000.0)
        assert [router.count(value) for value in (1, 2)] == [SECOND, 6 * SECOND]


@in_virtual_time
async def test_a_flush_ends_what_would_keep_others_waiting() -> None:
    async with bare_call(playback={"max_buffer_s": 1}) as (client, router):
        async with client.speech() as outer:
            await outer.write(constant(1, SECOND))
            await client.flush_buffer()
            assert await say(client, constant(2, 6 * SECOND)) == Played(6000.0)
        assert router.count(2) == 6 * SECOND


@in_virtual_time
async def test_waiting_says_what_was_heard() -> None:
    async with bare_call() as (client, _):
        assert await client.wait_until_played() == Played(0.0)
        await client.send_audio_buffer(bytes(32000), pad_last_frame=True)
        assert await client.wait_until_played() == Played(1000.0)
        assert await client.wait_until_played() == Played(1000.0)
        await client.send_audio_buffer(bytes(64000))
        waiting = [asyncio.ensure_future(client.wait_until_played()) for _ in range(20)]
        await asyncio.sleep(0.5)
        for task in waiting[::2]:
            task.cancel()
        flushed = await client.flush_buffer()
        heard = {await task for task in waiting[1::2]}
        assert heard == {Interrupted(flushed.played_ms, flushed.discarded_ms)}
        await client.send_audio_buffer(bytes(64000))
        last = asyncio.ensure_future(client.wait_until_played())
        await asyncio.sleep(0.2)
        client.disconnect()
        assert isinstance(await asyncio.wait_for(last, 2), Interrupted)
        assert isinstance(await client.wait_until_played(), Interrupted)


@pytest.mark.parametrize("first_s", [0.005, 0.1, None])
@in_virtual_time
async def test_it_can_be_waited_in_every_handler(first_s: float | None) -> None:
    outcomes: dict[str, object] = {}

    async def talk(client: AudioConnectorConnection) -> None:
        async def on_audio(_: bytes) -> None:
            client.set_handler(on_disconnect=on_disconnect)
            await client.send_audio_buffer(bytes(16000))
            outcomes["on_audio"] = await client.wait_until_played()

        async def on_disconnect() -> None:
            outcomes["on_disconnect"] = await client.wait_until_played()

        client.set_handler(on_audio=on_audio, on_disconnect=on_disconnect)
        await client.send_audio_buffer(bytes(32000))
        outcomes["on_connect"] = await client.wait_until_played()

    async with bare_call(talk, first_s=first_s) as (_, router):
        await asyncio.sleep(3)
        router.socket.send_audio(bytes(640))
        await asyncio.sleep(2)
    assert outcomes["on_connect"] == Played(1000.0)
    assert outcomes["on_audio"] == Played(500.0)
    assert isinstance(outcomes["on_disconnect"], Interrupted)


# At random.


class Actors:
    """Several tasks that write, speak, flush, wait and are cancelled, as a seed has it.

    Args:
        seed: Of all that is decided.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.client: AudioConnectorConnection
        self.flushes = 0
        self.writes: dict[int, tuple[int, int]] = {}
        """How many samples, and after how many flushes they were asked for, by value."""
        self.done: set[int] = set()

    async def act(self) -> None:
        for _ in range(self.dice.randrange(2, 8)):
            await asyncio.sleep(self.dice.choice((0, 0, 0.01, 0.7, 1.9)))
            await self._maybe_cancelled(self.dice.choice(self._steps)(self))

    async def _maybe_cancelled(self, step: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(step)
        if self.dice.random() < 0.4:
            after_s = self.dice.choice((0, 0, 0.001, self.dice.random(), 3 * self.dice.random()))
            asyncio.get_running_loop().call_later(after_s, task.cancel)
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _write(self, how: Callable[[bytes], Awaitable[None]], sizes: tuple[int, ...]) -> None:
        value, size = len(self.writes) + 1, self.dice.choice(sizes)
        self.writes[value] = size, self.flushes
        await how(constant(value, size))
        self.done.add(value)

    async def _plain(self) -> None:
        pad = self.dice.random() < 0.5
        await self._write(
            lambda pcm: self.client.send_audio_buffer(pcm, pad_last_frame=pad),
            (1, 7, 320, 321, 16000, 100_000),
        )

    async def _speak(self) -> None:
        async with self.client.speech() as speech:
            for _ in range(self.dice.randrange(4)):
                with contextlib.suppress(SpeechInterrupted):
                    await self._write(speech.write, (1, 33, 320, 5000, 60_000))
                if self.dice.random() < 0.3:
                    await asyncio.sleep(1.5 * self.dice.random())
        if self.dice.random() < 0.5:
            await speech.finished()

    async def _flush(self) -> None:
        if self.dice.random() < 0.5:
            self.flushes += 1
            await self.client.flush_buffer()

    async def _wait(self) -> None:
        await self.client.wait_until_played()

    _steps = (_plain, _plain, _plain, _speak, _speak, _speak, _flush, _wait)


def check_heard(actors: Actors, router: BareRouter) -> None:
    """What was taken and not flushed is heard, whole and in one piece; nothing is heard after its flush."""
    samples = router.samples
    cleared = [at for at, text in router.texts if text == '{"action":"clear"}']
    for value, (size, flushes_before) in actors.writes.items():
        heard = router.count(value)
        assert heard <= size
        if actors.flushes == flushes_before:
            assert heard == size or value not in actors.done
            at = (samples == value).nonzero()[0]
            assert not len(at) or set(samples[at[0] : at[-1] + 1]) <= {0, value}
        elif len(cleared) == actors.flushes:
            after = [frame for at, frame in router.frames if at > cleared[flushes_before]]
            assert constant(value, 1) not in {frame[:2] for frame in after}


@pytest.mark.parametrize("seed", range(60))
def test_many_at_once_and_cancelled_at_random_moments(seed: int) -> None:
    async def scene() -> None:
        actors = Actors(seed)
        dice = actors.dice
        playback = {"max_buffer_s": dice.choice((0.1, 0.5, 5)), "lead_ms": dice.choice((40, 200, 5000))}
        first_s = dice.choice((0.005, 0.1, None))
        async with bare_call(first_s=first_s, playback=playback) as (client, router):
            actors.client = client
            tasks = [asyncio.ensure_future(actors.act()) for _ in range(dice.randrange(1, 5))]
            await asyncio.wait_for(asyncio.gather(*tasks), 200)
            await asyncio.wait_for(client.wait_until_played(), 100)
            assert await say(client, constant(31000, SECOND)) == Played(1000.0)
            assert router.count(31000) == SECOND
            assert {len(frame) for _, frame in router.frames} == {640}
            check_heard(actors, router)

    run_in_virtual_time(scene())
