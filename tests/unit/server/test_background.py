# SPDX-License-Identifier: Apache-2.0
"""A file under all that is said, as an application plays it."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest
from support.audio import numbers_of
from support.conversation import Conversation

from audio_connector.errors import AudioFileError, ConnectionClosed, UsageError
from audio_connector.playback.speech import Played
from audio_connector.server import background as module
from audio_connector.server.lane import PIECE_BYTES
from audio_connector.testing.virtual_time import in_virtual_time, rest

LEVEL = 10_000


def write_wav(path: Path, pcm: bytes, rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three seconds that are as loud everywhere."""
    path = tmp_path / "music.wav"
    write_wav(path, np.full(3 * 16_000, LEVEL, "<i2").tobytes(), 16_000)
    return path


@in_virtual_time
async def test_it_is_looped_under_what_is_said_and_nobody_waits_for_it(music: Path) -> None:
    async with Conversation() as call:
        background = await call.client.background(music, volume=0.4, duck=0.5)
        await asyncio.sleep(10.0)
        assert numbers_of(call.router.frames[30:]) == [4000] * (len(call.router.frames) - 30)
        assert isinstance(await call.client.wait_until_played(), Played)
        async with call.client.speech() as speech:
            await speech.write(bytes(640 * 100))
        assert await speech.finished() == Played(2000.0)
        state, counts = call.client.playback, call.client.statistics()
        assert (state.played_ms, state.queued_ms, state.in_flight_ms, state.underruns) == (
            2000.0,
            0.0,
            0.0,
            0,
        )
        assert counts.audio_messages_sent == pytest.approx(len(call.router.frames), abs=1)
        assert numbers_of(call.router.frames)[-40] == 2000
        assert call.router.report().underruns == 0

        background.volume = 0.1
        background.duck = 1.0
        await asyncio.sleep(1.0)
        assert (background.volume, background.duck) == (0.1, 1.0)
        assert numbers_of(call.router.frames)[-1] == 1000
        await background.stop(fade_ms=100)
        await rest()
        before = len(call.router.frames)
        await asyncio.sleep(1.0)
        assert len(call.router.frames) == before
        await background.stop()


@in_virtual_time
async def test_a_close_after_playback_does_not_wait_for_it(music: Path) -> None:
    async with Conversation() as call:
        background = await call.client.background(music)
        async with call.client.speech() as speech:
            await speech.write(bytes(6400))
        began = call.now_s
        await call.client.close(timeout=60.0)
        assert call.now_s - began < 1.0
        await background.stop()
        background.volume = 0.3
        with pytest.raises(ConnectionClosed):
            await call.client.background(music)


@pytest.mark.parametrize("rate_hz", [8000, 24_000])
@in_virtual_time
async def test_it_waits_for_the_rate_and_has_it(music: Path, rate_hz: int) -> None:
    async with Conversation(rate_hz=None) as call:
        starting = asyncio.ensure_future(call.client.background(music, volume=1.0))
        await asyncio.sleep(0.3)
        assert not starting.done()
        await call.router_sends(bytes(rate_hz // 25))
        await starting
        await asyncio.sleep(2.0)
        assert {len(frame) for frame in call.router.frames} == {rate_hz // 25}
        assert numbers_of(call.router.frames)[-1] == pytest.approx(LEVEL, abs=2)


@in_virtual_time
async def test_one_that_waits_for_the_rate_hears_of_the_end(music: Path) -> None:
    async with Conversation(rate_hz=None) as call:
        starting = asyncio.ensure_future(call.client.background(music))
        await rest()
        call.client.disconnect()
        with pytest.raises(ConnectionClosed):
            await starting


@in_virtual_time
async def test_another_one_takes_its_place_and_one_that_is_cancelled_leaves_nothing(
    music: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    write_wav(other, np.full(10 * 16_000, 2000, "<i2").tobytes(), 16_000)
    async with Conversation() as call:
        first = await call.client.background(music, volume=1.0)
        await asyncio.sleep(1.0)
        starting = asyncio.ensure_future(call.client.background(other, volume=1.0))
        beside = call.link.call._queue.beside
        for _ in range(10_000):
            await asyncio.sleep(0)
            if beside._coming is not None:
                break
        assert beside._coming is not None
        starting.cancel()
        await asyncio.sleep(0.5)
        assert beside._coming is None
        assert numbers_of(call.router.frames)[-1] == LEVEL
        second = await call.client.background(other, volume=1.0)
        await asyncio.sleep(1.0)
        assert numbers_of(call.router.frames)[-1] == 2000
        await first.stop(fade_ms=0)
        await asyncio.sleep(1.0)
        assert numbers_of(call.router.frames)[-1] == 2000, "it is not there any more"
        await second.stop(fade_ms=0)


@in_virtual_time
async def test_what_is_no_background_is_refused(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Conversation() as call:
        for name, value in (("volume", 1.1), ("volume", -0.1), ("duck", True), ("duck", "loud")):
            with pytest.raises(UsageError, match=name):
                await call.client.background(music, **{name: value})  # type: ignore[arg-type]
        with pytest.raises(AudioFileError, match=r"nothing\.wav"):
            await call.client.background(tmp_path / "nothing.wav")
        for play in (call.client.background, call.client.play):
            with pytest.raises(AudioFileError, match="got bytes as an audio file; expected the path"):
                await play(bytes(640))  # type: ignore[arg-type]
        monkeypatch.setattr(module, "MAX_LOOP_S", 2)
        module._convert.cache_clear()
        with pytest.raises(UsageError, match="longer than 2 s"):
            await call.client.background(music)
        monkeypatch.undo()
        background = await call.client.background(music)
        with pytest.raises(UsageError, match="fade_ms"):
            await background.stop(fade_ms=-1)
        with pytest.raises(UsageError, match="volume"):
            background.volume = 2.0
        assert background.volume == 0.2
        await background.stop(fade_ms=0)


def test_a_file_is_read_once_until_it_changes(music: Path) -> None:
    first = module._read(music, 16_000)
    assert module._read(music, 16_000) is first
    assert {len(piece) for piece in first[:-1]} == {PIECE_BYTES}
    assert len(b"".join(first)) == 96_000
    assert len(b"".join(module._read(music, 8000))) == 48_000
    write_wav(music, bytes(3200), 16_000)
    assert module._read(music, 16_000) == (bytes(3200),)
