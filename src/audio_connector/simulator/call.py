# SPDX-License-Identifier: Apache-2.0
"""One simulated call: what the media router says and does on one WebSocket.

The call is told of the socket through the `Receiver` callbacks and of the time through `LiveCall.tick`; it
owns no task, timer or thread. Frame k is due at the connection's opening plus k * 20 ms, a product and never
a running sum, so that a late wake-up delays one frame and not all that follow.

One tick does the steps that are due, sends a frame and answers notifies; the rest happens in the callbacks:

    on_open ─► connected ─► tick: steps, speech, silence ─► tick: silence for the tail ─► hang up
                   mute / unmute: media:update, and no frames while muted (PROTOCOL 2.7)
    on_closed ─► over, or for `Step.reconnect_s` on_open again, with the timeline where the clock is
"""

from __future__ import annotations

import math
from collections.abc import Callable

from audio_connector.audio.format import FRAME_MS
from audio_connector.audio.resample import resample
from audio_connector.simulator.commands import CommandDesk
from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.faults import FaultWatch
from audio_connector.simulator.network import Network
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.profile import Close
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Lines, cut_to_frames
from audio_connector.simulator.steps import StepRunner
from audio_connector.simulator.tally import Tally
from audio_connector.simulator.trace import Source, TraceEvent, TraceRecorder
from audio_connector.simulator.voice import Voice
from audio_connector.wire.codec import encode_event
from audio_connector.wire.messages import Connected, Disconnected, Dtmf, Event, MediaUpdate
from audio_connector.wire.transport import Closed, Transport, Upgrade

_FRAME_S = FRAME_MS / 1000
# The router's own queue to a server is about 1 s (PROTOCOL 2.9); what does not fit is dropped.
_QUEUE_S = 1.0
# Between a goodbye and the end of the TCP connection, so that the goodbye is not lost with it.
_GOODBYE_S = 0.1
_WRONG_SIZE = (
    "the router ended the call: a message of {got} bytes; it takes frames of {expected} (PROTOCOL 4.8)"
)


class LiveCall:
    """A call in progress; a `Receiver` of its socket.

    Args:
        call: What to do.
        lines: What to say, from `SpeechLibrary.lines_of`.
        clock: Seconds of a monotonic clock, the one that `tick` is called by.
        heard: Called with what the session hears, silence included.
        spoken: Called with what the participant says, silence included.
        on_begin: Called when a connection is open, with the time of the next tick.
        on_end: Called when a connection is over; where `redial_after_s` is a number, another one is to be
            made.
        on_event: Called with everything that happens, as it happens.
    """

    def __init__(
        self,
        call: RouterCall,
        lines: Lines,
        *,
        clock: Callable[[], float],
        heard: Sink | None = None,
        spoken: Sink | None = None,
        on_begin: Callable[[float], None] = lambda at: None,
        on_end: Callable[[], None] = lambda: None,
        on_event: Callable[[TraceEvent], None] = lambda event: None,
    ) -> None:
        self.call = call
        self.router = call.router
        audio_format = call.audio_format
        self._clock = clock
        self._heard = heard
        self._spoken = spoken
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_event = on_event
        self._trace = TraceRecorder(call.rate_hz) if call.trace else None
        self._observer = Observer()
        self.playout = PlayoutBuffer(
            audio_format,
            max_buffer_ms=self.router.max_buffer_frames * FRAME_MS,
            pause_after_ms=call.pause_after_ms,
            appends_short=self.router.short_messages == "append",
            record=self._record_heard if heard is not None or call.trace else None,
            on_play=lambda frame, at: self._observer.played(frame, at - self._opened_at),
        )
        self._zeros = bytes(audio_format.frame_bytes)
        wanted = len(lines.speech) if call.duration_s is None else round(call.duration_s / _FRAME_S)
        self._voice = Voice(lines.speech, ticks=wanted)
        self._steps = StepRunner(self, call.steps, lines.says)
        self._total_ticks = (
            math.inf
            if call.tail_s is None
            else max(wanted, self._steps.last_tick) + round(call.tail_s / _FRAME_S)
        )
        self._queue_bytes = int(audio_format.bytes_per_second * _QUEUE_S)
        self._transport: Transport | None = None
        self._network: Network | None = None
        self._opened_at = 0.0
        self._next_tick = 0
        self._abort_at: float | None = None
        self._is_muted = self._is_silent = False
        self._writable = True
        self._tally = Tally()
        self._faults = FaultWatch()
        self._commands = CommandDesk(
            self.router,
            call.impairments,
            playout=self.playout,
            observer=self._observer,
            tally=self._tally,
            send=self.send_event,
            note=self.note,
        )
        self.redial_after_s: float | None = None

    # Receiver

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Send the first message; the first frame is due now, or on its place in time after a reconnect."""
        del upgrade
        now = self._clock()
        self._transport = transport
        self._network = transport if isinstance(transport, Network) else None
        self._writable = True
        if self._tally.opened_at is None:
            self._opened_at = self._tally.opened_at = now
            self.playout.advance(now)
            self.note("router", "connected", self.call.url)
        else:
            self._resume(now)
        audio_format = self.call.audio_format
        self.send_event(
            Connected(
                format=audio_format,
                content_type=audio_format.content_type,
                headers=dict(self.call.headers),
                raw={},
            )
        )
        self._on_begin(now)

    def on_audio(self, payload: bytes) -> None:
        """Put a message of audio into the playout buffer."""
        now = self._clock()
        self._tally.bytes_received += len(payload)
        self._observer.received(now - self._opened_at)
        self.playout.receive(payload, now)
        excess = len(payload) - len(self._zeros)
        if (excess > 0 and self.router.long_messages == "end") or (
            excess < 0 and self.router.short_messages == "end"
        ):
            self._end_for_size(len(payload))

    def on_text(self, text: str) -> None:
        """Obey a command."""
        now = self._clock()
        self._tally.texts_received += 1
        self._tally.bytes_received += len(text)
        arrived_at = now if self._network is None else self._network.arrived_at
        self._commands.take(text, now, arrived_s=arrived_at - self._opened_at)

    def on_pong(self, payload: bytes) -> None:
        """Nothing: the router sends no pings (PROTOCOL 1.24)."""

    def on_writable(self, writable: bool) -> None:
        """Note whether the server reads."""
        self._writable = writable

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
        tally, now = self._tally, self._clock()
        self._transport = None
        self.playout.advance(now)
        who = {"us": "router", "peer": "server", "network": "network"}
        reason = f" {closed.reason!r}" if closed.reason else ""
        self.note(who[closed.closed_by], "closed", f"{closed.code}{reason}")  # type: ignore[arg-type]  # a Source
        if self.redial_after_s is None:
            tally.closed = closed
            tally.ended_at = now
        self._on_end()

    # The clock

    def tick(self, now: float) -> float | None:
        """Do what is due.

        Returns:
            When to call again; None when the connection is over.
        """
        transport, tally = self._transport, self._tally
        if tally.hung_up and self._abort_at is not None:
            return self._finish_goodbye(now)
        if transport is None or tally.hung_up or transport.is_closing:
            return None
        due = self._opened_at + self._next_tick * _FRAME_S
        if due <= now:
            tally.latest_tick_s = max(tally.latest_tick_s, now - due)
        while due <= now:
            self._steps.run(self._next_tick)
            if self._next_tick >= self._total_ticks:
                self.hang_up()
            if tally.hung_up or transport.is_closing:
                return self._abort_at
            self._say(self._next_tick, now)
            self._next_tick += 1
            due = self._opened_at + self._next_tick * _FRAME_S
        self._listen(now)
        return due

    # What a test or a live view may do

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    @property
    def is_muted(self) -> bool:
        """Whether the participant is muted."""
        return self._is_muted

    @property
    def now_s(self) -> float:
        """Seconds since the connection was made."""
        return self._clock() - self._opened_at if self._tally.opened_at is not None else 0.0

    @property
    def planned_s(self) -> float:
        """How long the call is meant to last, in seconds; infinite where it lasts until somebody hangs up."""
        return self._total_ticks * _FRAME_S

    @property
    def unsaid_ms(self) -> int:
        """Speech that was put in and is not said yet."""
        return self._voice.waiting_frames * FRAME_MS

    def say(self, pcm: bytes, rate_hz: int | None = None) -> float:
        """Speak, after what is being said.

        Args:
            pcm: 16-bit little-endian mono PCM; its last frame is padded with silence.
            rate_hz: Its rate, the call's by default.

        Returns:
            When it will have been said, in seconds since the connection was made.
        """
        if rate_hz is not None and rate_hz != self.call.rate_hz:
            pcm = resample(pcm, rate_hz, self.call.rate_hz)
        frames = cut_to_frames(pcm, self.call.audio_format)
        self.say_frames(frames)
        return (self._next_tick + self._voice.waiting_frames) * _FRAME_S

    def say_frames(self, frames: tuple[bytes, ...]) -> None:
        """Speak whole frames of the call's format."""
        self._voice.put_in(frames)

    def stop_speaking(self) -> None:
        """Break off what is being said."""
        self._voice.stop()

    def mute(self) -> None:
        """Mute the participant: an event, and no frames until `unmute`."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Let the participant be heard again."""
        self._set_muted(False)

    def send_no_frames(self, wanted: bool = True) -> None:
        """Send no frames while the participant says nothing (PROTOCOL 2.8), or send them again."""
        self._is_silent = wanted

    def press(self, digit: str, duration_ms: int | None = 260) -> None:
        """Press a telephone key (PROTOCOL 2 websocket:dtmf)."""
        self.note("participant", "key", digit)
        self.send_event(Dtmf(digit=digit, duration_ms=duration_ms, raw={}))

    def hang_up(self, how: Close | None = None) -> None:
        """End the call now, as the router's profile does or as ``how`` says; more than once is fine."""
        if self._transport is None or self._tally.hung_up:
            return
        self._tally.hung_up = True
        how = how or self.router.close
        self.note("router", "hang up", how)
        if self._network is not None and self._network.is_half_open:
            # See first how the server ended what it could not know to be alive.
            self._network.look()
            self._abort_at = self._clock() + _GOODBYE_S
            return
        if how != "abrupt":
            self.send_event(
                Disconnected(code=None, reason="websocket:disconnected", closed_by="router", raw={})
            )
        if how == "announce":
            self._transport.close(1000)
        elif how == "goodbye":
            self._abort_at = self._clock() + _GOODBYE_S
        else:
            self._transport.abort()

    def reset(self) -> None:
        """Reset the connection, as a router does that crashes."""
        if self._transport is not None:
            self.note("network", "reset")
            self._transport.reset()

    def reconnect(self, after_s: float) -> None:
        """Reset the connection, and let it be made again after so many seconds."""
        if self._transport is not None:
            self.redial_after_s = after_s
            self.reset()

    def abort(self) -> None:
        """Drop the connection, where there is one, without a word."""
        self.redial_after_s = None
        if self._transport is not None:
            self._transport.abort()

    def send_event(self, event: Event) -> None:
        """Send an event as the router does, leading blank included (PROTOCOL 2.1); nothing after the end."""
        if self.send_text(encode_event(event, leading_blank=True)):
            self._tally.keep_event(type(event).__name__)

    def send_text(self, text: str) -> bool:
        """Send a text as it is; False after the end, where nothing is sent."""
        if self._transport is None or self._transport.is_closing:
            return False
        self._transport.send_text(text)
        self._tally.bytes_sent += len(text)
        return True

    def send_audio(self, payload: bytes) -> None:
        """Send a binary message of any size, beside the speech."""
        if self._transport is not None and not self._transport.is_closing:
            self._transport.send_audio(payload)
            self._tally.bytes_sent += len(payload)

    def send_raw(self, data: bytes) -> None:
        """Send bytes outside any frame."""
        if self._transport is not None and not self._transport.is_closing:
            self._transport.write_raw(data)

    @property
    def network(self) -> Network:
        """What can be done to the network of this call.

        Raises:
            RuntimeError: The call has none, because it is not open, or its socket is driven by hand.
        """
        if self._network is None:
            raise RuntimeError(
                "this call has no simulated network: it is not open, or was not made by a Router"
            )
        return self._network

    def note(self, source: Source, name: str, detail: str = "", *, for_s: float = 0.0) -> None:
        """Note that something happened now, or begins now and lasts so many seconds."""
        event = TraceEvent(self.now_s, source, name, detail, for_s)
        if self._trace is not None:
            self._trace.log.add(event)
        self._on_event(event)

    def fail_redial(self, why: str) -> None:
        """The connection could not be made again."""
        self._tally.redial_error = why
        self.redial_after_s = None
        self._tally.ended_at = self._clock()

    def report(self, *, with_trace: bool = True) -> CallReport:
        """What was seen so far; final once the connection is over.

        Args:
            with_trace: Draw up the call over time too, where it is kept; it takes a millisecond.
        """
        now = self._clock() if self._tally.ended_at is None else self._tally.ended_at
        playout = self.playout.report(now)
        self._note_silence(now)
        trace = self._trace.trace() if self._trace is not None and with_trace else None
        return self._tally.report(self.call, playout, now, observer=self._observer, trace=trace)

    # Inside

    def _resume(self, now: float) -> None:
        """The connection was made again: the router's buffer is a new one, and time went on."""
        self.redial_after_s = None
        self._tally.reconnects += 1
        self.playout.clear(now)
        self._commands.forget()
        self.note("router", "connected again", self.call.url)
        while self._opened_at + (self._next_tick + 1) * _FRAME_S <= now:
            self._say(self._next_tick, now, is_lost=True)
            self._next_tick += 1

    def _say(self, tick: int, now: float, *, is_lost: bool = False) -> None:
        said = self._voice.next()
        frame = self._zeros if said is None or self._is_muted else said
        is_speech = frame.count(0) != len(frame)
        self._observer.said(frame, tick * _FRAME_S)
        if self._spoken is not None:
            self._spoken(frame)
        if self._trace is not None:
            self._trace.spoken.write(frame)
        if (
            is_lost
            or self._is_muted
            or (not is_speech and (self._is_silent or self.router.silence == "none"))
        ):
            return
        tally, transport = self._tally, self._transport
        if transport is None:
            return
        if not self._writable and transport.write_buffer_bytes > self._queue_bytes:
            tally.frames_dropped += 1
            return
        transport.send_audio(frame)
        tally.bytes_sent += len(frame)
        tally.frames_sent += 1
        if is_speech:
            tally.speech_frames_sent += 1
            if tally.first_speech_at is None:
                tally.first_speech_at = now

    def _listen(self, now: float) -> None:
        playout = self.playout
        playout.advance(now)
        self._note_silence(now)
        self._commands.answer(now)
        if self._trace is not None:
            self._trace.depth_ms.note(now - self._opened_at, float(playout.buffered_ms))
        for name, detail in self._faults.new(playout, now):
            self.note("server", name, detail)

    def _note_silence(self, now: float) -> None:
        if self._observer.has_open and self.playout.is_idle(now):
            self._observer.silent(self.playout.silent_at - self._opened_at, now - self._opened_at)

    def _end_for_size(self, got_bytes: int) -> None:
        if self._transport is not None and self._tally.router_ended is None:
            self._tally.router_ended = _WRONG_SIZE.format(got=got_bytes, expected=len(self._zeros))
            self.note("router", "hang up", self._tally.router_ended)
            self._transport.abort()

    def _finish_goodbye(self, now: float) -> float | None:
        if self._transport is None or self._abort_at is None:
            return None
        if now < self._abort_at:
            return self._abort_at
        self._transport.abort()
        return None

    def _set_muted(self, muted: bool) -> None:
        if muted != self._is_muted and self.is_open:
            self._is_muted = muted
            self.note("participant", "mute" if muted else "unmute")
            self.send_event(MediaUpdate(active=not muted, raw={}))

    def _record_heard(self, pcm: bytes) -> None:
        if self._heard is not None:
            self._heard(pcm)
        if self._trace is not None:
            self._trace.heard.write(pcm)
