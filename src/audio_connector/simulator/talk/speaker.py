# SPDX-License-Identifier: Apache-2.0
"""Speaks texts before they are said, and keeps the audio, so that a second run is the same and costs nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.audio.wav import WavWriter, read_wav
from audio_connector.errors import AudioFileError, UsageError
from audio_connector.simulator.script import SayText
from audio_connector.simulator.talk.ports import Talk
from audio_connector.wire.quoting import quoted

LONGEST_S: Final = 600
"""Most that a text may take: 2,000 characters are two minutes; an engine that goes on for ever is stopped."""

KEPT: Final = 256
"""Texts kept in memory; a chat model's lines are said once."""

Spoken = tuple[bytes, int]
"""16-bit PCM, and its rate in Hz."""


class Speaker:
    """Gives the audio of texts.

    Args:
        talk: The voices, and where their audio is kept.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._spoken: dict[SayText, Spoken] = {}

    async def spoken(self, text: SayText) -> Spoken:
        """Return the audio of a text.

        Raises:
            UsageError: There are no voices, or none of that name, or it speaks without end or not at all.
            Exception: Whatever the voice raises.
        """
        found = self._spoken.pop(text, None) or await self._spoken_anew(text)
        self._spoken[text] = found  # the last used are at the end
        while len(self._spoken) > KEPT:
            del self._spoken[next(iter(self._spoken))]
        return found

    async def _spoken_anew(self, text: SayText) -> Spoken:
        if self._talk.voices is None:
            raise UsageError(
                f"{quoted(text.text)} is to be spoken, and there is no voice; expected a router with "
                "Talk(voices=...), or the path of a WAV file instead of a text"
            )
        name, voice = await self._talk.voices.named(text.voice)
        path = None if self._talk.cache is None else self._talk.cache / _file_name(name, text)
        if path is not None:
            with suppress(AudioFileError):  # not there yet, or half of one after a crash
                return await asyncio.to_thread(read_wav, path)
        parts, size_bytes, rate_hz = [], 0, voice.sample_rate
        async with aclosing(voice.say(text.text, language=text.language)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                parts.append(piece)
                size_bytes += len(piece)
                if size_bytes > LONGEST_S * rate_hz * SAMPLE_BYTES:
                    raise UsageError(
                        f"the voice {name} speaks for more than {LONGEST_S} s on {quoted(text.text)}"
                    )
        pcm = b"".join(parts)
        if not pcm.strip(b"\0"):
            raise UsageError(
                f"the voice {name} gave no sound for {quoted(text.text)}; try another one or other words"
            )
        if path is not None:
            with suppress(OSError):  # a full disk, or a folder that cannot be written: it is only a cache
                await asyncio.to_thread(_keep, path, pcm, rate_hz)
        return pcm, rate_hz


def _file_name(name: str, text: SayText) -> str:
    key = json.dumps([name, text.language, text.text])
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"


def _keep(path: Path, pcm: bytes, rate_hz: int) -> None:
    """Write the file at once or not at all: another run may read it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        with WavWriter(temporary, rate_hz) as file:
            file.write(pcm)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
