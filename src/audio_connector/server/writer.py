# SPDX-License-Identifier: Apache-2.0
"""Audio of the application on its way to the I/O side: ingested, in order, and not more than there is room for.

Whoever writes, from whatever thread: what is ingested and posted stays in one order, under one lock, which is
not held while anything waits. Uncontended it costs 50 ns a frame.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.pcm import AudioInput
from audio_connector.errors import AudioDataError
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.server import mail
from audio_connector.server.line import Line

SLICE_BYTES = 64_000
"""What is posted at once: 2 s at 16 kHz, so that an hour in one call neither fills the queue nor holds up the
I/O thread (64 kB are cut into frames in 10 us)."""


class Outlet:
    """Where one utterance is written."""

    __slots__ = ("ingest", "is_written", "rate_hz", "utterance_id")

    def __init__(self, rate_hz: int, utterance_id: int = -1) -> None:
        self.set_rate(rate_hz)
        self.utterance_id = utterance_id
        self.is_written = False

    def set_rate(self, rate_hz: int) -> None:
        """Convert what is written from now on to another rate; what is held back is forgotten."""
        self.rate_hz = rate_hz
        self.ingest = PcmIngest(rate_hz)


class Writer:
    """Writes one connection's utterances: the implicit one of plain writes, and speeches.

    Args:
        line: The way to the I/O side.
        max_buffer_s: Writes wait while more than this is queued.
    """

    def __init__(self, line: Line, *, max_buffer_s: float) -> None:
        self._line = line
        self._published = line.published
        self._max_buffer_s = max_buffer_s
        self._max_bytes = int(max_buffer_s * line.published.format.bytes_per_second)
        self._lock = threading.Lock()
        self._last_utterance_id = 0
        self._flushed_up_to = -1
        self._raw = Outlet(line.published.format.rate_hz, 0)
        self._posted_bytes = 0
        self._turn: mail.Reply[Any] | None = None

    # The implicit utterance.

    def write_now(self, audio: AudioInput, sample_rate: int | None, is_end: bool) -> bool:
        """The path of every outgoing frame: take audio that fits into one message.

        Returns:
            False where it does not fit, or there is no room, or others wait: then `write` it.
        """
        if not _is_small(audio):
            return False
        with self._lock:
            if (
                self._turn is not None
                or self._posted_bytes - self._published.progress.taken_bytes > self._max_bytes
            ):
                return False
            outlet = self._raw
            if outlet.rate_hz != self._published.format.rate_hz:
                outlet = self._fit_raw()
            if is_end:
                pcm, _ = self._ingest(outlet, audio, sample_rate, is_end=True)
                self._post_write(outlet, pcm, is_end=True)
                self._new_raw()
                return True
            pcm = outlet.ingest.write(audio, sample_rate=sample_rate)
            self._post_write(outlet, pcm, has_tail=outlet.ingest.held)
        return True

    async def write(
        self, outlet: Outlet | None, audio: AudioInput, sample_rate: int | None, *, is_end: bool = False
    ) -> None:
        """Take audio of any size, in turn, and wait for room.

        Args:
            outlet: Where; None for the implicit utterance.
            audio: As `AudioConnectorConnection.send_audio_buffer`.
            sample_rate: Likewise.
            is_end: The utterance ends with it.

        Raises:
            ConnectionClosed: The connection ended while this waited; never for a speech, which is interrupted.
        """
        turn = await self._take_turn()
        try:
            await self._wait_for_room()
            if outlet is None:
                self._line.check_open("play audio")
            with self._lock:
                target = self._fit_raw() if outlet is None else outlet
                pcm, has_tail = self._ingest(target, audio, sample_rate, is_end=is_end)
                if is_end and outlet is None:
                    self._new_raw()
            for at in range(0, max(1, len(pcm)), SLICE_BYTES):
                if at:
                    await self._wait_for_room()
                if outlet is None and self._published.closed is not None:
                    self._line.refuse("play the rest of the audio")
                is_last = at + SLICE_BYTES >= len(pcm)
                with self._lock:
                    if self.is_flushed(target.utterance_id):
                        return  # the rest of what was cut
                    part = pcm[at : at + SLICE_BYTES]
                    self._post_write(target, part, is_end=is_end and is_last, has_tail=has_tail and is_last)
        finally:
            with self._lock:
                self._turn = None
            turn.set_result(None)

    def hand_over_tail(self, utterance_id: int | None = None) -> None:
        """Post what the implicit utterance holds back; half a sample of it is an error, which is reported.

        Args:
            utterance_id: Only where it still is this one; None for whichever it is.
        """
        with self._lock:
            if utterance_id in (None, self._raw.utterance_id):
                self._post_tail()

    # Speeches.

    def begin_speech(self, outlet: Outlet, progress: mail.SpeechProgress, reply: mail.Reply[Any]) -> None:
        """Begin an utterance of its own, behind what was written before; that ends the implicit one.

        Raises:
            ConnectionClosed: The connection is over.
        """
        self._line.check_open("begin a speech")
        with self._lock:
            if self._raw.is_written:
                self._post_tail()
                self._post_write(self._raw, b"", is_end=True)
            self._last_utterance_id += 1
            outlet.utterance_id = self._last_utterance_id
            outlet.set_rate(self._published.format.rate_hz)
            self._line.post(mail.BeginSpeech(self._line.link_id, outlet.utterance_id, progress, reply))
            self._new_raw()

    def end_speech(self, outlet: Outlet) -> None:
        """End a speech with what it holds back.

        Raises:
            AudioDataError: Half a sample is left; the speech was ended without it.
        """
        with self._lock:
            tail = b""
            try:
                tail = outlet.ingest.finish()
            finally:
                self._post_write(outlet, tail, is_end=True)

    # Both.

    async def flush(self) -> Flushed:
        """Cut everything.

        Raises:
            ConnectionClosed: The connection is over.
        """
        self._line.check_open("flush")
        reply: mail.Reply[Any] = mail.Reply()
        with self._lock:
            self._flushed_up_to = self._last_utterance_id
            self._new_raw()
            self._line.post(mail.Flush(self._line.link_id, self._flushed_up_to, reply))
        flushed: Flushed | None = await asyncio.wrap_future(reply)
        if flushed is None:
            self._line.refuse("flush")
        return flushed

    async def wait_until_played(self) -> Played | Interrupted:
        """Wait until all that was written has been heard, or was cut."""
        self.hand_over_tail()
        reply: mail.Reply[Any] = mail.Reply()
        self._line.post(mail.AwaitPlayed(self._line.link_id, reply))
        outcome: Played | Interrupted = await asyncio.wrap_future(reply)
        return outcome

    def is_flushed(self, utterance_id: int) -> bool:
        """Whether an utterance can take no more: it was flushed, or the connection is over."""
        return utterance_id <= self._flushed_up_to or self._published.closed is not None

    # Under the lock.

    def _ingest(
        self, outlet: Outlet, audio: AudioInput, sample_rate: int | None, *, is_end: bool
    ) -> tuple[bytes, bool]:
        ingest = outlet.ingest
        if not is_end:
            return ingest.write(audio, sample_rate=sample_rate), ingest.held
        if ingest.would_finish_odd(audio):
            raise AudioDataError(
                f"an odd number of bytes over the whole utterance ({len(audio)} in this call): 16-bit samples have "
                "two each. Nothing of this call was played; look for what cuts the audio in the middle of a sample"
            )
        pcm = ingest.write(audio, sample_rate=sample_rate)
        return pcm + ingest.finish(), False

    def _post_write(
        self, outlet: Outlet, pcm: bytes, *, is_end: bool = False, has_tail: bool = False
    ) -> None:
        self._posted_bytes += len(pcm)
        outlet.is_written = True
        self._line.post(
            mail.Write(self._line.link_id, outlet.utterance_id, pcm, outlet.rate_hz, is_end, has_tail)
        )

    def _post_tail(self) -> None:
        outlet = self._raw
        if not outlet.ingest.held:
            return
        try:
            tail = outlet.ingest.finish()
        except AudioDataError as error:
            outlet.ingest.reset()
            self._line.report(error)
            return
        self._post_write(outlet, tail)

    def _fit_raw(self) -> Outlet:
        """The implicit utterance, at the connection's present rate."""
        outlet, audio_format = self._raw, self._published.format
        if outlet.rate_hz != audio_format.rate_hz:
            self._post_tail()
            outlet.set_rate(audio_format.rate_hz)
            self._max_bytes = int(self._max_buffer_s * audio_format.bytes_per_second)
        return outlet

    def _new_raw(self) -> None:
        self._last_utterance_id += 1
        self._raw = Outlet(self._published.format.rate_hz, self._last_utterance_id)

    # Waiting.

    async def _take_turn(self) -> mail.Reply[Any]:
        """Wait for the writers that came before; they may be waiting for room."""
        while True:
            with self._lock:
                turn = self._turn
                if turn is None:
                    self._turn = mail.Reply()
                    return self._turn
            await asyncio.wait((asyncio.wrap_future(mail.follow(turn)),))

    async def _wait_for_room(self) -> None:
        while self._posted_bytes - self._published.progress.taken_bytes > self._max_bytes:
            if self._published.closed is not None:
                return
            reply: mail.Reply[Any] = mail.Reply()
            self._line.post(mail.AwaitRoom(self._line.link_id, self._posted_bytes - self._max_bytes, reply))
            await asyncio.wrap_future(reply)


def _is_small(audio: object) -> bool:
    if type(audio) is bytes:
        return len(audio) <= SLICE_BYTES
    size_bytes = getattr(audio, "nbytes", None)
    if size_bytes is None:
        size_bytes = len(audio) if isinstance(audio, bytearray) else 0
    return bool(size_bytes <= SLICE_BYTES)
