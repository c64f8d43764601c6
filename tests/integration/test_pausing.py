# SPDX-License-Identifier: Apache-2.0
"""Pauses, backgrounds and gaps over a real socket, with the I/O side in a thread and in a process."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import pytest
from support.peers import FRAME, calling
from support.serving import DEADLINE_S, Listener, sawtooth, serving, until

from audio_connector import AudioConnectorConnection, Played, UsageError


async def test_a_speech_is_paused_over_music_and_goes_on(tmp_path: Path) -> None:
    music = tmp_path / "music.wav"
    with wave.open(str(music), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(40_000))  # silence, so that what is said can be compared
    audio = sawtooth(16_000)
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_connect(client: AudioConnectorConnection) -> None:
        background = await client.background(music)
        async with client.speech() as speech:
            await speech.write(audio)
        await until(lambda: speech.played_ms >= 100, "what is said")
        heard_ms = await speech.pause()
        texts = client.statistics().text_messages_sent
        await asyncio.sleep(0.3)
        stood_still = speech.played_ms == heard_ms
        await speech.resume()
        finished = await speech.finished()
        await background.stop(fade_ms=0)
        outcome.set_result((heard_ms, texts, stood_still, finished))
        await client.send_json_packet({"event": "over"})

    async with (
        serving(on_connect, playback={"fade_ms": 0}) as handle,
        calling(handle.get_address(), rate_hz=16000) as caller,
    ):
        frames, at_clear = [], None
        while "over" not in str(message := await asyncio.wait_for(caller.recv(), DEADLINE_S)):
            if isinstance(message, bytes):
                frames.append(message)
            elif at_clear is None:
                at_clear = len(frames)
        heard_ms, texts, stood_still, finished = await outcome
        assert (texts, stood_still, finished) == (2, True, Played(1000.0))
        assert 100 <= heard_ms <= 600
        assert at_clear is not None
        spoken = [frame for frame in frames[:at_clear] if any(frame)][: int(heard_ms / 20)]
        spoken += [frame for frame in frames[at_clear:] if any(frame)]
        assert b"".join(spoken) == audio
        assert any(not any(frame) for frame in frames[at_clear : at_clear + 10]), "the music alone"


async def test_silence_takes_the_place_of_what_does_not_come() -> None:
    listener = Listener()
    async with (
        serving(listener) as handle,
        calling(handle.get_address(), rate_hz=16000) as caller,
    ):
        client = (await listener.call()).client
        stream = client.audio(gap_s=0.1)
        await caller.send(FRAME)
        got: list[bytes] = []
        while FRAME not in got or len(got) < 20:  # and before it, where it takes its time on a busy machine
            got.append(await asyncio.wait_for(anext(stream), DEADLINE_S))
        got += [await asyncio.wait_for(anext(stream), DEADLINE_S) for _ in range(5)]
        got.remove(FRAME)
        assert set(got) == {bytes(640)}
        with pytest.raises(UsageError, match="gap_s"):
            client.audio(gap_s=0.01)
