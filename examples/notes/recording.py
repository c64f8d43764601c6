# SPDX-License-Identifier: Apache-2.0
"""The audio of a session, all streams in one file, whose time is that of the transcript."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

from audio_connector import AudioConnectorConnection, Recorder, SessionAudio, SessionReader
from audio_connector.audio.wav import WavWriter

RATE_HZ: Final = 16_000
FRAME_S: Final = 0.02
FRAME_BYTES: Final = 640
BATCH_BYTES: Final = 50 * FRAME_BYTES
"""A second: the disk is asked that often."""


@asynccontextmanager
async def recorded(mixed: SessionReader[SessionAudio], path: Path) -> AsyncIterator[None]:
    """Record a session from now on; leaving the block waits for the end of the session.

    Args:
        mixed: ``session.audio(mixed=True)``.
        path: The file.

    Raises:
        AudioFileError: The file cannot be written, or is full.
        OSError: The disk refused.
    """
    writing = asyncio.create_task(_write(mixed, path))
    try:
        yield
        await writing
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


@asynccontextmanager
async def recorded_alone(client: AudioConnectorConnection, path: Path) -> AsyncIterator[None]:
    """Record a call that is in no session.

    Raises:
        AudioFileError: The file cannot be written.
    """
    async with Recorder(client, path, events=False) as recorder:
        yield
    if recorder.recorded.error is not None:
        raise recorder.recorded.error


async def _write(mixed: SessionReader[SessionAudio], path: Path) -> None:
    waiting, written_s = bytearray(), 0.0
    async with aclosing(mixed):
        writer = await asyncio.to_thread(WavWriter, path, RATE_HZ)
        try:
            async for said in mixed:
                missing = round(
                    (said.start_s - written_s) / FRAME_S
                )  # what was dropped, or was before the first
                waiting += bytes(max(0, missing) * FRAME_BYTES) + said.audio
                written_s = said.start_s + FRAME_S
                if len(waiting) >= BATCH_BYTES:
                    batch, waiting = bytes(waiting), bytearray()
                    await asyncio.to_thread(writer.write, batch)
            await asyncio.to_thread(writer.write, bytes(waiting))
        finally:
            await asyncio.to_thread(writer.close)
