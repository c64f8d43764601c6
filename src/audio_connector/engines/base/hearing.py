# SPDX-License-Identifier: Apache-2.0
"""`Hearing` for an engine that takes whole utterances only: what was said so far is decoded again as it grows.

Rules:

1. Partials are made only where somebody iterates over them.
2. Between two of them comes at least a second of new audio, and there is never a second one at work: a decode of
   Whisper takes half a second however short the audio is.
3. `RepeatedHearing.finish` gives up a partial that is at work, and decodes all of the audio once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.ports import Transcript
from audio_connector.errors import AudioDataError

EVERY_S: Final = 1.0
FIRST_S: Final = 0.6
"""A first partial comes earlier: less than this is a word or none."""
LONGEST_S: Final = 600.0
"""Of one utterance; bounds its memory, to 19 MB at 16 kHz."""

Decode = Callable[[bytes, bool], Coroutine[Any, Any, Transcript]]
"""Takes the audio so far, and whether it is all of it."""


class RepeatedHearing:
    """One utterance; used in one event loop.

    Args:
        decode: Decodes the audio so far.
        sample_rate: Hz of what is written.
        every_s: Seconds of new audio between two partials.
    """

    def __init__(self, decode: Decode, *, sample_rate: int, every_s: float = EVERY_S) -> None:
        self._decode = decode
        self._bytes_per_s = check_rate_hz(sample_rate) * SAMPLE_BYTES
        self._every_s = every_s
        self._audio = bytearray()
        self._is_over = False
        self._grown = asyncio.Event()
        self._partial: asyncio.Task[Transcript] | None = None

    async def write(self, audio: bytes) -> None:
        """Take more of the utterance: whole 16-bit samples.

        Raises:
            AudioDataError: An odd number of bytes; nothing of it was taken.
            EngineError: The utterance is over, or longer than ten minutes.
        """
        if len(audio) % SAMPLE_BYTES:
            raise AudioDataError(
                f"got {len(audio)} bytes; expected whole 16-bit samples; keep the odd byte for the next piece"
            )
        if self._is_over:
            raise EngineError("got audio of an utterance that is over; begin another one with hear()")
        if len(self._audio) + len(audio) > LONGEST_S * self._bytes_per_s:
            raise EngineError(
                f"got more than {LONGEST_S:g} s of one utterance; end it at a pause, see audio_connector.turns"
            )
        self._audio += audio
        self._grown.set()

    async def partials(self) -> AsyncIterator[Transcript]:
        """Iterate over what was understood so far, where it changed, until the utterance is over.

        Raises:
            EngineError: The engine failed.
        """
        decoded_bytes, text = 0, ""
        while await self._has_grown_by(self._every_s if decoded_bytes else FIRST_S, decoded_bytes):
            decoded_bytes = len(self._audio)
            self._partial = asyncio.ensure_future(self._decode(bytes(self._audio), False))
            partial = self._partial
            try:
                await asyncio.wait({partial})
            finally:
                partial.cancel()
            if self._is_over:
                return
            transcript = partial.result()
            if transcript.text and transcript.text != text:
                text = transcript.text
                yield transcript

    async def finish(self) -> Transcript:
        """Decode all of it.

        Raises:
            EngineError: The engine failed, or the utterance was over already.
        """
        if self._is_over:
            raise EngineError(
                "finish() was called of an utterance that is over; begin another one with hear()"
            )
        self._end()
        return await self._decode(bytes(self._audio), True)

    async def __aenter__(self) -> RepeatedHearing:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up what is at work."""
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._grown.set()
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    async def _has_grown_by(self, wanted_s: float, decoded_bytes: int) -> bool:
        while not self._is_over and len(self._audio) - decoded_bytes < wanted_s * self._bytes_per_s:
            self._grown.clear()
            await self._grown.wait()
        return not self._is_over
