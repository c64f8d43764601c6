# SPDX-License-Identifier: Apache-2.0
"""A parrot: it listens until somebody has finished a sentence, and says it back; spoken over, it falls silent.

A whole voice bot in its smallest form: hear, find the end of speech, answer, be interrupted. Put speech recognition
and a language model where the sentence is complete, and text-to-speech where it is said back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from audio_connector import AudioConnectorConnection
from audio_connector.audio.format import FRAME_MS

HANGOVER_MS = 600
"""Silence that ends a sentence: longer than the pauses between words, short enough to feel prompt."""

MARGIN_MS = 160
"""Audio kept before and behind what is loud: the first and last consonants of a sentence are often quiet."""

ONSET_MS = 60
"""Loud audio in a row that counts as a voice; a click is shorter."""

BARGE_IN_MS = 120
"""A voice for so long silences the parrot: longer than a cough, shorter than a word."""


class EndOfSpeech:
    """Finds sentences by their energy.

    A frame is loud when it is well above the quietest audio of late. That floor falls at once and rises
    slowly, so the detector adapts to the noise of a room, and a voice does not become the floor itself.
    """

    LEAST_LEVEL = 150.0
    """Root mean square, of 32,768, below which nothing is a voice: about -47 dB of full scale."""

    ABOVE_FLOOR = 3.0
    """How many times louder than the floor a voice is: 9.5 dB."""

    RISE = 1.01
    """How fast the floor rises, per frame: 1.6 times in a second, in which a voice pauses more than once."""

    def __init__(self) -> None:
        self._floor = self.LEAST_LEVEL / self.ABOVE_FLOOR
        self._frames: list[bytes] = []
        self._loud = 0
        self._quiet = 0
        self._spoken = 0  # frames since the voice began; 0 while nobody speaks

    @property
    def has_interrupted(self) -> bool:
        """Whether somebody speaks, and has done so for `BARGE_IN_MS`: time to fall silent."""
        return self._spoken * FRAME_MS >= BARGE_IN_MS

    def push(self, frame: bytes) -> bytes | None:
        """Take one 20 ms frame; return a sentence when it has just ended."""
        level = float(np.sqrt(np.mean(np.square(np.frombuffer(frame, "<i2").astype(np.float32)))))
        if level > 0:  # digital silence says nothing about the room
            self._floor = min(level, self._floor * self.RISE)
        is_loud = level > max(self.LEAST_LEVEL, self._floor * self.ABOVE_FLOOR)
        self._frames.append(frame)
        self._loud = self._loud + 1 if is_loud else 0
        self._quiet = 0 if is_loud else self._quiet + 1
        if self._spoken:
            self._spoken += 1
            return self.finish() if self._quiet * FRAME_MS >= HANGOVER_MS else None
        if self._loud * FRAME_MS >= ONSET_MS:
            self._spoken = self._loud
        else:
            del self._frames[: -(MARGIN_MS + ONSET_MS) // FRAME_MS]
        return None

    def finish(self) -> bytes | None:
        """Return the sentence so far, without the silence behind it; None where nobody speaks."""
        keep = len(self._frames) - max(0, self._quiet - MARGIN_MS // FRAME_MS)
        sentence = b"".join(self._frames[:keep]) if self._spoken else None
        self._frames.clear()
        self._loud = self._quiet = self._spoken = 0
        return sentence


async def with_gaps(frames: AsyncIterator[bytes], gap_s: float) -> AsyncIterator[bytes | None]:
    """Yield the frames, and None when none came for a while: in silence the router may send nothing."""
    frame: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            frame = frame or asyncio.ensure_future(anext(frames, None))
            done, _ = await asyncio.wait({frame}, timeout=gap_s)
            if not done:
                yield None
                continue
            heard = frame.result()
            if heard is None:  # the end of the connection
                return
            frame = None
            yield heard
    finally:
        if frame is not None:
            frame.cancel()


async def parrot(
    client: AudioConnectorConnection, on_sentence: Callable[[bytes], None] = lambda sentence: None
) -> None:
    """Say every sentence back; returns when the connection ends.

    It listens while it speaks, and stops in the middle of a word when it is spoken over.

    Args:
        client: The connection.
        on_sentence: Called with each sentence before it is said.
    """
    ear = EndOfSpeech()
    async for frame in with_gaps(client.audio(), HANGOVER_MS / 1000):
        sentence = ear.push(frame) if frame is not None else ear.finish()
        if ear.has_interrupted and (client.playback.queued_ms or client.playback.in_flight_ms):
            await client.flush_buffer()
        if sentence is not None:
            on_sentence(sentence)
            async with client.speech() as speech:
                await speech.write(sentence)
