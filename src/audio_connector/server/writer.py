# SPDX-License-Identifier: Apache-2.0
"""Audio of the application on its way to the I/O side: ingested, in order, and not more than there is room for.

Whoever writes, from whatever thread: what is ingested and posted stays in one order, under one lock, which is
not held while anything waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat, check_rate_hz
from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.pcm import AudioInput, to_pcm16
from audio_connector.errors import AudioDataError
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.server import mail
from audio_connector.server.line import Line

SLICE_BYTES = 64_000
"""What is posted at once: 2 s at 16 kHz, so that an hour in one call neither fills the queue nor holds up the
I/O thread."""


class Outlet:
    """Where one utterance is written."""

    __slots__ = ("format", "ingest", "is_written", "rate_hz", "utterance_id")

    def __init__(self, audio_format: AudioFormat, utterance_id: int = -1) -> None:
        self.format = audio_format
        self.rate_hz = audio_format.rate_hz
        self.ingest = PcmIngest(audio_format.rate_hz)
        self.utterance_id = utterance_id
        self.is_written = False


class Writer:
    """Writes one connection's utterances: the implicit one of plain writes, and speeches.

    Whatever may have to wait, for room or for others, takes a *turn*; turns are given in the order in which they
    were asked for, and what needs no wait is refused while somebody has one. So what was asked first is sent first.

    Args:
        line: The way to the I/O side.
        max_buffer_s: Writes wait while more than this is queued.
    """

    def __init__(self, line: Line, *, max_buffer_s: float) -> None:
        self._line = line
        self._post = line.post
        self._published = line.published
        self._max_buffer_s = max_buffer_s
        self._lock = threading.Lock()
        self._last_utterance_id = 0
        self._flushed_up_to = -1
        self._posted_bytes = 0
        self._max_bytes = int(max_buffer_s * line.published.format.bytes_per_second)
        self._raw = Outlet(line.published.format, 0)
        self._has_turn = False
        self._turns: deque[mail.Reply[None]] = deque()

    # The implicit utterance.

    def write_now(self, audio: AudioInput, sample_rate: int | None, is_end: bool) -> bool:
        """The path of every outgoing frame: take audio that fits into one message.

        Returns:
            False where it does not fit, or there is no room, or others wait: then `write` it.
        """
        if not _is_small(audio):
            return False
        published = self._published
        with self._lock:
            outlet = self._raw
            if outlet.format is not published.format:
                self._fit(outlet)
            if self._has_turn or self._posted_bytes - published.progress.taken_bytes > self._max_bytes:
                return False
            if is_end:
                pcm, _ = self._ingest(outlet, audio, sample_rate, is_end=True)
                self._post_write(outlet, pcm, is_end=True)
                self._new_raw()
                return True
            ingest = outlet.ingest
            pcm = ingest.write(audio, sample_rate=sample_rate)
            outlet.is_written = True
            self._posted_bytes += len(pcm)
            values = (self._line.link_id, outlet.utterance_id, pcm, outlet.rate_hz, False, ingest.held)
            # Once per frame: half the cost of calling Write.
            self._post(tuple.__new__(mail.Write, values))
        return True

    async def write(
        self, outlet: Outlet | None, audio: AudioInput, sample_rate: int | None, *, is_end: bool = False
    ) -> None:
        """Take audio of any size, in turn, and wait for room. What a flush overtakes meanwhile is not played.

        Args:
            outlet: Where; None for the implicit utterance.
            audio: As `AudioConnectorConnection.send_audio_buffer`.
            sample_rate: Likewise.
            is_end: The utterance ends with it.

        Raises:
            ConnectionClosed: The connection ended while this waited; never for a speech, which is interrupted.
        """
        flushed_up_to = self._flushed_up_to
        await self._take_turn()
        try:
            await self._wait_for_room()
            if outlet is None:
                self._line.check_open("play audio")
            with self._lock:
                if self._flushed_up_to != flushed_up_to:
                    return
                target = self._raw if outlet is None else outlet
                self._fit(target)
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
            self._give_turn()

    @staticmethod
    def check(audio: AudioInput, sample_rate: int | None, *, is_end: bool) -> bytes:
        """Refuse what a new utterance would refuse, before anything is done for it.

        Returns:
            The audio as bytes.
        """
        pcm = to_pcm16(audio)
        if sample_rate is not None:
            check_rate_hz(sample_rate)
        if is_end and len(pcm) % SAMPLE_BYTES:
            raise _odd(len(pcm))
        return pcm

    def hand_over_tail(self, utterance_id: int) -> None:
        """Post what the implicit utterance holds back, where it still is this one.

        While somebody has the turn there is more to come, and its tail would end up in the middle.
        """
        with self._lock:
            if self._raw.utterance_id == utterance_id and not self._has_turn:
                self._post_tail()

    # Speeches.

    async def begin_speech(
        self, outlet: Outlet, progress: mail.SpeechProgress, reply: mail.Reply[Any]
    ) -> None:
        """Begin an utterance of its own, behind what was written before; that ends the implicit one.

        Raises:
            ConnectionClosed: The connection is over.
        """
        self._line.check_open("begin a speech")
        await self._take_turn()
        try:
            with self._lock:
                if self._raw.is_written:
                    self._post_tail()
                    self._post_write(self._raw, b"", is_end=True)
                self._last_utterance_id += 1
                outlet.utterance_id = self._last_utterance_id
                self._fit(outlet)
                self._post(mail.BeginSpeech(self._line.link_id, outlet.utterance_id, progress, reply))
                self._new_raw()
        finally:
            self._give_turn()

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
        """Cut everything, also what still waits for its turn.

        Raises:
            ConnectionClosed: The connection is over.
        """
        self._line.check_open("flush")
        reply: mail.Reply[Any] = mail.Reply()
        with self._lock:
            self._flushed_up_to = self._last_utterance_id
            self._new_raw()
            self._post(mail.Flush(self._line.link_id, self._flushed_up_to, reply))
        flushed: Flushed | None = await asyncio.wrap_future(reply)
        if flushed is None:
            self._line.refuse("flush")
        return flushed

    async def wait_until_played(self) -> Played | Interrupted:
        """Wait until all that was written, or waits to be written, has been heard, or was cut."""
        reply: mail.Reply[Any] = mail.Reply()
        await self._take_turn()
        try:
            with self._lock:
                self._post_tail()
                self._post(mail.AwaitPlayed(self._line.link_id, reply))
        finally:
            self._give_turn()
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
        pcm = to_pcm16(audio)
        if ingest.would_finish_odd(pcm):
            raise _odd(len(pcm))
        return ingest.write(pcm, sample_rate=sample_rate) + ingest.finish(), False

    def _post_write(
        self, outlet: Outlet, pcm: bytes, *, is_end: bool = False, has_tail: bool = False
    ) -> None:
        self._posted_bytes += len(pcm)
        outlet.is_written = True
        self._post(mail.Write(self._line.link_id, outlet.utterance_id, pcm, outlet.rate_hz, is_end, has_tail))

    def _post_tail(self) -> None:
        """Post what the implicit utterance holds back; half a sample of it is an error, which is reported."""
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

    def _fit(self, outlet: Outlet) -> None:
        """Let an utterance follow the connection's format, which the first message may change."""
        audio_format = self._published.format
        self._max_bytes = int(self._max_buffer_s * audio_format.bytes_per_second)
        if outlet.rate_hz != audio_format.rate_hz:
            tail = outlet.ingest.change_rate(audio_format.rate_hz)
            if tail:
                self._post_write(outlet, tail)
            outlet.rate_hz = audio_format.rate_hz
        outlet.format = audio_format

    def _new_raw(self) -> None:
        self._last_utterance_id += 1
        self._raw = Outlet(self._published.format, self._last_utterance_id)

    # Waiting.

    async def _take_turn(self) -> None:
        """Wait for the writers that came before; they may be waiting for room."""
        with self._lock:
            if not self._has_turn:
                self._has_turn = True
                return
            turn: mail.Reply[None] = mail.Reply()
            self._turns.append(turn)
        try:
            await asyncio.wrap_future(mail.follow(turn))
        except BaseException:
            with self._lock:
                is_waiting = turn in self._turns
                if is_waiting:
                    self._turns.remove(turn)
            if not is_waiting:
                self._give_turn()  # it came in the moment of the cancellation
            raise

    def _give_turn(self) -> None:
        with self._lock:
            following = self._turns.popleft() if self._turns else None
            self._has_turn = following is not None
        if following is not None:
            following.set_result(None)

    async def _wait_for_room(self) -> None:
        while self._posted_bytes - self._published.progress.taken_bytes > self._max_bytes:
            if self._published.closed is not None:
                return
            reply: mail.Reply[Any] = mail.Reply()
            self._post(mail.AwaitRoom(self._line.link_id, self._posted_bytes - self._max_bytes, reply))
            await asyncio.wrap_future(reply)


def _is_small(audio: object) -> bool:
    if type(audio) is bytes:
        return len(audio) <= SLICE_BYTES
    size_bytes = getattr(audio, "nbytes", None)
    if size_bytes is None:
        size_bytes = len(audio) if isinstance(audio, bytearray) else 0
    return bool(size_bytes <= SLICE_BYTES)


def _odd(size_bytes: int) -> AudioDataError:
    return AudioDataError(
        f"an odd number of bytes over the whole utterance ({size_bytes} in this call): 16-bit samples have two each. "
        "Nothing of this call was played; look for what cuts the audio in the middle of a sample"
    )
