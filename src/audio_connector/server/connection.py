# SPDX-License-Identifier: Apache-2.0
"""The application's handle of one connection.

Every method may be called from any thread and any event loop: it is a message to the I/O thread, or a look at
what that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

from audio_connector.audio.admission import Admission
from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.pcm import AudioInput
from audio_connector.call import asks
from audio_connector.call.tells import Opened
from audio_connector.errors import UsageError
from audio_connector.intake.dispatch import Dispatcher
from audio_connector.intake.streams import AudioStream, EventStream
from audio_connector.playback.speech import PLAIN, Flushed, Interrupted, Played
from audio_connector.server.arguments import check_compatible, check_lead, check_pieces
from audio_connector.server.background import Background
from audio_connector.server.config import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
    FlightRecorder,
)
from audio_connector.server.flight import Budget, Flight
from audio_connector.server.lane import Lane
from audio_connector.server.line import Line
from audio_connector.server.speech import Speech
from audio_connector.server.statistics import ConnectionStatistics, PlaybackState, playback_of, statistics_of
from audio_connector.validation.arguments import check_number
from audio_connector.validation.handlers import Handler, check_disconnect_handler, check_handler
from audio_connector.wire.closing import check_close
from audio_connector.wire.codec import encode_json
from audio_connector.wire.identity import identity_of, session_of
from audio_connector.wire.quoting import named, printable, without_secrets
from audio_connector.wire.transport import Headers, Upgrade

USUAL_FRAME_BYTES = 640
"""A frame at 16 kHz; the vendor's default of an argument that does not matter here."""


class AudioConnectorConnection:
    """One call: what arrives from the router, and what is played into the session; handed to ``on_connect``."""

    def __init__(
        self,
        line: Line,
        opened: Opened,
        config: AudioConnectorServerConfig,
        *,
        made_id: str,
    ) -> None:
        self._upgrade = upgrade = opened.upgrade
        self._identity = deepcopy(upgrade.identity)  # the I/O side compares its own with what comes again
        self._is_resumed = opened.takeovers > 0
        self._line = line
        self._config = config
        self._flight: Flight | None = None
        self._plain = Lane(line, PLAIN, pause_s=config.playback.pause_ms / 1000)
        self._id = upgrade.headers.get("connectionid") or self.connection_id or made_id
        self._dispatcher = Dispatcher(
            self._id,
            credit_batch=max(1, config.intake.window_messages // 2),
            want=lambda *what: line.post(asks.Want(*what)),
            owes_work=line.owes_work,
            count_error=lambda kind: line.meters.add("errors", 1.0, kind),
            common_faults=line.common_faults,
        )

    def __repr__(self) -> str:
        state = "closed" if self._line.closed is not None else "open"
        path = printable(without_secrets(self.path))
        return f"<AudioConnectorConnection {named(self._id)} {path} {self.format.rate_hz} Hz {state}>"

    # Who it is.

    @property
    def id(self) -> str:
        """Header ``connectionid`` or ``x-opentok-ws-connectionid``, or else made here: never empty nor changing."""
        return self._id

    @property
    def session_id(self) -> str | None:
        """The Vonage session (PROTOCOL 1.2), from the headers, the token, or the first message."""
        return session_of(self._upgrade, self._line.first_message)

    @property
    def connection_id(self) -> str | None:
        """The connector's own connection in that session, likewise."""
        return identity_of("connection", self._upgrade.headers, self._line.first_message)

    @property
    def conference_id(self) -> str | None:
        """The conference, likewise."""
        return identity_of("conference", self._upgrade.headers, self._line.first_message)

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

    @property
    def identity(self) -> Any:  # noqa: ANN401 - the application's own
        """Who dials, see ``authenticate``: the claims of the token, or what the function returned, as JSON holds it.

        None where nobody was asked. It stays with the call where another worker takes it; where the router has
        dialled again, it is that of the new socket.
        """
        return self._identity

    @property
    def is_resumed(self) -> bool:
        """True where another worker, or another socket, had this call before: it goes on where that left it.

        Identity, format, statistics and playback are those of the call; what another worker wrote is heard. The audio
        that it was handed last may come again (`Intake.replay_ms`), unless it retired in good order. Where the router
        has dialled again (`Timeouts.resume_s`), this is the object from before with its handlers and iterators;
        ``headers``, ``path``, ``query`` and ``remote_address`` are those of the new socket.
        """
        return self._is_resumed

    def _resume(self, upgrade: Upgrade) -> None:
        self._upgrade, self._is_resumed = upgrade, True
        self._identity = deepcopy(upgrade.identity)
        if not self._config.playback.keeps_on_resume:
            self._plain.admission.restart()  # what it goes on with was dropped

    def info(self) -> AudioConnectorConnectionData:
        """Return what is known of the connection, under the vendor's names."""
        return AudioConnectorConnectionData(
            sessionId=self.session_id,
            conferenceId=self.conference_id,
            uri=f"{self.path}?{self.query}" if self.query else self.path,
            connectionId=self.connection_id,
            customHeaders=dict(self.headers),
            id=self._id,
        )

    # How it is.

    @property
    def format(self) -> AudioFormat:
        """The format of the audio both ways: from the first message, 16 kHz until then (PROTOCOL 2.5)."""
        return self._line.format

    @property
    def is_active(self) -> bool:
        """False while no audio comes: the stream is muted (PROTOCOL 2.7), or the connection is lost, or closed."""
        return self._line.figures.is_active and self._line.closed is None

    @property
    def playback(self) -> PlaybackState:
        """How far the playback is, now."""
        return playback_of(self._line)

    def statistics(self) -> ConnectionStatistics:
        """Return the counts of the whole connection so far; also after its end."""
        return statistics_of(self._line)

    def _keep_flight(self, settings: FlightRecorder, budget: Budget) -> None:
        self._flight = Flight(self._line, settings, budget, connection_id=self._id, upgrade=self._upgrade)
        self._dispatcher.on_fault = self._flight.note_fault

    async def dump(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the last seconds of the call, both ways, and what happened: those that its flight recorder keeps.

        Args:
            path: The file, a WAV; None makes one in the folder of the flight recorder.

        Returns:
            The file.

        Raises:
            UsageError: The server has no flight recorder.
            AudioFileError: It cannot be written.
            ConnectionClosed: The connection is over.
        """
        if self._flight is None:
            raise UsageError(
                "this server keeps no flight record; have it do so: "
                "AudioConnectorServerConfig(flight_recorder=FlightRecorder(folder=...))"
            )
        self._line.check_open("write its flight record")
        written = await self._flight.dump(None if path is None else Path(path))
        if written is None:
            self._line.refuse("write its flight record")
        return written

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
        self._dispatcher.set(
            on_message=check_handler("on_message", on_message, "message"),
            on_audio=check_handler("on_audio", on_audio, "audio"),
            on_event=check_handler("on_event", on_event, "event"),
            on_error=check_handler("on_error", on_error, "error"),
            on_disconnect=check_disconnect_handler(on_disconnect),
        )

    def audio(
        self, *, chunk_ms: float | None = None, sample_rate: int | None = None, gap_s: float | None = None
    ) -> AudioStream:
        """Iterate over the incoming audio until the connection ends; what came early comes first.

        Args:
            chunk_ms: Length of the pieces, 1 to 60,000 ms; larger ones wake the application less often.
                None gives frames of exactly 20 ms, whatever the messages were, as a voice activity detector takes
                them: 640 bytes at 16 kHz.
            sample_rate: Rate of the pieces in Hz, 4,000 to 192,000; None keeps the connection's.
            gap_s: Where no audio has come for so long, 0.06 to 60 s, go on with silence, since a router sends
                nothing while a stream is muted or silent (PROTOCOL 2.7, 2.8) and a turn would never end by a pause.
                It begins with the silence that was missed, and then keeps pace with time until audio comes again.
                More than the network's jitter, or what is late is preceded by silence. None waits.

        Returns:
            An async iterator of bytes: 16-bit mono PCM, little-endian. The last piece, and the last one before the
            connection's rate changes, may be shorter than ``chunk_ms``; the last frame is filled up with silence.

        Raises:
            UsageError: A value is out of range.
        """
        check_pieces(chunk_ms, sample_rate, gap_s)
        stream = AudioStream(
            lambda: self.format,
            chunk_ms=chunk_ms,
            sample_rate=sample_rate,
            gap_s=gap_s,
            max_buffer_ms=self._config.intake.max_buffer_ms,
            on_overflow=self._line.report,
        )
        return self._dispatcher.add(stream)

    def events(self) -> EventStream:
        """Iterate over the router's events until the connection ends; the last one is `Disconnected`."""
        return self._dispatcher.add(EventStream(max_events=self._config.intake.max_texts))

    # What is played.

    async def send_audio_buffer(
        self,
        audio_data: AudioInput,
        bytes_per_sample: int = USUAL_FRAME_BYTES,
        frames_ms: int = FRAME_MS,
        pad_last_frame: bool = False,
        flush_buffer: bool = False,
        *,
        sample_rate: int | None = None,
    ) -> None:
        """Play audio of any length, one byte included, after what is queued. Returns when it is buffered.

        Remainders join the next call: the wire carries whole frames of 20 ms at the connection's rate.

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
            UsageError: Another argument is wrong. All of these are ``ValueError``; nothing was played then. Or
                there is no room for more behind a speech in whose block this is.
            ConnectionClosed: The connection is over.
        """
        if bytes_per_sample != USUAL_FRAME_BYTES or frames_ms != FRAME_MS:
            check_compatible(bytes_per_sample, frames_ms)
        line, lane = self._line, self._plain
        if not line.is_open:
            await line.give_way()
            line.refuse("play audio")
        if flush_buffer:
            audio_data = Admission().check(audio_data, sample_rate, is_end=pad_last_frame)
            lane.admission.restart()
            line.post(asks.Flush(next(line.numbers)))  # not waited for: the audio is handed over with it
        # Handed over first: what another task asks for meanwhile, a flush above all, was asked for later.
        if lane.write_now(audio_data, sample_rate, is_end=pad_last_frame):
            if line.owes_work():
                await asyncio.sleep(0)
        elif not await lane.write(audio_data, sample_rate, is_end=pad_last_frame) and line.closed is not None:
            line.refuse("play the rest of the audio")

    def speech(self) -> Speech:
        """Begin an utterance: ``async with client.speech() as speech: await speech.write(audio)``."""
        return Speech(self._line, self._plain)

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
        from audio_connector.audio.files import iter_audio_file  # noqa: PLC0415 - only who plays files needs it

        self._line.check_open("play a file")
        blocks = iter_audio_file(path)
        async with self.speech() as speech:  # first, since reading takes a while, and others ask meanwhile
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                pcm, rate_hz = block
                await speech.write(pcm, sample_rate=rate_hz)
        return speech

    async def background(
        self, path: str | PathLike[str], *, volume: float = 0.2, duck: float = 0.3
    ) -> Background:
        """Play a file under all that is said, looped, until it is stopped or another one takes its place.

        It counts as nothing that is said: nobody waits for it, and no figure has it. A flush cuts speech alone; at a
        router that ignores clear each flush, and each pause, then delays all that follows by what that has, unless
        ``Playback.clear_commands`` is empty. What is said begins up to 0.1 s later under it. It ends with the call.
        Where another worker takes that, it goes on for 5 s, in which ``on_resume`` may ask for one anew, which takes
        its place without a gap.

        Args:
            path: As `play` takes it, up to two minutes long.
            volume: What its samples are multiplied by, 0 to 1. 0.2 are -14 dB.
            duck: What that is multiplied by while something is said, 0 to 1. 0.3 are -10 dB; 1 leaves it.

        Returns:
            What changes its volume and stops it, once all of it is handed over; before the rate is known it waits.

        Raises:
            AudioFileError: It cannot be read as audio.
            UsageError: It is too long, or a value is out of range.
            ConnectionClosed: The connection is over.
        """
        self._line.check_open("play a background")
        background = Background(self._line, volume, duck)
        await background._start(path)
        return background

    async def flush_buffer(self) -> Flushed:
        """Cut everything that is being said: barge-in.

        The queue is dropped, the router told to clear (PROTOCOL 3.3), and late writes of what was cut are refused.

        Returns:
            How much of it had been heard, and how much was not.

        Raises:
            ConnectionClosed: The connection is over.
        """
        line = self._line
        line.check_open("flush")
        self._plain.admission.restart()
        asked_at = line.clock()
        flushed: Flushed | None = await line.ask(asks.Flush)
        if flushed is None:
            line.refuse("flush")
        line.meters.observe("barge_in_seconds", line.clock() - asked_at)
        if line.trace is not None:
            line.trace.barge_in(asked_at, flushed)
        return flushed

    async def wait_until_played(self) -> Played | Interrupted:
        """Wait until all that was sent so far has been heard; also returns when it was cut, or the connection ended.

        Inside the ``async with`` block of a speech it does not wait for what is queued behind that speech, which is
        heard only when the block is left.

        Returns:
            How much was heard of the utterances that this waited for, or of the latest one where nothing was left to
            wait for; of the whole call where that had ended before.
        """
        line = self._line
        outcome = await line.ask(lambda token: asks.WaitPlayed(token, line.speech_around()))
        return Interrupted(line.played_ms, 0.0) if outcome is None else outcome

    async def _wait_until_said(self) -> None:
        """Wait until what was written so far has been heard, and every speech to its end."""
        while True:
            await self._line.ask(lambda token: asks.WaitPlayed(token, to_end=True))
            # A speech that is there was begun meanwhile.
            if self._line.closed is not None or not self._line.speeches:
                return

    def set_buffer_timing(self, active_seconds: float | None = None) -> None:
        """Set the lead: how far ahead of real time audio may be sent on this connection.

        Args:
            active_seconds: More than 0, up to 60 s (PROTOCOL 4.12); below 0.04 counts as 0.04. None changes nothing.

        Raises:
            UsageError: Another value.
        """
        if active_seconds is not None:
            check_lead(active_seconds)
            self._line.post(asks.SetLead(float(active_seconds)))

    async def send_json_packet(self, data: str | dict[str, Any] | list[Any]) -> None:
        """Send a text message: behind audio that the router was sent, ahead of audio that is queued.

        Returns when it is handed over, and waits while many wait to be sent, because the router does not read.

        Args:
            data: JSON as a str, sent as it is; or a dict or list, which is serialised.

        Raises:
            MessageError: It is not valid JSON; the text shows where. A ``ValueError``.
            ConnectionClosed: The connection is over.
        """
        text, line = encode_json(data), self._line
        if not line.is_open:
            await line.give_way()
            line.refuse("send a message")
        if not await line.send_text(text):
            line.refuse("send a message")
        await line.give_way()

    # How it ends.

    def disconnect(self) -> None:
        """Close with 1000, now; queued audio is not played. May be called from anywhere, more than once."""
        self._line.close(1000, "")

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
        check_close(code, reason)
        check_number("timeout", timeout, lambda s: s >= 0, "seconds, 0 or more")
        if after_playback and self._line.closed is None:
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self.wait_until_played(), timeout)
        self._line.close(code, reason)
        # The socket's own deadline ends it after close_s; a second more covers a busy machine.
        await self._line.wait_closed(self._config.timeouts.close_s + 1.0)
