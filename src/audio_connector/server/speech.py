# SPDX-License-Identifier: Apache-2.0
"""The application's handle of one utterance."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from audio_connector.audio.pcm import AudioInput
from audio_connector.errors import SpeechInterrupted, UsageError
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server import mail
from audio_connector.server.line import Line
from audio_connector.server.writer import Outlet, Writer


class Speech:
    """One utterance, written piece by piece. Made by `AudioConnectorConnection.speech`.

    Leaving the ``async with`` block ends the utterance; its audio plays on. A flush, or the end of the
    connection, interrupts it: `write` then raises `SpeechInterrupted`, which the block swallows, so that the
    loop that feeds it simply stops.
    """

    def __init__(self, writer: Writer, line: Line) -> None:
        self._writer = writer
        self._line = line
        self._outlet = Outlet(line.published.format)
        self._progress = mail.SpeechProgress()
        self._reply: mail.Reply[Any] = mail.Reply()
        self._is_begun = False
        self._is_ended = False
        self._best_ms = 0.0

    async def __aenter__(self) -> Speech:
        if self._is_begun:
            raise UsageError("a speech can be begun once; ask for another one with client.speech()")
        await self._writer.begin_speech(self._outlet, self._progress, self._reply)
        self._is_begun = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        if isinstance(error, SpeechInterrupted) and self.is_interrupted:
            return True
        if error is None:
            self._end()
        elif not self._is_ended:
            # What was said so far is played; what is missing will not come.
            self._outlet.ingest.reset()
            self._end()
        return False

    async def write(self, audio: AudioInput, *, sample_rate: int | None = None) -> None:
        """Say more.

        Args:
            audio: Bytes, bytearray, memoryview or a numpy array, as `AudioConnectorConnection.send_audio_buffer`
                takes; any length.
            sample_rate: Its rate in Hz, where it differs from the connection's.

        Raises:
            SpeechInterrupted: The utterance was flushed, or the connection ended.
            AudioDataError: The audio is not what is taken; nothing of it was said.
            UsageError: The utterance was ended before, or not begun with ``async with``.
        """
        if not self._is_begun or self._is_ended:
            raise UsageError(
                "this speech is over"
                if self._is_begun
                else "begin the speech with: async with client.speech() as ..."
            )
        if self.is_interrupted:
            raise self._interruption()
        await self._writer.write(self._outlet, audio, sample_rate)
        if self.is_interrupted:
            raise self._interruption()

    async def finished(self) -> Played | Interrupted:
        """Wait until the utterance was heard to its end, or was cut; also when the connection ends."""
        if not self._is_begun:
            raise UsageError("begin the speech with: async with client.speech() as ...")
        outcome: Played | Interrupted = await asyncio.wrap_future(mail.follow(self._reply))
        return outcome

    @property
    def played_ms(self) -> float:
        """Milliseconds of it that were heard, by the router's clock; never goes back."""
        outcome = self._outcome()
        if outcome is not None:
            return outcome.played_ms
        now = self._line.published.clock()
        self._best_ms = max(self._best_ms, self._progress.progress.played_ms(now))
        return self._best_ms

    @property
    def queued_ms(self) -> float:
        """Milliseconds of it that wait to be sent."""
        return 0.0 if self._outcome() is not None else self._progress.progress.queued_ms

    @property
    def is_interrupted(self) -> bool:
        """True from the flush, or the end of the connection, on that cut it."""
        if self._writer.is_flushed(self._outlet.utterance_id):
            outcome = self._outcome()
            return not isinstance(outcome, Played)
        return isinstance(self._outcome(), Interrupted)

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._writer.end_speech(self._outlet)

    def _outcome(self) -> Played | Interrupted | None:
        return self._reply.result() if self._reply.done() and not self._reply.cancelled() else None

    def _interruption(self) -> SpeechInterrupted:
        outcome = self._outcome()
        discarded_ms = outcome.discarded_ms if isinstance(outcome, Interrupted) else 0.0
        return SpeechInterrupted(
            f"the speech was interrupted after {self.played_ms:.0f} ms; start a new one to go on talking",
            played_ms=self.played_ms,
            discarded_ms=discarded_ms,
        )
