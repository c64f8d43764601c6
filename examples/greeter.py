# SPDX-License-Identifier: Apache-2.0
"""Greets each caller, stops at once when the caller speaks, and answers when the caller has finished.

Without ``--greeting FILE`` it hums a melody in place of a voice: ``synthesize`` stands for a streaming
text-to-speech service, which also returns chunks of any size, faster than real time, at a rate of its own.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio_connector import AudioConnectorConnection, run

VOICE_RATE_HZ = 24000
GREETING_HZ = (440.0, 554.4, 659.3, 880.0, 659.3, 554.4)
ANSWER_HZ = (659.3, 440.0)
QUIET_S = 0.6


async def synthesize(notes_hz: tuple[float, ...]) -> AsyncIterator[bytes]:
    """16-bit PCM of half a second per note, in chunks of no particular size."""
    seconds = np.arange(VOICE_RATE_HZ // 2) / VOICE_RATE_HZ
    fade = np.minimum(1.0, np.minimum(seconds, seconds[::-1]) / 0.02)
    for note_hz in notes_hz:
        pcm = (8000 * fade * np.sin(2 * np.pi * note_hz * seconds)).astype("<i2").tobytes()
        for start in range(0, len(pcm), 4097):
            yield pcm[start : start + 4097]
            await asyncio.sleep(0)


@dataclass
class Ear:
    """A loudness gate; a real bot asks a voice activity detector."""

    threshold: float = 500.0
    loud_frames_needed: int = 3
    quiet_frames_needed: int = round(QUIET_S / 0.02)
    speaking: bool = field(default=False, init=False)
    _run: int = field(default=0, init=False)

    def hear(self, frame: bytes) -> bool | None:
        """True when the caller starts to speak, False when the caller has finished, else None."""
        samples = np.frombuffer(frame, dtype="<i2").astype(np.float64)
        loud = bool(samples.size) and float(np.sqrt(np.mean(samples**2))) > self.threshold
        self._run = self._run + 1 if loud != self.speaking else 0
        needed = self.quiet_frames_needed if self.speaking else self.loud_frames_needed
        if self._run < needed:
            return None
        self._run = 0
        self.speaking = loud
        return loud

    def hear_nothing(self) -> bool | None:
        """No frame came for ``QUIET_S``, as a router may do in silence: False when the caller had been speaking."""
        had_spoken, self.speaking, self._run = self.speaking, False, 0
        return False if had_spoken else None


async def with_gaps(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """The frames, and None where none came for ``QUIET_S``: frames are no clock."""
    while True:
        try:
            frame = await asyncio.wait_for(anext(frames, None), QUIET_S)
        except asyncio.TimeoutError:
            yield None
            continue
        if frame is None:  # the connection is over
            return
        yield frame


@dataclass
class Greeter:
    """What each connection is served with."""

    greeting: Path | None = None

    async def greet(self, client: AudioConnectorConnection) -> None:
        """Play the file, or say the greeting."""
        if self.greeting is None:
            await self.say(client, GREETING_HZ)
        else:
            await client.play(self.greeting)

    async def say(self, client: AudioConnectorConnection, notes_hz: tuple[float, ...]) -> None:
        """One utterance; a barge-in ends its block early, and the outcome tells how much was heard."""
        async with client.speech() as speech:
            async for chunk in synthesize(notes_hz):
                await speech.write(chunk, sample_rate=VOICE_RATE_HZ)
        print(f"{client.id}: {await speech.finished()}", flush=True)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Listen for the whole call, and speak in a task beside it."""
        ear = Ear()
        voice = asyncio.create_task(self.greet(client))
        try:
            async for frame in with_gaps(client.audio()):
                turn = ear.hear_nothing() if frame is None else ear.hear(frame)
                if turn is True:
                    print(f"{client.id}: barge-in, {await client.flush_buffer()}", flush=True)
                elif turn is False:
                    await voice
                    voice = asyncio.create_task(self.say(client, ANSWER_HZ))
        finally:
            voice.cancel()
            await asyncio.gather(voice, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--greeting", type=Path, metavar="FILE", help="play this audio file as the greeting")
    arguments = parser.parse_args()
    run(Greeter(arguments.greeting).on_connect, host=arguments.host, port=arguments.port)
