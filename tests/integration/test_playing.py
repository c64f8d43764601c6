# SPDX-License-Identifier: Apache-2.0
"""What is played into the session, as it arrives at the other end of a real socket."""

from __future__ import annotations

import asyncio
import random
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.peers import calling, first_message, next_audio, next_text
from support.serving import BOTH_LOOPS, DEADLINE_S, sawtooth, serving, until
from websockets.asyncio.client import ClientConnection

import audio_connector as ac
from audio_connector import AudioConnectorConnection, Flushed, Interrupted, Playback, Played, Timeouts
from audio_connector.audio.resample import Resampler

Scene = Callable[[AudioConnectorConnection], Awaitable[Any]]
CLEARS = ['{"action":"clear"}', '{"event":"websocket:cleared"}']


@asynccontextmanager
async def acting(
    scene: Scene, *, rate_hz: int | None = 16000, **options: Any
) -> AsyncIterator[tuple[ClientConnection, asyncio.Future[Any]]]:
    """A caller, and what the application's scene returns; the scene begins when the format is known."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_connect(client: AudioConnectorConnection) -> None:
        try:
            if rate_hz is not None:
                await until(lambda: client.statistics().text_messages_received, "the first message")
            result = await scene(client)
        except BaseException as error:
            if not outcome.done():
                outcome.set_exception(error)
            raise
        if not outcome.done():
            outcome.set_result(result)

    async with (
        serving(on_connect, **options) as handle,
        calling(handle.get_address(), rate_hz=rate_hz) as caller,
    ):
        yield caller, outcome


async def all_audio(caller: ClientConnection, size_bytes: int) -> bytes:
    """Audio until that much has come; no message may be anything but a frame."""
    heard = bytearray()
    sizes = set()
    while len(heard) < size_bytes:
        message = await asyncio.wait_for(caller.recv(), DEADLINE_S)
        if isinstance(message, bytes):
            heard += message
            sizes.add(len(message))
    assert len(sizes) == 1
    return bytes(heard)


# Bit for bit.


@BOTH_LOOPS
@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
async def test_speech_in_random_chunks_arrives_bit_for_bit(rate_hz: int) -> None:
    dice = random.Random(rate_hz)
    audio = sawtooth(rate_hz // 3 + 123)

    async def scene(client: AudioConnectorConnection) -> Any:
        async with client.speech() as speech:
            at = 0
            while at < len(audio):
                size = dice.randint(1, 5000)
                await speech.write(audio[at : at + size])
                at += size
        return await speech.finished()

    async with acting(scene, rate_hz=rate_hz, playback=Playback(lead_ms=60_000)) as (caller, outcome):
        frame_bytes = rate_hz // 25
        padded = -(-len(audio) // frame_bytes) * frame_bytes
        heard = await all_audio(caller, padded)
        assert heard == audio.ljust(padded, b"\0")
        assert await asyncio.wait_for(outcome, DEADLINE_S) == Played(padded / frame_bytes * 20)


@BOTH_LOOPS
async def test_plain_sends_in_random_chunks_arrive_bit_for_bit() -> None:
    dice = random.Random(7)
    audio = sawtooth(16000)

    async def scene(client: AudioConnectorConnection) -> None:
        at = 0
        while at < len(audio):
            size = dice.randint(1, 5000)
            await client.send_audio_buffer(audio[at : at + size])
            at += size

    async with acting(scene, playback=Playback(lead_ms=60_000)) as (caller, _):
        assert await all_audio(caller, len(audio)) == audio


async def test_one_call_with_half_a_minute() -> None:
    audio = sawtooth(16000 * 30)

    async def scene(client: AudioConnectorConnection) -> float:
        await client.send_audio_buffer(audio, pad_last_frame=True)
        return client.playback.queued_ms + client.playback.in_flight_ms

    async with acting(scene, playback=Playback(lead_ms=60_000)) as (caller, outcome):
        assert await all_audio(caller, len(audio)) == audio
        assert 0 <= await outcome <= 30_000


async def test_sending_waits_for_room() -> None:
    taken: list[float] = []

    async def scene(client: AudioConnectorConnection) -> None:
        for _ in range(12):
            await client.send_audio_buffer(sawtooth(320 * 5))  # 100 ms
            taken.append(client.playback.queued_ms)

    begun = asyncio.get_running_loop().time()
    async with acting(scene, playback=Playback(max_buffer_s=0.3, lead_ms=100)) as (_, outcome):
        await outcome
    assert asyncio.get_running_loop().time() - begun > 0.6  # 1.2 s of audio less buffer, lead and one piece
    assert max(taken) <= 500


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        (bytearray(sawtooth(320)), sawtooth(320)),
        (memoryview(sawtooth(320)), sawtooth(320)),
        (np.frombuffer(sawtooth(320), "<i2"), sawtooth(320)),
        (np.frombuffer(sawtooth(320), "<i2").astype(">i2"), sawtooth(320)),
        (np.frombuffer(sawtooth(320), "<i2").astype(np.float32) / 32768, sawtooth(320)),
        (np.full(320, 2.0, np.float32), b"\xff\x7f" * 320),
        (np.full((320, 2), [[1000, 3000]], np.int16), (2000).to_bytes(2, "little") * 320),
        (np.full((320, 2), [[0.5, -0.25]], np.float32), (4096).to_bytes(2, "little") * 320),
        (np.zeros(0, np.int16), b""),
    ],
    ids=[
        "bytearray",
        "memoryview",
        "int16",
        "big-endian",
        "float32",
        "too loud",
        "stereo",
        "float stereo",
        "none",
    ],
)
async def test_what_counts_as_audio(audio: Any, expected: bytes) -> None:
    async def scene(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(audio)
        await client.send_audio_buffer(sawtooth(320, start=77), pad_last_frame=True)

    async with acting(scene) as (caller, _):
        expected += sawtooth(320, start=77)
        assert await all_audio(caller, len(expected)) == expected


@pytest.mark.parametrize("source_hz", [8000, 22050, 48000])
async def test_another_rate_is_resampled_without_seams(source_hz: int) -> None:
    tone = (np.sin(np.arange(source_hz) * 2 * np.pi * 440 / source_hz) * 20000).astype("<i2").tobytes()
    dice = random.Random(source_hz)

    async def scene(client: AudioConnectorConnection) -> None:
        async with client.speech() as speech:
            at = 0
            while at < len(tone):
                size = dice.randint(1, 4000)
                await speech.write(tone[at : at + size], sample_rate=source_hz)
                at += size

    async with acting(scene, playback=Playback(lead_ms=60_000)) as (caller, _):
        whole = Resampler(source_hz, 16000)
        expected = whole.push(tone) + whole.finish()
        heard = await all_audio(caller, len(expected))
        difference = np.frombuffer(heard[: len(expected)], "<i2").astype(int) - np.frombuffer(expected, "<i2")
        assert np.abs(difference).max() <= 1
        assert abs(len(expected) - 32000) < 100


@pytest.mark.parametrize("sample_rate", [None, 16000])
async def test_the_real_rate_comes_after_the_first_audio(sample_rate: int | None) -> None:
    """Nothing is played before the format is known: unlabelled audio was of that format all along."""
    tone = (np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000) * 20000).astype("<i2").tobytes()

    async def scene(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(tone, sample_rate=sample_rate, pad_last_frame=True)

    async with acting(scene, rate_hz=None, timeouts=Timeouts(first_message_s=5)) as (caller, outcome):
        await outcome
        await caller.send(first_message(8000))
        if sample_rate is None:
            assert await all_audio(caller, 32000) == tone
            return
        heard = np.frombuffer(await all_audio(caller, 16000), "<i2")
        expected = (np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000) * 20000).astype(int)
        assert np.abs(heard[200:7800] - expected[200:7800]).max() < 60


async def test_the_pace_is_the_clock_not_the_socket() -> None:
    async def scene(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(16000), pad_last_frame=True)

    arrivals: list[float] = []
    async with acting(scene, playback=Playback(lead_ms=200)) as (caller, _):
        for _ in range(50):
            await next_audio(caller, 1)
            arrivals.append(asyncio.get_running_loop().time())
    for at, arrival in enumerate(arrivals):
        early_s = at * 0.02 - (arrival - arrivals[0])
        assert early_s <= 0.225, f"frame {at} came {early_s * 1000:.0f} ms early"


async def test_the_lead_can_be_set_for_one_connection() -> None:
    async def scene(client: AudioConnectorConnection) -> None:
        client.set_buffer_timing(active_seconds=5)
        client.set_buffer_timing(None)
        await client.send_audio_buffer(sawtooth(16000 * 4), pad_last_frame=True)

    async with acting(scene) as (caller, _):
        begun = asyncio.get_running_loop().time()
        await next_audio(caller, 200)
        assert asyncio.get_running_loop().time() - begun < 3, "4 s of audio"


# How far it is.


async def test_the_played_position_never_goes_back() -> None:
    seen: list[float] = []

    async def scene(client: AudioConnectorConnection) -> Any:
        async with client.speech() as speech:
            await speech.write(sawtooth(320 * 25))
            while not seen or seen[-1] < 300:
                seen.append(speech.played_ms)
                await asyncio.sleep(0.001)
            in_flight_ms, queued_ms = client.playback.in_flight_ms, speech.queued_ms
        return await speech.finished(), speech.played_ms, in_flight_ms, queued_ms

    async with acting(scene) as (_, outcome):
        how, played_ms, in_flight_ms, queued_ms = await asyncio.wait_for(outcome, DEADLINE_S)
    assert how == Played(500.0)
    assert played_ms == 500.0
    assert seen == sorted(seen)
    assert seen[0] <= 20
    assert 100 <= in_flight_ms <= 240
    assert queued_ms == 0.0  # the lead covers the rest


# Barge-in.


@BOTH_LOOPS
async def test_flush_cuts_everything_and_says_how_much_was_heard() -> None:
    async def scene(client: AudioConnectorConnection) -> Any:
        await client.send_audio_buffer(sawtooth(16000 * 3), pad_last_frame=True)
        await until(lambda: client.playback.played_ms >= 100, "something heard")
        waiting = asyncio.ensure_future(client.wait_until_played())
        await asyncio.sleep(0)
        flushed = await client.flush_buffer()
        state = client.playback
        await client.send_audio_buffer(b"\x07\x07" * 320, pad_last_frame=True)
        return flushed, await waiting, state

    async with acting(scene) as (caller, outcome):
        messages: list[bytes | str] = []
        while messages[-1:] != [b"\x07\x07" * 320]:
            messages.append(await asyncio.wait_for(caller.recv(), DEADLINE_S))
        flushed, waited, state = await outcome
    assert isinstance(flushed, Flushed)
    assert 100 <= flushed.played_ms <= 400
    assert flushed.played_ms + flushed.discarded_ms == 3000
    assert isinstance(waited, Interrupted)
    assert (state.queued_ms, state.in_flight_ms) == (0.0, 0.0)
    frames = [message for message in messages[:-1] if isinstance(message, bytes)]
    assert b"".join(frames) == sawtooth(16000 * 3)[: 640 * len(frames)]
    assert messages[len(frames) : -1] == CLEARS  # behind all that was sent, ahead of what follows
    assert len(frames) * 20 <= flushed.played_ms + 260


async def test_flush_on_the_way_in_and_with_other_commands() -> None:
    async def scene(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(16000 * 3))
        await client.send_audio_buffer(b"\x07\x07" * 320, pad_last_frame=True, flush_buffer=True)

    playback = Playback(clear_commands=('{"event":"clearAudio"}',), prime_ms=1000)
    async with acting(scene, playback=playback) as (caller, _):
        assert await next_text(caller) == '{"event":"clearAudio"}'
        assert await next_audio(caller, 1) == [b"\x07\x07" * 320]


async def test_flush_of_nothing() -> None:
    async def scene(client: AudioConnectorConnection) -> Flushed:
        return await client.flush_buffer()

    async with acting(scene) as (caller, outcome):
        assert [await next_text(caller), await next_text(caller)] == CLEARS
        assert await outcome == Flushed(0.0, 0.0)


@BOTH_LOOPS
async def test_a_flush_ends_the_speech_and_spares_the_next_one() -> None:
    order: list[str] = []

    async def scene(client: AudioConnectorConnection) -> Any:
        old = client.speech()

        async def talk() -> None:
            async with old:
                for _ in range(1000):
                    await old.write(sawtooth(1600))
                    await asyncio.sleep(0.005)
            order.append("the loop has stopped by itself")

        talking = asyncio.ensure_future(talk())
        await until(lambda: old.played_ms >= 60, "something heard")
        flushed = await client.flush_buffer()
        assert old.is_interrupted
        async with client.speech() as new:
            await new.write(b"\x09\x09" * 320)
            with pytest.raises(ac.SpeechInterrupted) as caught:
                await old.write(sawtooth(1600))
            await new.write(b"\x09\x09" * 320)
        await talking
        return flushed, await old.finished(), await new.finished(), caught.value

    async with acting(scene) as (caller, outcome):
        assert [await next_text(caller), await next_text(caller)] == CLEARS
        assert await all_audio(caller, 1280) == b"\x09\x09" * 640
        flushed, old, new, late = await asyncio.wait_for(outcome, DEADLINE_S)
    assert isinstance(old, Interrupted)
    assert (old.played_ms, old.discarded_ms) == (flushed.played_ms, flushed.discarded_ms)
    assert old.played_ms >= 60
    assert new == Played(40.0)
    assert late.played_ms == old.played_ms
    assert order == ["the loop has stopped by itself"]


async def test_the_end_of_the_connection_interrupts_the_speech() -> None:
    async def scene(client: AudioConnectorConnection) -> Any:
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with client.speech() as speech:
            waiting = asyncio.ensure_future(client.wait_until_played())
            while True:
                await speech.write(sawtooth(320))
                await asyncio.sleep(0.02)
        return await speech.finished(), speech.is_interrupted, await waiting, await client.wait_until_played()

    async with acting(scene) as (caller, outcome):
        await next_audio(caller, 5)
        await caller.close()
        finished, is_interrupted, waited, asked_late = await asyncio.wait_for(outcome, DEADLINE_S)
    assert isinstance(finished, Interrupted)
    assert is_interrupted
    assert isinstance(waited, Played | Interrupted)
    assert asked_late == Interrupted(0.0, 0.0)


async def test_a_speech_that_fails_plays_what_was_said() -> None:
    async def scene(client: AudioConnectorConnection) -> Any:
        speech = client.speech()
        with suppress(LookupError):
            async with speech:
                await speech.write(sawtooth(320) + b"\x01")
                raise LookupError
        return await speech.finished()

    async with acting(scene) as (caller, outcome):
        assert await next_audio(caller, 1) == [sawtooth(320)]
        assert await outcome == Played(20.0)


async def test_a_speech_is_begun_once_and_written_inside() -> None:
    async def scene(client: AudioConnectorConnection) -> list[str]:
        speech = client.speech()
        said: list[str] = []
        for misuse in (lambda: speech.write(b""), speech.finished, speech.__aenter__, speech.__aenter__):
            try:
                await misuse()
            except ac.UsageError as error:
                said.append(str(error))
        await speech.__aexit__(None, None, None)
        try:
            await speech.write(b"")
        except ac.UsageError as error:
            said.append(str(error))
        return said

    async with acting(scene) as (_, outcome):
        assert await outcome == [
            "begin the speech with: async with client.speech() as ...",
            "begin the speech with: async with client.speech() as ...",
            "a speech can be begun once; ask for another one with client.speech()",
            "this speech is over, its async with block was left; say more with another client.speech()",
        ]


async def test_utterances_play_in_their_order() -> None:
    """Plain sends before, between and after speeches, one of which is still open."""

    async def scene(client: AudioConnectorConnection) -> Any:
        await client.send_audio_buffer(b"\x01\x01" * 10)
        async with client.speech() as first:
            async with client.speech() as second:
                await second.write(b"\x03\x03" * 320)
            await client.send_audio_buffer(b"\x04\x04" * 320)
            await first.write(b"\x02\x02" * 320)
        return await first.finished(), await second.finished()

    async with acting(scene) as (caller, outcome):
        heard = await next_audio(caller, 4)
        assert heard == [
            (b"\x01\x01" * 10).ljust(640, b"\0"),
            b"\x02\x02" * 320,
            b"\x03\x03" * 320,
            b"\x04\x04" * 320,
        ]
        assert await outcome == (Played(20.0), Played(20.0))


# Files.


@BOTH_LOOPS
@pytest.mark.parametrize("channels", [1, 2])
async def test_play_a_file(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "welcome.wav"
    samples = np.frombuffer(sawtooth(4800), "<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.repeat(samples, channels).tobytes())

    async def scene(client: AudioConnectorConnection) -> Any:
        speech = await client.play(path)
        return await speech.finished()

    async with acting(scene, playback=Playback(lead_ms=60_000)) as (caller, outcome):
        assert await all_audio(caller, 9600) == sawtooth(4800)
        assert await asyncio.wait_for(outcome, DEADLINE_S) == Played(300.0)
