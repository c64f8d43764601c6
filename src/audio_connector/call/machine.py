# SPDX-License-Identifier: Apache-2.0
"""One call as a machine: no socket, no clock, no task.

What goes in: what the wire brought (`audio_received` and the like), what the application asks (`ask`), and the time.
What comes out: `tells` for the application, `writes` for the wire, and `next_deadline`, at which `wake` has
something to do. Calling it early, late or twice is legal. Its states are the table in ``states.py``; liveness,
playback and intake are machines of their own that it asks.
"""

from __future__ import annotations

import math
from typing import Any

from audio_connector.audio.format import FORMAT_BY_FRAME, FRAME_MS, AudioFormat, may_be_pcm
from audio_connector.call import asks, faults, tells
from audio_connector.call.ends import how_ended
from audio_connector.call.handed import MANY, Handed
from audio_connector.call.notifies import Notifies
from audio_connector.call.settings import Intake, Playback, Timeouts
from audio_connector.call.speaking import ask_queue
from audio_connector.call.states import TABLE, Move, State
from audio_connector.call.texts import TextQueue
from audio_connector.call.writes import Abort, Ping, Write
from audio_connector.intake.buffer import IntakeBuffer
from audio_connector.intake.items import TextItem
from audio_connector.playback.schedule import NO_LIMIT
from audio_connector.playback.speech import PLAIN, Answered
from audio_connector.wire.closing import ABNORMAL, FLOODED, TOO_BIG, UNSUPPORTED
from audio_connector.wire.codec import decode_event, held_bytes, notify_payload
from audio_connector.wire.messages import Connected, Disconnected, MediaUpdate, Notified
from audio_connector.wire.transport import Closed, Upgrade


class Call:
    """The machine of one call. It ``is_known`` where a router that dials again could be told by who it is."""

    def __init__(
        self,
        playback: Playback,
        intake: Intake,
        timeouts: Timeouts,
        *,
        is_known: bool = True,
        is_movable: bool = False,
    ) -> None:
        self.state = State.UNSETTLED
        self.tells: list[tells.Tell] = []  # for the application; whoever drives this takes them
        self.has_news = False
        """The figures have changed in a way that the application has to see with the next tell."""
        self.is_stale = False
        """They have changed in another way, which it need not see at once."""
        self.unreadable_messages = 0
        """Texts that should have been audio in JSON; counted by who reads them."""
        self._playback, self._intake, self._timeouts = playback, intake, timeouts
        self.schedule, self._queue = playback.machines()
        self.buffer: IntakeBuffer[TextItem] = IntakeBuffer(max_audio_bytes=0, max_texts=intake.max_texts)
        self._window = intake.window_messages
        self._handed = Handed(intake.window_messages) if is_movable else None
        """What was handed over lately, for another application to take it up; None where there can be no other."""
        self.upgrade: Upgrade | None = None
        self.takeovers, self._trace = 0, ""
        self.is_released = False  # by the application, which has no part in the call any more
        self._resume_s = timeouts.resume_s if is_known else None
        self._gives_up_at = math.inf  # the time when a router that was lost is not waited for any longer
        self._is_first_text = True
        self._texts = TextQueue()
        self._urgent: list[Write] = []
        self.liveness = timeouts.liveness()
        self._take_format(AudioFormat())
        self.first_message: Connected | None = None
        self._is_guessed = True  # nothing of the router has said the format yet
        self._settle_at = math.inf
        self._notifies = Notifies()
        self._is_cleared = False
        self._announced_end = False
        self._own_end: Disconnected | None = None
        self.end: Disconnected | None = None  # how it has ended
        self._audio_messages_sent = self._text_messages_sent = self._odd_messages = self._stalls = 0
        self._unsent_ms = 0.0
        self._round_trip_ms: float | None = None
        self._is_active = True

    # What the wire brought.

    def opened(self, upgrade: Upgrade, now: float) -> None:
        """The upgrade is done."""
        self.liveness.start(now)
        self._settle_at = now + self._timeouts.first_message_s
        self.upgrade = upgrade
        self.tells.append(tells.Opened(upgrade))

    def lost(self, closed: Closed, now: float) -> bool:
        """The socket has ended; True where the router may dial again, and False where it is the end."""
        resume_s = self._resume_s
        if resume_s is None or closed.closed_by != "network" or not self.can_resume:
            return False
        self._gives_up_at, self._settle_at = now + resume_s, math.inf
        self._urgent = []
        self.liveness.stop()
        self.buffer.note_active(True, now)  # what does not come meanwhile is no gap
        self._move(Move.LOSE)
        self.tells.append(tells.Lost(resume_s))
        return True

    def resumed(self, upgrade: Upgrade, now: float) -> None:
        """The router has dialled again: its first message comes anew."""
        self.liveness.start(now)
        self._gives_up_at, self._settle_at = math.inf, now + self._timeouts.first_message_s
        self.upgrade, self.first_message = upgrade, None
        self._queue.is_labelled |= not self._is_guessed  # what was written is of the rate that was told
        self._is_guessed = self._is_first_text = self._is_active = True
        self._is_cleared = False
        self._notifies.clear()
        self._queue.restart(now)
        self._move(Move.RESUME)
        if not self._playback.keeps_on_resume:
            self._queue.flush(now)
            self._take_events()
        self.tells.append(tells.Resumed(upgrade))

    @property
    def can_resume(self) -> bool:
        """The router may dial again: nobody has said that the call is to end."""
        is_ending = self._announced_end or self.state in (State.CLOSING, State.CLOSED)
        return self._resume_s is not None and not is_ending

    def audio_received(self, payload: bytes, now: float) -> bool:
        """The path of every incoming frame; True where it goes straight on to the application, behind `tells`."""
        self.liveness.last_received_at = self.liveness.ages.last_message_at = now
        self.is_stale = True
        size_bytes = len(payload)
        if self._is_guessed and size_bytes in FORMAT_BY_FRAME:
            self._settle(FORMAT_BY_FRAME[size_bytes], now)
        if not size_bytes:
            return False
        buffer = self.buffer
        buffer.note_audio(size_bytes, now)
        if size_bytes != self.schedule.frame_bytes:
            self._odd_messages += 1
        if self._window > 0 and buffer.wants_audio and not buffer.audio_bytes:
            self._window -= 1
            if self._handed is not None:
                self._handed.add(payload)
            return True
        if buffer.push_audio(payload, now):
            self._fail(faults.overflow(self._intake.max_buffer_ms))
        return False

    def text_received(self, text: str, now: float) -> None:
        """Note what a text says about the connection, and hand it on."""
        self.liveness.last_received_at = self.liveness.ages.last_message_at = now
        self.is_stale = True
        buffer = self.buffer
        event = decode_event(text, is_first=self._is_first_text)
        self._is_first_text = False
        buffer.counters.text_messages += 1
        if isinstance(event, Connected):
            self._note_first_message(event, now)
        elif isinstance(event, MediaUpdate):
            buffer.note_active(event.active, now)
            self._is_active, self.has_news = event.active, True
        elif isinstance(event, Disconnected):
            self._announced_end = True
        elif isinstance(event, Notified):
            self._note_notified(event, now)
        if not buffer.push_text(TextItem(text, event), held_bytes(text)):
            self._fail(faults.too_many_texts(len(buffer.texts), buffer.text_bytes, buffer.max_texts))
            self.close(1008, "too many unread messages")
        else:
            self._pump(now)

    def pong_received(self, now: float) -> float | None:
        """The router lives. Returns the round trip in ms, where it is an answer to a ping of ours."""
        self.liveness.last_received_at = now
        round_trip_ms = self.liveness.note_pong(now)
        if round_trip_ms is not None:
            self._round_trip_ms, self.has_news = round_trip_ms, True
        return round_trip_ms

    def writable_changed(self, writable: bool, unsent_bytes: int, now: float) -> None:
        """The write buffer has drained, or has filled up: hold, for a bounded time."""
        self._is_cleared = False
        if writable:
            self.liveness.unblock()
        else:
            self._stalls += 1
            self.liveness.block(now, unsent_bytes)
        self._move(Move.UNBLOCK if writable else Move.BLOCK)

    def ended(self, closed: Closed, now: float) -> None:
        """End everything that waits, hand over what is left, and say how it ended."""
        self.end = how = self._own_end or how_ended(closed, is_announced=self._announced_end)
        if closed.closed_by == "us" and self.state is not State.CLOSING and closed.code in (FLOODED, TOO_BIG):
            self._fail(faults.over_limit(closed.code, closed.reason))  # the wire's doing
        self._move(Move.END)
        self._is_active = False
        self._unsent_ms = self.schedule.queued_ms
        self._queue.flush(now)
        self._take_events()
        # Wanted or not: the application may be about to ask for it, and this is the last chance to hand it over.
        self.tells += self.buffer.take(len(self.buffer), now, unwanted_too=True)
        self.tells.append(tells.Ended(how))
        self.has_news = True

    # What the application asks.

    def ask(self, ask: asks.Ask, now: float) -> None:
        """Do what the application asks; what follows from it is in `tells` and `writes`."""
        self.is_stale = True
        if type(ask) is bytes:  # the path of every outgoing frame
            self._queue.write(PLAIN, ask, None, now)
        elif type(ask) is asks.Write:  # and that of a speech
            self._queue.write(ask.lane, ask.pcm, ask.rate_hz, now, is_end=ask.is_end)
        else:
            self._do(ask, now)

    def release(self) -> None:
        """Have the application end its part, so that another one can take the call; it is handed nothing more."""
        self._window = -self._window - MANY
        self.tells.append(tells.Release())

    def hand_over(self, now: float, *, is_first: bool = False, replays: bool = False) -> None:
        """Tell another application all that it has to know; nobody of the one before is waited for any more.

        What that has written is heard. What it was handed and has not handled is handed over again; where it
        ``replays``, so is all audio of the last `Intake.replay_ms`. With ``is_first`` there was none before.
        """
        if self.upgrade is None or self.state is State.CLOSED:
            return
        self._queue.abandon(now)
        self._texts.abandon()
        self._window = self._intake.window_messages
        replay_bytes = self.format.bytes_for_ms(self._intake.replay_ms) if replays else 0
        if self._handed is not None:
            if self.is_released:  # credit comes in batches, so the count may not have come down
                self._handed.unhandled = 0
            self.buffer.put_back(self._handed.take(replay_bytes), now)
        self._queue.events.clear()
        self.takeovers += not is_first
        self.is_released = False
        self.tells = [tells.Opened(self.upgrade, self.takeovers, self._trace)]
        if self._settle_at == math.inf or self.first_message is not None:
            self.tells.append(tells.Settled(self.format, self.first_message))
        self.has_news = True

    def is_at_rest(self, now: float) -> bool:
        """Nothing is being said, and nobody has begun to."""
        return self.schedule.is_at_rest(now) and not self._queue.is_owed

    def lose(self) -> None:
        """The wire closes by itself: nothing more can be sent over it."""
        self._move(Move.LOSE)

    @property
    def can_send(self) -> bool:
        """False while there is no socket, and from the first close frame, or the end, on."""
        return self.state in (State.UNSETTLED, State.OPEN, State.HELD)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing is sent afterwards."""
        if self.state not in (State.CLOSING, State.CLOSED):
            self._urgent.append(asks.Close(code, reason))
            self._move(Move.CLOSE)

    def abort(self, code: int, reason: str) -> None:
        """End at once; ``code`` is what the application is told."""
        if self._own_end is None:
            self._own_end = Disconnected(code=code, reason=reason, closed_by="server")
        self._drop(Move.CLOSE)

    # What follows.

    def wake(self, now: float, unsent_bytes: int) -> None:
        """Do what is due."""
        if self.state is State.CLOSED:
            return
        if now >= self._settle_at:
            self._settle(self.format, now, is_guess=True)
        if now >= self._gives_up_at:
            self._gives_up_at = math.inf
            self._drop(Move.CLOSE)
        liveness = self.liveness
        if now < liveness.next_deadline():
            return
        if liveness.ping_is_due(now) and self.can_send:
            self._urgent.append(Ping())
            liveness.note_ping(now, self.schedule.in_flight_ms(now) / 1000)
        if liveness.is_silent(now):
            self._fail(faults.silent(now - liveness.last_received_at, may_resume=self.can_resume))
            if self.can_resume:
                self._drop(Move.LOSE)
            else:
                self.close(1011, "keepalive ping timeout")
        self._end_by_age(now)
        if liveness.is_stalled(now, unsent_bytes):
            queued_ms = self.schedule.queued_ms
            self._fail(faults.stalled(self._timeouts.stall_s, queued_ms, may_resume=self.can_resume))
            if self.can_resume:
                self._drop(Move.LOSE)
            else:
                self.abort(ABNORMAL, "the router stopped reading")

    def writes(self, now: float, limit: int = NO_LIMIT) -> list[Any]:
        """Return each `Write` to be sent now, in order; where ``limit`` frames of audio are among them, ask again."""
        frames: list[Any] = self._queue.advance(now, limit)
        if self._queue.events:
            self._take_events()
        if frames:
            self._audio_messages_sent += len(frames)
            self.is_stale = True
        if self._urgent or self._texts.waiting or self._texts.line:
            return self._words() + frames
        return frames

    def next_deadline(self) -> float:
        """When there is something to do by itself; infinity for never."""
        if self.state is State.CLOSED:
            return math.inf
        return min(
            self.liveness.next_deadline(), self._settle_at, self._gives_up_at, self._queue.next_deadline()
        )

    def figures(self, *, is_told: bool = True) -> tells.Figures:
        """Return how it is; where that ``is_told``, it is no news any more then."""
        schedule, queue, utterances = self.schedule, self._queue, self.schedule.utterances()
        if is_told:  # they go on while others may wait for somebody: by them one finds who is gone
            self.has_news, self.is_stale = False, queue.is_owed or bool(self._texts.line)
        return tells.Figures(
            progress=schedule.progress(),
            speeches=tuple((u.lane, schedule.progress_of(u)) for u in utterances if u.lane != PLAIN),
            accepted_bytes=queue.accepted_bytes,
            queued_bytes=schedule.queued_bytes,
            texts_taken=self._texts.taken,
            intake=self.buffer.counters.snapshot(),
            is_active=self._is_active and self.state is not State.LOST,
            audio_messages_sent=self._audio_messages_sent,
            text_messages_sent=self._text_messages_sent,
            odd_messages=self._odd_messages,
            unreadable_messages=self.unreadable_messages,
            queued_peak_bytes=schedule.queued_peak_bytes,
            underruns=schedule.underruns,
            underrun_ms=schedule.underrun_ms,
            skips=queue.skips,
            skipped_ms=float(schedule.skipped_frames * FRAME_MS),
            stalls=self._stalls,
            unsent_ms=self._unsent_ms,
            round_trip_ms=self._round_trip_ms,
        )

    # Asks, one by one.

    def _do(self, ask: asks.Ask, now: float) -> None:
        queue = self._queue
        match ask:
            case asks.Want(audio, texts, credit, is_settled):
                self.buffer.want(audio, texts, is_settled=is_settled)
                self._window += credit
                if self._handed is not None:
                    self._handed.unhandled -= credit
                self._pump(now)
            case asks.Leave(token):
                self._texts.leave(token)
                queue.leave(token, now)
            case asks.Flush(token):
                flushed = queue.flush(now)
                self._clear()
                self._take_events()
                self.tells.append(Answered(token, flushed))
            case asks.PauseSpeech(lane, token):
                if queue.pause(lane, token, now):
                    self._clear()
            case asks.ResumeSpeech(lane):
                queue.go_on(lane, now)
                self.has_news = True  # what is played is worked out from the run that begins
            case _:
                if not ask_queue(queue, ask, now):
                    self._do_beside_audio(ask)

    def _do_beside_audio(self, ask: asks.Ask) -> None:
        match ask:
            case asks.SendText(text, token):
                payload = notify_payload(text)
                if payload is not None:
                    self._notifies.add(payload, self.schedule.clock.sent_in_all)
                self._texts.push(text, token)
            case asks.StandInTextLine(token):
                self._texts.line.append(token)
            case asks.Unread(ms, is_first):
                self.buffer.note_unread(ms, self.format, is_first=is_first)
            case asks.Close(code, reason):
                self.close(code, reason)
            case asks.Released():
                self.is_released = True
            case asks.Traced(traceparent):
                self._trace = traceparent

    def _clear(self) -> None:
        """Have the router drop what it has."""
        self._notifies.clear()
        if self.can_send and not self._is_cleared:
            self._urgent += self._playback.clear_commands
            # Nothing follows it until the router reads again, so that one is enough.
            self._is_cleared = self.liveness.is_blocked

    # States.

    def _end_by_age(self, now: float) -> None:
        ages = self.liveness.ages
        if self.state is State.CLOSING:
            ages.stop()
        elif (met := ages.overrun(now)) is not None:
            code, reason, error = faults.too_old(*met)
            self._fail(error)
            self.close(code, reason)

    def _drop(self, move: Move) -> None:
        """End the socket at once, if there is one."""
        self._urgent.append(Abort())
        self._move(move)

    def _move(self, move: Move) -> None:
        self.state = TABLE[self.state].get(move, self.state)
        # What cannot be sent must not count as played.
        self.schedule.is_held = self.state is not State.OPEN
        self.has_news = True

    def _take_format(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self.buffer.max_audio_bytes = audio_format.bytes_for_ms(self._intake.max_buffer_ms)
        if self._handed is not None:
            self._handed.max_bytes = audio_format.bytes_for_ms(self._intake.replay_ms)
        self._queue.max_bytes = audio_format.bytes_for_ms(self._playback.max_buffer_s * 1000)

    def _settle(self, audio_format: AudioFormat, now: float, *, is_guess: bool = False) -> None:
        """The format is known, or nothing has said it in time."""
        self._settle_at = math.inf
        self._is_guessed = is_guess
        if audio_format != self._queue.format:
            self.buffer.counters.last_as_long(self.format.rate_hz, audio_format.rate_hz)
            self._take_format(audio_format)
            self._queue.settle(audio_format, now)
        self.tells.append(tells.Settled(audio_format, self.first_message))
        self._move(Move.SETTLE)
        if self.liveness.is_blocked:
            self._move(Move.BLOCK)

    def _note_first_message(self, event: Connected, now: float) -> None:
        if self.first_message is not None:
            return
        self.first_message = event
        if event.format is not None:
            self._settle(event.format, now)
            return
        if event.content_type is not None and not may_be_pcm(event.content_type):
            self._fail(faults.no_pcm(event.content_type))
            self.close(UNSUPPORTED, "not mono 16-bit PCM")
        elif event.content_type is not None:
            self._fail(faults.unknown_format(event.content_type))
        # Who it is, all the same; the rate is not guessed as long as something may still tell it.
        self.tells.append(tells.Settled(self.format, event))

    # Words, beside audio.

    def _words(self) -> list[Any]:
        words, self._urgent = self._urgent, []
        if self.state in (State.UNSETTLED, State.OPEN) and not self.liveness.is_blocked:
            words += self._texts.take()
            self.has_news = True
        token = self._texts.grant()
        if token is not None:
            self.tells.append(Answered(token, True))
        self._text_messages_sent += sum(type(word) is str for word in words)
        return words

    def _take_events(self) -> None:
        events, self._queue.events = self._queue.events, []
        for event in events:
            if isinstance(event, Exception):
                self._fail(event)
            else:
                self.tells.append(tells.Warned(event) if isinstance(event, str) else event)
        self.has_news = True

    def _fail(self, error: Exception) -> None:
        self.tells.append(tells.Failed.of(error))

    def _pump(self, now: float) -> None:
        if self._window > 0:
            items = self.buffer.take(self._window, now)
            self._window -= len(items)
            self.tells += items
            if self._handed is not None:
                self._handed.add_all(items)

    def _note_notified(self, event: Notified, now: float) -> None:
        frame_index = self._notifies.take(event.payload)
        if frame_index is not None:
            self.schedule.clock.correct(now, frame_index)
            self.has_news = True
