# SPDX-License-Identifier: Apache-2.0
"""The application's handle of one connection.

Every method may be called from any thread and any event loop. What has to stay in order is posted under one
lock, which is not held while anything waits; uncontended it costs 50 ns a frame. Everything else is a message to
the I/O thread, or a look at what that publishes.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from audio_connector.audio.files import iter_audio_file
from audio_connector.audio.format import AudioFormat
from audio_connector.errors import AudioDataError, ConnectionClosed, UsageError
from audio_connector.intake.dispatch import Dispatcher
from audio_connector.intake.handlers import Handler, check_disconnect_handler, check_handler
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorConnectionData, AudioConnectorServerConfig
from audio_connector.server.speech import Outlet, Speech
from audio_connector.server.statistics import ConnectionStatistics, PlaybackState, statistics_of
from audio_connector.wire.codec import encode_json
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.transport import Headers, Upgrade

SLICE_BYTES = 64_000
"""What is posted at once: 2 s at 16 kHz, so that an hour in one call neither fills the queue nor holds up the
I/O thread (64 kB are cut into frames in 10 us)."""

CLOSE_REASON_BYTES = 123
"""The longest reason that a close frame can carry (RFC 6455 5.5)."""

_ID_KEYS = {
    "session_id": ("x-opentok-ws-sessionid", "sessionid", "session_id", "session-id"),
    "connection_id": ("x-opentok-ws-connectionid", "connectionid", "connection_id", "connection-id"),
    "conference_id": ("x-opentok-ws-conferenceid", "conferenceid", "conference_id", "conference-id"),
}
"""Where an identity is looked for, in the headers and then in the first message (PROTOCOL 1.2, 1.3, 1.14)."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the server gives a connection."""

    post: Callable[[mail.ToIo], None]
    config: AudioConnectorServerConfig
    report: Callable[[Exception], None]


class AudioConnectorConnection:
    """One call: what arrives from the router, and what is played into the session.

    Made by the server and handed to ``on_connect``.
    """

    def __init__(self, link_id: int, upgrade: Upgrade, published: mail.Published, hooks: Hooks) -> None:
        self._link_id = link_id
        self._upgrade = upgrade
        self._published = published
        self._post = hooks.post
        self._report = hooks.report
        self._intake = hooks.config.intake
        self._close_s = hooks.config.timeouts.close_s
        self._max_buffer_s = hooks.config.playback.max_buffer_s
        self._max_bytes = int(self._max_buffer_s * published.format.bytes_per_second)
        self._id = (
            upgrade.headers.get("connectionid") or self._identity("connection_id") or uuid.uuid4().hex
        )
        self._lock = threading.Lock()
        self._is_closing = False
        self._last_utterance_id = 0
        self._flushed_up_to = -1
        self._raw = Outlet(published.format.rate_hz, 0)
        self._posted_bytes = 0
        self._turn: mail.Reply[Any] | None = None
        self._best_played_ms = 0.0
        self._dispatcher = Dispatcher(
            self._id, credit_batch=max(1, self._intake.window_messages // 2), want=self._want
        )

    def __repr__(self) -> str:
        state = "closed" if self._published.closed is not None else "open"
        return f"<AudioConnectorConnection {self._id} {self.path} {self.format.rate_hz} Hz {state}>"

    # Who it is.

    @property
    def id(self) -> str:
        """Its identity, never empty and never changing: the ``connectionId`` or ``x-opentok-ws-connectionid``
        header, or else one made here."""
        return self._id

    @property
    def session_id(self) -> str | None:
        """The Vonage session (PROTOCOL 1.2), from the headers or the first message."""
        return self._identity("session_id")

    @property
    def connection_id(self) -> str | None:
        """The connector's own connection in that session, likewise."""
        return self._identity("connection_id")

    @property
    def conference_id(self) -> str | None:
        """The conference, likewise."""
        return self._identity("conference_id")

    @property
    def path(self) -> str:
        """The path that was dialled, without the query (PROTOCOL 1.5)."""
        return self._upgrade.path

    @property
    def query(self) -> str:
        """The query that was dialled, without the question mark."""
        return self._upgrade.query

    @property
    def headers(self) -> Headers:
        """All headers of the upgrade: names in any case, every value with ``get_all``."""
        return self._upgrade.headers

    @property
    def remote_address(self) -> tuple[str, int]:
        """IP address and port of the peer, which may be a proxy."""
        return self._upgrade.remote_address

    @property
    def secure(self) -> bool:
        """True where this server terminates TLS."""
        return self._upgrade.secure

    def info(self) -> AudioConnectorConnectionData:
        """Return what is known of the connection, under the vendor's names."""
        uri = f"{self.path}?{self.query}" if self.query else self.path
        return AudioConnectorConnectionData(
            sessionId=self.session_id,
            conferenceId=self.conference_id,
            uri=uri,
            connectionId=self.connection_id,
            customHeaders=dict(self.headers),
            id=self._id,
        )

    # How it is.

    @property
    def format(self) -> AudioFormat:
        """The format of the audio both ways: from the first message, 16 kHz until then (PROTOCOL 2.5)."""
        return self._published.format

    @property
    def is_active(self) -> bool:
        """False while the stream is muted: no audio comes then (PROTOCOL 2.7). False once closed."""
        return self._published.is_active

    @property
    def playback(self) -> PlaybackState:
        """How far the playback is, now."""
        progress, now = self._published.progress, time.monotonic()
        self._best_played_ms = max(self._best_played_ms, progress.played_ms(now))
        return PlaybackState(
            queued_ms=progress.queued_ms,
            in_flight_ms=progress.in_flight_ms(now),
            played_ms=self._best_played_ms,
            underruns=progress.underruns,
        )

    def statistics(self) -> ConnectionStatistics:
        """Return the counts of the whole connection so far; also after its end."""
        return statistics_of(self._published)

    # What arrives.

    def set_handler(
        self,
        on_message: Handler | None = None,
        on_disconnect: Handler | None = None,
        on_error: Handler | None = None,
        *,
        on_audio: Handler | None = None,
        on_event: Handler | None = None,
    ) -> None:
        """Set what is called; each call replaces all of them. What arrived before is handed over first.

        Args:
            on_message: Given each message as it came: bytes for audio, str for text.
            on_disconnect: Called once, last; takes nothing, or a `Disconnected`.
            on_error: Given each exception: of a handler, of an overflow, of the router.
            on_audio: Given the bytes of each audio message.
            on_event: Given each text message as an event.

        Raises:
            HandlerError: A handler cannot be called, or not with what it will be given.
        """
        checked = (
            check_handler("on_message", on_message, "message"),
            check_handler("on_audio", on_audio, "audio"),
            check_handler("on_event", on_event, "event"),
            check_handler("on_error", on_error, "error"),
            check_disconnect_handler(on_disconnect),
        )
        dispatcher = self._dispatcher
        (
            dispatcher.on_message,
            dispatcher.on_audio,
            dispatcher.on_event,
            dispatcher.on_error,
            dispatcher.on_disconnect,
        ) = checked
        dispatcher.update_wants()

    def audio(self, *, chunk_ms: float | None = None, sample_rate: int | None = None) -> AudioStream:
        """Iterate over the incoming audio until the connection ends; what came early comes first.

        Args:
            chunk_ms: Length of the pieces, 1 to 60,000 ms; larger ones wake the application less often.
                None hands each message on, one frame of 20 ms.
            sample_rate: Rate of the pieces in Hz, 4,000 to 192,000; None keeps the connection's.

        Returns:
            An async iterator of bytes: 16-bit mono PCM, little-endian. The last piece may be shorter.

        Raises:
            UsageError: A value is out of range.
        """
        if chunk_ms is not None and not (_is_number(chunk_ms) and 1 <= chunk_ms <= 60_000):
            raise UsageError(f"chunk_ms={chunk_ms!r}: expected 1 to 60000 ms, or None for one frame at a time")
        stream = AudioStream(
            lambda: self.format,
            chunk_ms=chunk_ms,
            sample_rate=sample_rate,
            max_buffer_ms=self._intake.max_buffer_ms,
            on_overflow=self._report,
        )
        if self._published.closed is not None:
            stream.end()
        self._dispatcher.add_audio_stream(stream)
        return stream

    def events(self) -> EventStream:
        """Iterate over the router's events until the connection ends; the last one is `Disconnected`."""
        stream = EventStream(max_events=self._intake.max_texts)
        if self._published.closed is not None:
            stream.end(self._published.closed)
        self._dispatcher.add_event_stream(stream)
        return stream

    # What is played.

    async def send_audio_buffer(
        self,
        audio_data: Any,
        bytes_per_sample: int = 640,
        frames_ms: int = 20,
        pad_last_frame: bool = False,
        flush_buffer: bool = False,
        *,
        sample_rate: int | None = None,
    ) -> None:
        """Play audio after what is queued. Returns when it is buffered.

        Pieces may have any length, one byte included: remainders join the next call. The wire carries whole
        frames of 20 ms at the connection's rate.

        Args:
            audio_data: 16-bit little-endian PCM as bytes, bytearray or memoryview; or a numpy array, int16 or
                float32 in [-1, 1], mono or (samples, channels), which is mixed down.
            bytes_per_sample: Taken for compatibility and checked: a positive int.
            frames_ms: Likewise: 10 or 20.
            pad_last_frame: True ends the utterance here and pads its remainder with silence. False keeps the
                remainder for the next call; where nothing follows it is padded.
            flush_buffer: True flushes first, see `flush_buffer`.
            sample_rate: The rate of the audio in Hz, where it differs from the connection's.

        Raises:
            AudioDataError: Not audio that is taken, or an odd number of bytes over the whole utterance.
            UsageError: Another argument is wrong. All of these are ``ValueError``; nothing was played then.
            ConnectionClosed: The connection is over.
        """
        if bytes_per_sample != 640 or frames_ms != 20:
            _check_frame_arguments(bytes_per_sample, frames_ms)
        if flush_buffer:
            await self.flush_buffer()
        if self._is_closing or self._published.closed is not None:
            raise self._closed_error("play audio")
        if (
            self._turn is not None
            or self._posted_bytes - self._published.progress.taken_bytes > self._max_bytes
            or not self._write_now(audio_data, sample_rate, pad_last_frame)
        ):
            await self._write(None, audio_data, sample_rate, is_end=pad_last_frame)

    def speech(self) -> Speech:
        """Begin an utterance: ``async with client.speech() as speech: await speech.write(audio)``."""
        return Speech(self)

    async def play(self, path: str | PathLike[str]) -> Speech:
        """Play a file after what is queued: 16-bit WAV, or with the extra ``files`` all that soundfile reads.

        Args:
            path: The file; any sample rate, channels are mixed down.

        Returns:
            The speech, handed over whole: ``await (await client.play(path)).finished()`` waits for its end.

        Raises:
            AudioFileError: It cannot be read as audio.
            ConnectionClosed: The connection is over.
        """
        self._check_open("play a file")
        blocks = iter_audio_file(path)
        block = await asyncio.to_thread(next, blocks, None)
        async with self.speech() as speech:
            while block is not None:
                pcm, rate_hz = block
                await speech.write(pcm, sample_rate=rate_hz)
                block = await asyncio.to_thread(next, blocks, None)
        return speech

    async def flush_buffer(self) -> Flushed:
        """Cut everything that is being said: barge-in.

        What is queued is dropped, the router is told to clear (PROTOCOL 3.3), the clock starts anew, and late
        writes of what was cut are refused.

        Returns:
            How much of it had been heard, and how much was not.

        Raises:
            ConnectionClosed: The connection is over.
        """
        self._check_open("flush")
        reply: mail.Reply[Any] = mail.Reply()
        with self._lock:
            self._flushed_up_to = self._last_utterance_id
            self._new_raw()
            self._post(mail.Flush(self._link_id, self._flushed_up_to, reply))
        flushed: Flushed | None = await asyncio.wrap_future(reply)
        if flushed is None:
            raise self._closed_error("flush")
        return flushed

    async def wait_until_played(self) -> Played | Interrupted:
        """Wait until all that was sent has been heard; also returns when it was cut, or the connection ended."""
        with self._lock:
            self._post_tail()
            reply: mail.Reply[Any] = mail.Reply()
            self._post(mail.AwaitPlayed(self._link_id, reply))
        outcome: Played | Interrupted = await asyncio.wrap_future(reply)
        return outcome

    def set_buffer_timing(self, active_seconds: float | None = None) -> None:
        """Set the lead: how far ahead of real time audio may be sent on this connection.

        Args:
            active_seconds: More than 0 and at most 60 s (PROTOCOL 4.12); below 0.04 counts as 0.04. None
                changes nothing.

        Raises:
            UsageError: Another value.
        """
        if active_seconds is None:
            return
        if not _is_number(active_seconds) or not 0 < active_seconds <= 60:
            raise UsageError(f"active_seconds={active_seconds!r}: expected seconds, more than 0 and at most 60")
        self._post(mail.SetLead(self._link_id, float(active_seconds)))

    async def send_json_packet(self, data: str | dict[str, Any] | list[Any]) -> None:
        """Send a text message: behind audio that the router was sent, ahead of audio that is queued.

        Args:
            data: JSON as a str, sent as it is; or a dict or list, which is serialised.

        Raises:
            MessageError: It is not valid JSON; the text shows where. A ``ValueError``.
            ConnectionClosed: The connection is over.
        """
        text = encode_json(data)
        self._check_open("send a message")
        with self._lock:
            self._post(mail.SendText(self._link_id, text))

    # How it ends.

    def disconnect(self) -> None:
        """Close with 1000, now; queued audio is not played. May be called from anywhere, more than once."""
        self._abandon(1000, "")

    def _abandon(self, code: int, reason: str) -> None:
        self._is_closing = True
        self._post(mail.Close(self._link_id, code, reason))

    async def close(
        self, code: int = 1000, reason: str = "", *, after_playback: bool = True, timeout: float = 10.0
    ) -> None:
        """Close, by default after what was said has been heard, and wait for the end of the connection.

        Args:
            code: 1000, 1001, 1003, 1008, 1011, 1012, 1013, or 3000 to 4999.
            reason: Up to 123 bytes of UTF-8.
            after_playback: Wait for the playback first.
            timeout: At most so many seconds for that.

        Raises:
            UsageError: A code or reason that a close frame cannot carry, or a timeout that is no number.
        """
        _check_close(code, reason, timeout)
        if after_playback and self._published.closed is None:
            try:
                await asyncio.wait_for(self.wait_until_played(), timeout)
            except (asyncio.TimeoutError, TimeoutError):
                pass  # the deadline is there to be reached
        self._is_closing = True
        reply: mail.Reply[Any] = mail.Reply()
        self._post(mail.AwaitClosed(self._link_id, reply))
        self._post(mail.Close(self._link_id, code, reason))
        # The socket's own deadline ends it after close_s; a second more covers a busy machine.
        await asyncio.wait((asyncio.wrap_future(reply),), timeout=self._close_s + 1.0)

    # Writing. All under the lock, so that what is posted stays in the order in which it was ingested.

    def _write_now(self, audio: Any, sample_rate: int | None, is_end: bool) -> bool:
        """The path of every outgoing frame: take audio that fits into one message; False where it does not."""
        if not _is_small(audio):
            return False
        with self._lock:
            if self._turn is not None:
                return False
            outlet = self._fit_raw()
            pcm, has_tail = self._ingest(outlet, audio, sample_rate, is_end)
            self._post_write(outlet, pcm, is_end, has_tail)
            if is_end:
                self._new_raw()
        return True

    async def _write(self, outlet: Outlet | None, audio: Any, sample_rate: int | None, *, is_end: bool = False) -> None:
        """Take audio of any size, in turn, and wait for room.

        Args:
            outlet: Where; None for the implicit utterance.
            audio: As `send_audio_buffer`.
            sample_rate: Likewise.
            is_end: The utterance ends with it.
        """
        turn = await self._take_turn()
        try:
            await self._wait_for_room()
            with self._lock:
                is_raw = outlet is None
                target = self._fit_raw() if outlet is None else outlet
                pcm, has_tail = self._ingest(target, audio, sample_rate, is_end)
                if is_end and is_raw:
                    self._new_raw()
            for at in range(0, max(1, len(pcm)), SLICE_BYTES):
                if at:
                    await self._wait_for_room()
                is_last = at + SLICE_BYTES >= len(pcm)
                with self._lock:
                    if self._is_flushed(target.utterance_id):
                        return
                    self._post_write(
                        target, pcm[at : at + SLICE_BYTES], is_end and is_last, has_tail and is_last
                    )
        finally:
            with self._lock:
                self._turn = None
            turn.set_result(None)

    def _ingest(self, outlet: Outlet, audio: Any, sample_rate: int | None, is_end: bool) -> tuple[bytes, bool]:
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

    def _post_write(self, outlet: Outlet, pcm: bytes, is_end: bool, has_tail: bool) -> None:
        self._posted_bytes += len(pcm)
        outlet.is_written = True
        self._post(
            mail.Write(self._link_id, outlet.utterance_id, pcm, outlet.ingest.rate_hz, is_end, has_tail)
        )

    def _fit_raw(self) -> Outlet:
        """The implicit utterance, at the connection's present rate."""
        outlet = self._raw
        if outlet.ingest.rate_hz != self._published.format.rate_hz:
            self._post_tail()
            outlet = self._raw = Outlet(self._published.format.rate_hz, outlet.utterance_id)
            self._max_bytes = int(self._max_buffer_s * self._published.format.bytes_per_second)
        return outlet

    def _new_raw(self) -> None:
        self._last_utterance_id += 1
        self._raw = Outlet(self._published.format.rate_hz, self._last_utterance_id)

    def _post_tail(self) -> None:
        """Hand over what the implicit utterance holds back; half a sample of it is an error."""
        outlet = self._raw
        if not outlet.ingest.held:
            return
        try:
            tail = outlet.ingest.finish()
        except AudioDataError as error:
            outlet.ingest.reset()
            self._report(error)
            return
        self._post_write(outlet, tail, False, False)

    def _begin_speech(self, outlet: Outlet, progress: mail.SpeechProgress, reply: mail.Reply[Any]) -> None:
        self._check_open("begin a speech")
        with self._lock:
            if self._raw.is_written:
                self._post_tail()
                self._post_write(self._raw, b"", True, False)
            self._last_utterance_id += 1
            outlet.utterance_id = self._last_utterance_id
            outlet.ingest = type(outlet.ingest)(self._published.format.rate_hz)
            self._post(mail.BeginSpeech(self._link_id, outlet.utterance_id, progress, reply))
            self._new_raw()

    def _end(self, outlet: Outlet) -> None:
        """End a speech, whatever is left of it; half a sample is an error, after the end was posted."""
        with self._lock:
            error: AudioDataError | None = None
            tail = b""
            try:
                tail = outlet.ingest.finish()
            except AudioDataError as odd:
                error = odd
                outlet.ingest.reset()
            self._post_write(outlet, tail, True, False)
        if error is not None:
            raise error

    def _is_flushed(self, utterance_id: int) -> bool:
        return utterance_id <= self._flushed_up_to or self._published.closed is not None

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
            self._post(mail.AwaitRoom(self._link_id, self._posted_bytes - self._max_bytes, reply))
            await asyncio.wrap_future(reply)

    # Messages from the I/O side, on the application's loop.

    def _on_tail_requested(self, utterance_id: int) -> None:
        with self._lock:
            if self._raw.utterance_id == utterance_id:
                self._post_tail()

    def _want(self, audio: bool, texts: bool, credit: int) -> None:
        self._post(mail.Want(self._link_id, audio, texts, credit))

    # Checks.

    def _identity(self, which: str) -> str | None:
        keys = _ID_KEYS[which]
        header = self._upgrade.headers.get(keys[0])
        if header:
            return header
        first = self._published.first_message
        return _find_text(first.headers, keys) if first is not None else None

    def _check_open(self, what: str) -> None:
        if self._is_closing or self._published.closed is not None:
            raise self._closed_error(what)

    def _closed_error(self, what: str) -> ConnectionClosed:
        closed = self._published.closed or Disconnected(code=1000, reason="", closed_by="server")
        code = closed.code if closed.code is not None else 1006
        reason = f" ({closed.reason})" if closed.reason else ""
        return ConnectionClosed(
            f"cannot {what}: the connection was closed by the {closed.closed_by} with {code}{reason}; stop sending "
            "when on_disconnect is called",
            code=code,
            reason=closed.reason,
        )


def _find_text(values: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    lower = {key.lower(): value for key, value in values.items()}
    return next((value for key in keys if isinstance(value := lower.get(key), str) and value), None)


def _is_small(audio: object) -> bool:
    if type(audio) is bytes:
        return len(audio) <= SLICE_BYTES
    size_bytes = getattr(audio, "nbytes", None)
    if size_bytes is None:
        size_bytes = len(audio) if isinstance(audio, bytearray) else 0
    return bool(size_bytes <= SLICE_BYTES)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_frame_arguments(bytes_per_sample: object, frames_ms: object) -> None:
    if not isinstance(bytes_per_sample, int) or isinstance(bytes_per_sample, bool) or bytes_per_sample <= 0:
        raise UsageError(
            f"bytes_per_sample={bytes_per_sample!r}: expected the bytes of a frame, 320, 640 or 960; leave it out, "
            "since frames follow the connection's rate"
        )
    if frames_ms not in (10, 20) or isinstance(frames_ms, bool):
        raise UsageError(f"frames_ms={frames_ms!r}: expected 10 or 20; leave it out, the wire carries 20 ms frames")


def _check_close(code: object, reason: object, timeout: object) -> None:
    allowed = (1000, 1001, 1003, 1008, 1011, 1012, 1013)
    if not isinstance(code, int) or isinstance(code, bool) or not (code in allowed or 3000 <= code <= 4999):
        raise UsageError(f"code={code!r}: expected one of {', '.join(map(str, allowed))}, or 3000 to 4999")
    if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > CLOSE_REASON_BYTES:
        raise UsageError(f"reason={reason!r:.60}: expected a text of up to {CLOSE_REASON_BYTES} bytes in UTF-8")
    if not _is_number(timeout) or not timeout >= 0:  # type: ignore[operator]  # a number, just checked
        raise UsageError(f"timeout={timeout!r}: expected seconds, 0 or more")
