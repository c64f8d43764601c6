# SPDX-License-Identifier: Apache-2.0
"""Greets each caller, falls silent when the caller speaks, and answers when the caller has finished.

A cough only holds it: it goes on where it was.

Without ``--greeting FILE`` it hums a melody in place of a voice: ``synthesize`` stands for a streaming
text-to-speech service, which also returns chunks of any size, faster than real time, at a rate of its own.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_connector import AudioConnectorConnection, run
from audio_connector.turns import Decision, Interrupter, SpeechEnded, listen

VOICE_RATE_HZ = 24000
GREETING_HZ = (440.0, 554.4, 659.3, 880.0, 659.3, 554.4)
ANSWER_HZ = (659.3, 440.0)


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
class Greeter:
    """What each connection is served with."""

    greeting: Path | None = None

    async def greet(self, client: AudioConnectorConnection, interrupter: Interrupter) -> None:
        """Play the file, or say the greeting."""
        if self.greeting is None:
            await self.say(client, interrupter, GREETING_HZ)
        else:
            interrupter.watch(await client.play(self.greeting))

    async def say(
        self, client: AudioConnectorConnection, interrupter: Interrupter, notes_hz: tuple[float, ...]
    ) -> None:
        """One utterance; a barge-in ends its block early, and the outcome tells how much was heard."""
        async with client.speech() as speech:
            interrupter.watch(speech)
            async for chunk in synthesize(notes_hz):
                await speech.write(chunk, sample_rate=VOICE_RATE_HZ)
        print(f"{client.id}: {await speech.finished()}", flush=True)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Listen for the whole call, and speak in a task beside it."""
        interrupter = Interrupter(client)
        voice = asyncio.create_task(self.greet(client, interrupter))
        try:
            async for event in listen(client):
                if await interrupter.take(event) is Decision.INTERRUPT:
                    print(f"{client.id}: barge-in, {interrupter.flushed}", flush=True)
                elif isinstance(event, SpeechEnded) and not interrupter.is_speaking:
                    await voice
                    voice = asyncio.create_task(self.say(client, interrupter, ANSWER_HZ))
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
