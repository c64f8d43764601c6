# SPDX-License-Identifier: Apache-2.0
"""The audio of a session, all streams in one file, whose time is that of the transcript."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final

from audio_connector import AudioConnectorConnection, Recorder, SessionAudio, SessionReader
from audio_connector.audio.wav import WavWriter

RATE_HZ: Final = 16_000
FRAME_S: Final = 0.02
FRAME_BYTES: Final = 640
BATCH_BYTES: Final = 50 * FRAME_BYTES
"""A second: the disk is asked that often."""


async def recorded(mixed: SessionReader[SessionAudio], path: Path, is_over: asyncio.Event) -> None:
    """Record a session from now on, until it is over.

    Args:
        mixed: ``session.audio(mixed=True)``.
        path: The file.
        is_over: Set when it is; the reader ends by itself.

    Raises:
        AudioFileError: The file cannot be written, or is full.
        OSError: The disk refused.
    """
    del is_over
    waiting, written_s = bytearray(), 0.0
    async with aclosing(mixed):
        writer = await asyncio.to_thread(WavWriter, path, RATE_HZ)
        try:
            async for said in mixed:
                # What was dropped, or was before the first.
                missing = round((said.start_s - written_s) / FRAME_S)
                waiting += bytes(max(0, missing) * FRAME_BYTES) + said.audio
                written_s = said.start_s + FRAME_S
                if len(waiting) >= BATCH_BYTES:
                    batch, waiting = bytes(waiting), bytearray()
                    await asyncio.to_thread(writer.write, batch)
            await asyncio.to_thread(writer.write, bytes(waiting))
        finally:
            await asyncio.to_thread(writer.close)


async def recorded_alone(client: AudioConnectorConnection, path: Path, is_over: asyncio.Event) -> None:
    """Record a call that is in no session, from now on until it is over.

    Raises:
        AudioFileError: The file cannot be written.
    """
    async with Recorder(client, path, events=False) as recorder:
        await is_over.wait()
    if recorder.recorded.error is not None:
        raise recorder.recorded.error
