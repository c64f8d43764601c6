# SPDX-License-Identifier: Apache-2.0
"""The I/O side of one connection: from the socket to the intake, and from the playback to the socket.

States: *open* from the upgrade on, *unsettled* until the first message says the audio format (or for at most
``first_message_s``), *held* while the router does not read, *closed*. Every method runs on the I/O thread and
none of them blocks, calls the application, or reads a clock but through ``clock``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.errors import DeadlineError, IntakeOverflow, LimitError, ProtocolError, RouterStalled
from audio_connector.intake.buffer import IntakeBuffer
from audio_connector.intake.dispatch import TextItem
from audio_connector.playback.pacer import Pacer
from audio_connector.playback.schedule import Schedule
from audio_connector.playback.speech import Interrupted, MarkReached, TailWanted, UtteranceEnded
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.liveness import Liveness
from audio_connector.wire.codec import decode_event, notify_payload
from audio_connector.wire.messages import Connected, Disconnected, MediaUpdate, Notified
from audio_connector.wire.transport import Closed, Transport, Upgrade

logger = logging.getLogger("audio_connector.server")

MAX_UNSENT_BYTES = 4 << 20
"""Unsent bytes in user space beyond which a connection is given up: texts are not paced as audio is."""

_CLOSED_BY = {"peer": "router", "us": "server", "network": "network"}


class Link:
    """One connection on the I/O side; a `wire.transport.Receiver` and a `playback.pacer.Paced`.

    Args:
        link_id: Its number.
        config: Bounds and times.
        post: Hands a message to the application.
        pacer: Wakes this link at its deadlines.
        clock: Seconds of a monotonic clock.
        on_end: Called once, when the connection is over.
    """

    def __init__(
        self,
        link_id: int,
        config: AudioConnectorServerConfig,
        *,
        post: Callable[[mail.ToApplication], None],
        pacer: Pacer,
        clock: Callable[[], float],
        on_end: Callable[[int], None],
    ) -> None:
        self.id = link_id
        self.armed_at: float | None = None
        self._post = post
        self._pacer = pacer
        self._clock = clock
        self._on_end = on_end
        self._timeouts = config.timeouts
        self._clear_commands = config.playback.clear_commands
        self._window = config.intake.window_messages
        self._format = AudioFormat()
        self._rate_hz = self._format.rate_hz
        self._frame_bytes = self._format.frame_bytes
        self._schedule = Schedule(
            self._format,
            lead_s=config.playback.lead_ms / 1000,
            prime_s=config.playback.prime_ms / 1000,
            pause_s=config.playback.pause_ms / 1000,
        )
        self._max_buffer_ms = config.intake.max_buffer_ms
        self._buffer: IntakeBuffer[TextItem] = IntakeBuffer(
            max_audio_bytes=self._format.bytes_for_ms(self._max_buffer_ms),
            max_texts=config.intake.max_texts,
        )
        self.published = mail.Published(self._buffer.counters, clock)
        self._transport: Transport | None = None
        self._is_unsettled = True
        self._announced_end = False
        self._own_end: tuple[int, str] | None = None
        self._settle_at = float("inf")
        self._liveness = Liveness(config.timeouts)
        self._room_waiters: list[tuple[int, mail.Reply[Any]]] = []
        self._close_waiters: list[mail.Reply[Any]] = []
        self._speeches: dict[int, mail.BeginSpeech] = {}
        self._notifies: deque[tuple[object, int]] = deque(maxlen=1024)

    # The wire calls these.

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Start: nothing is played until the format is settled."""
        now = self._clock()
        self._transport = transport
        self._liveness.start(now)
        self._schedule.hold()
        self._settle_at = now + self._timeouts.first_message_s
        self._post(mail.Opened(self.id, upgrade, self.published))
        self._arm()

    def on_audio(self, payload: bytes) -> None:
        """The path of every incoming frame."""
        now = self._clock()
        self._liveness.last_received_at = now
        if self._is_unsettled:
            self._settle(now)
        if not payload:
            return
        buffer = self._buffer
        buffer.note_audio(len(payload), now)
        if len(payload) != self._frame_bytes:
            self.published.odd_messages += 1
        if self._window > 0 and buffer.wants_audio and not buffer.audio_bytes:
            self._window -= 1
            self._post(mail.Arrived(self.id, payload))
            return
        dropped = buffer.push_audio(payload, now)
        if dropped:
            self._post(mail.Failed(self.id, self._overflow_error()))

    def on_text(self, text: str) -> None:
        """Note what a text says about the connection, and hand it on."""
        now = self._clock()
        self._liveness.last_received_at = now
        event = decode_event(text, is_first=not self._buffer.counters.text_messages)
        self._buffer.counters.text_messages += 1
        if isinstance(event, Connected):
            self._note_first_message(event)
        elif isinstance(event, MediaUpdate):
            self._buffer.note_active(event.active, now)
            self.published.is_active = event.active
        elif isinstance(event, Disconnected):
            self._announced_end = True
        elif isinstance(event, Notified):
            self._note_notified(event, now)
        if self._is_unsettled:
            self._settle(now)
        buffer = self._buffer
        # A character counts as a byte: the router writes ASCII, and no character is more than four.
        if not buffer.push_text(TextItem(text, event), len(text)):
            is_many = buffer.text_count >= buffer.max_texts
            error = LimitError(
                f"{buffer.text_count} text messages{'' if is_many else f' of {buffer.text_bytes} bytes'} were not "
                "taken by the application, so the connection was closed with 1008: make its handlers faster"
                f"{', or raise Intake.max_texts' if is_many else ''}"
            )
            self._post(mail.Failed(self.id, error))
            self._close(1008, "too many unread messages")
            return
        self._pump(now)

    def on_pong(self, payload: bytes) -> None:
        """The router lives."""
        now = self._clock()
        self._liveness.last_received_at = now
        round_trip_ms = self._liveness.note_pong(now)
        if round_trip_ms is not None:
            self.published.round_trip_ms = round_trip_ms

    def on_writable(self, writable: bool) -> None:
        """Hold while the router does not read, for a bounded time."""
        now = self._clock()
        if writable:
            self._liveness.unblock()
            if not self._is_unsettled:
                self._schedule.release()
            self._play(now)
        else:
            self.published.stalls += 1
            self._schedule.hold()
            self._liveness.block(now, self._unsent_bytes)
        self._arm()

    def on_closed(self, closed: Closed) -> None:
        """End everything that waits, hand over what is left, and say how it ended."""
        now = self._clock()
        self._pacer.disarm(self)
        self.published.is_active = False
        how = self._how_ended(closed)
        self._schedule.flush(now, up_to_id=1 << 62)
        self._handle_events()
        self._publish()
        self.published.closed = how
        # Wanted or not: the application may be about to ask for it, and this is the last chance to hand it over.
        for item in self._buffer.take(len(self._buffer), now, unwanted_too=True):
            self._post(mail.Arrived(self.id, item))
        self._post(mail.Ended(self.id, how))
        for _, reply in self._room_waiters:
            _answer(reply, None)
        for reply in self._close_waiters:
            _answer(reply, how)
        for begun in self._speeches.values():
            _answer(begun.reply, Interrupted(0.0, 0.0))
        self._room_waiters.clear()
        self._close_waiters.clear()
        self._speeches.clear()
        self._on_end(self.id)

    # The pacer calls this.

    def wake(self, now: float) -> float | None:
        """Do what is due."""
        if self.published.closed is not None:
            return None
        if now >= self._settle_at:
            self._settle(now)
        self._play(now)
        if now >= self._liveness.next_deadline():
            self._mind_the_router(now)
        return self._next_deadline() if self.published.closed is None else None

    # The application's messages end here.

    def on_write(self, write: mail.Write) -> None:
        """The path of every outgoing frame."""
        now = self._clock()
        pcm = write.pcm
        schedule, transport = self._schedule, self._transport
        if (
            not (write.is_end or write.has_tail or self._speeches)
            and write.rate_hz == self._rate_hz
            and transport is not None
            and not transport.is_closing
            and schedule.pass_through(write.utterance_id, pcm, now)
        ):
            transport.send_audio(pcm)
            published = self.published
            published.audio_messages_sent += 1
            published.progress = schedule.progress()
            # No deadline comes earlier by it, so there is nothing to arm.
            return
        if write.rate_hz != self._rate_hz:
            # Converted for a format that the first message has changed meanwhile.
            converted = resample(pcm, write.rate_hz, self._format.rate_hz)
            schedule.accepted_bytes += len(pcm) - len(converted)
            pcm = converted
        schedule.write(write.utterance_id, pcm, now, has_tail=write.has_tail)
        if write.is_end:
            schedule.end(write.utterance_id, now)
        self._play(now)
        self._arm()

    def on_begin_speech(self, begun: mail.BeginSpeech) -> None:
        """An utterance that somebody follows."""
        if self._schedule.begin(begun.utterance_id) is None:
            _answer(begun.reply, Interrupted(0.0, 0.0))
        else:
            self._speeches[begun.utterance_id] = begun

    def on_send_text(self, message: mail.SendText) -> None:
        """Ahead of the queue, behind what the router was sent already."""
        payload = notify_payload(message.text)
        if payload is not None:
            self._notifies.append((payload, self._schedule.frames_sent_total))
        self._send_text(message.text)

    def on_flush(self, flush: mail.Flush) -> None:
        """Barge-in, all of it at once."""
        now = self._clock()
        flushed = self._schedule.flush(now, up_to_id=flush.up_to_id)
        self._notifies.clear()
        for command in self._clear_commands:
            self._send_text(command)
        self._handle_events()
        self._publish()
        self._answer_room()
        _answer(flush.reply, flushed)

    def on_await_room(self, wait: mail.AwaitRoom) -> None:
        """Answered when the queue has drained so far."""
        self._room_waiters.append((wait.taken_bytes, wait.reply))
        self._answer_room()
        self._arm()

    def on_await_played(self, wait: mail.AwaitPlayed) -> None:
        """Answered when all of now has been heard."""
        self._schedule.mark(wait.reply, self._clock())
        self._handle_events()
        self._arm()

    def on_await_closed(self, wait: mail.AwaitClosed) -> None:
        """Answered when the connection is over."""
        self._close_waiters.append(wait.reply)

    def on_set_lead(self, message: mail.SetLead) -> None:
        """Takes effect with the next frame."""
        self._schedule.set_lead(message.lead_s)
        self._play(self._clock())
        self._arm()

    def on_want(self, want: mail.Want) -> None:
        """The application can take more."""
        self._buffer.want(want.audio, want.texts, is_settled=want.is_settled)
        self._window += want.credit
        self._pump(self._clock())

    def on_close(self, close: mail.Close) -> None:
        """Ask for the end."""
        self._close(close.code, close.reason)

    def abort(self, code: int, reason: str) -> None:
        """End at once; ``code`` is what the application is told."""
        self._own_end = (code, reason)
        if self._transport is not None:
            self._transport.abort()

    # The gate: nothing is sent but here.

    def _play(self, now: float) -> None:
        schedule, transport = self._schedule, self._transport
        if transport is None or transport.is_closing:
            schedule.hold()  # what cannot be sent must not count as played
        frames = schedule.advance(now)
        if frames and transport is not None:
            for frame in frames:
                if transport.is_closing:
                    break  # the router went in the middle of a burst; the transport logs a warning for each write
                transport.send_audio(frame)
                self.published.audio_messages_sent += 1
            if self._liveness.is_blocked:
                self._liveness.note_unsent(self._unsent_bytes)
        if schedule.events:
            self._handle_events()
        self._publish()
        if self._room_waiters:
            self._answer_room()

    def _send_text(self, text: str) -> None:
        transport = self._transport
        if transport is None or transport.is_closing:
            return
        transport.send_text(text)
        self.published.text_messages_sent += 1
        if transport.write_buffer_bytes > MAX_UNSENT_BYTES:
            error = LimitError(
                f"{transport.write_buffer_bytes} bytes are unsent because the router does not read; "
                "the connection was ended. Send fewer text messages"
            )
            self._post(mail.Failed(self.id, error))
            self.abort(1006, "too much unsent data")

    def _close(self, code: int, reason: str) -> None:
        if self._transport is not None:
            self._transport.close(code, reason)
            self._schedule.hold()

    # Format, events, counters.

    def _settle(self, now: float) -> None:
        self._is_unsettled = False
        self._settle_at = float("inf")
        if not self._liveness.is_blocked:
            self._schedule.release()
            self._play(now)
            self._arm()

    def _note_first_message(self, event: Connected) -> None:
        if self.published.first_message is not None:
            return
        self.published.first_message = event
        if event.format is None:
            error = ProtocolError(
                f"the first message says content-type {event.content_type!r}; expected audio/l16 with rate "
                f"8000, 16000 or 24000. Going on with {self._format.rate_hz} Hz"
            )
            if event.content_type is not None:
                self._post(mail.Failed(self.id, error))
            return
        if event.format != self._format:
            old_hz, new_hz = self._rate_hz, event.format.rate_hz
            self._format = event.format
            self._rate_hz, self._frame_bytes = new_hz, event.format.frame_bytes
            self._schedule.change_format(event.format, lambda pcm: resample(pcm, old_hz, new_hz))
            self._buffer.max_audio_bytes = event.format.bytes_for_ms(self._max_buffer_ms)
        self.published.format = event.format

    def _note_notified(self, event: Notified, now: float) -> None:
        while self._notifies:
            payload, frame_index = self._notifies.popleft()
            if payload == event.payload:
                self._schedule.heard_at(frame_index, now)
                # What waits for this may be due already, before the deadline that was armed.
                self._play(now)
                self._arm()
                return

    def _handle_events(self) -> None:
        events, self._schedule.events = self._schedule.events, []
        for event in events:
            if isinstance(event, UtteranceEnded):
                begun = self._speeches.pop(event.utterance_id, None)
                if begun is not None:
                    _answer(begun.reply, event.outcome)
            elif isinstance(event, MarkReached):
                _answer(cast("mail.Reply[Any]", event.token), event.outcome)
            elif isinstance(event, TailWanted):
                self._post(mail.TailRequested(self.id, event.utterance_id))

    def _publish(self) -> None:
        schedule, published = self._schedule, self.published
        published.progress = schedule.progress()
        published.queued_peak_bytes = schedule.queued_peak_bytes
        published.underrun_ms = schedule.underrun_ms
        if self._speeches:
            for utterance in schedule.utterances():
                begun = self._speeches.get(utterance.id)
                if begun is not None:
                    begun.progress.progress = schedule.progress_of(utterance)

    def _answer_room(self) -> None:
        taken_bytes = self.published.progress.taken_bytes
        waiting = self._room_waiters
        self._room_waiters = [(least, reply) for least, reply in waiting if least > taken_bytes]
        for least, reply in waiting:
            if least <= taken_bytes:
                _answer(reply, None)

    def _pump(self, now: float) -> None:
        if self._window <= 0:
            return
        for item in self._buffer.take(self._window, now):
            self._window -= 1
            self._post(mail.Arrived(self.id, item))

    # Deadlines.

    def _arm(self) -> None:
        self._pacer.arm(self, self._next_deadline())

    def _next_deadline(self) -> float:
        housekeeping = min(self._liveness.next_deadline(), self._settle_at)
        play = self._schedule.next_deadline()
        return housekeeping if play is None or housekeeping < play else play

    @property
    def _unsent_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.write_buffer_bytes

    def _mind_the_router(self, now: float) -> None:
        if self._liveness.ping_is_due(now):
            self._ping(now)
        if self._liveness.is_silent(now):
            self._give_up_silent(now)
        if self._liveness.is_stalled(now, self._unsent_bytes):
            self._give_up_stalled()

    def _ping(self, now: float) -> None:
        if self._transport is not None and not self._transport.is_closing:
            self._transport.send_ping()
            self._liveness.note_ping(now, self._schedule.in_flight_ms(now) / 1000)

    def _give_up_silent(self, now: float) -> None:
        silent_s = now - self._liveness.last_received_at
        error = DeadlineError(
            f"the router answered no ping and sent nothing for {silent_s:.1f} s; the connection was closed with "
            "1011. Timeouts.ping_timeout_s sets the limit"
        )
        self._post(mail.Failed(self.id, error))
        self._close(1011, "keepalive ping timeout")

    def _give_up_stalled(self) -> None:
        error = RouterStalled(
            f"the router read nothing for {self._timeouts.stall_s:g} s while {self._schedule.queued_ms:.0f} ms of "
            "audio waited, so the connection was ended. Timeouts.stall_s sets the limit"
        )
        self._post(mail.Failed(self.id, error))
        self.abort(1006, "the router stopped reading")

    def _overflow_error(self) -> IntakeOverflow:
        return IntakeOverflow(
            f"more than {self._max_buffer_ms:g} ms of incoming audio waited for the application, so the oldest is "
            "being dropped: make the handlers faster, or raise Intake.max_buffer_ms. statistics() counts the rest"
        )

    def _how_ended(self, closed: Closed) -> Disconnected:
        if self._own_end is not None:
            return Disconnected(code=self._own_end[0], reason=self._own_end[1], closed_by="server")
        if closed.closed_by == "network" and self._announced_end:
            # The router says goodbye and then drops the socket: a normal end (PROTOCOL 1.22).
            return Disconnected(code=closed.code, reason="websocket:disconnected", closed_by="router")
        by: Any = _CLOSED_BY[closed.closed_by]
        return Disconnected(code=closed.code, reason=closed.reason, closed_by=by)


def _answer(reply: mail.Reply[Any], value: object) -> None:
    """Answer a reply whose asker may have gone, or who was answered when something else failed."""
    if not reply.done() and reply.set_running_or_notify_cancel():
        reply.set_result(value)
