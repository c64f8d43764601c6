# SPDX-License-Identifier: Apache-2.0
"""One simulated call: what the media router says and does on one WebSocket.

The call is told of the socket through the `Receiver` callbacks and of the time through `LiveCall.tick`; it
owns no task, timer or thread. Frame k is due at the connection's opening plus k * 20 ms, a product and never
a running sum, so that a late wake-up delays one frame and not all that follow.

One tick does the steps that are due, sends a frame and answers notifies; the rest happens in the callbacks:

    on_open ─► connected ─► tick: steps, speech, silence ─► tick: silence for the tail ─► hang up
                   mute / unmute: media:update, and no frames while muted (PROTOCOL 2.7)
    on_closed ─► over, or for `Step.reconnect_s` on_open again: what was missed is made up for, unheard
"""

from __future__ import annotations

import math
from collections.abc import Callable

from audio_connector.audio.format import FRAME_MS
from audio_connector.audio.resample import resample
from audio_connector.simulator.activity import Level
from audio_connector.simulator.commands import CommandDesk
from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.faults import FaultWatch
from audio_connector.simulator.network import Network
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.outgoing import Outgoing
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.profile import Close
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Lines, cut_to_frames
from audio_connector.simulator.steps import StepRunner
from audio_connector.simulator.talk.ear import Ear
from audio_connector.simulator.tally import Tally
from audio_connector.simulator.trace import Source, TraceEvent
from audio_connector.simulator.voice import Voice
from audio_connector.simulator.witness import Witness
from audio_connector.wire.messages import Connected, Disconnected, Dtmf, Event, MediaUpdate
from audio_connector.wire.transport import Closed, Transport, Upgrade

_FRAME_S = FRAME_MS / 1000
_NOTHING, _LOUD = Level.NOTHING, Level.LOUD  # looked up four times per frame
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
        on_end: Called when a connection is over; with a number in `redial_after_s` another one is to be made.
        on_event: Called with everything that happens, as it happens.
        on_text: Called with each text of the server, commands included, before it is obeyed.
        ear: Understands what the bot says.
    """

    def __init__(  # noqa: PLR0913 - whoever is told of it has an argument
        self,
        call: RouterCall,
        lines: Lines,
        *,
        clock: Callable[[], float],
        heard: Sink | None = None,
        spoken: Sink | None = None,
        on_begin: Callable[[float], None] = lambda at: None,
        on_end: Callable[[], None] = lambda: None,
        on_event: Callable[[TraceEvent], None] | None = None,
        on_text: Callable[[str], None] | None = None,
        ear: Ear | None = None,
    ) -> None:
        self.call = call
        self.router = call.router
        audio_format = call.audio_format
        self._clock = clock
        self._spoken = spoken
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_text = on_text
        self._observer = Observer(audio_format.frame_bytes, waiting=lambda: self.playout.waiting)
        self._witness = Witness(call, self._observer, ear=ear, heard=heard, on_event=on_event)
        self._trace = self._witness.recorder
        self._is_watched = self._witness.is_watching
        self.playout = PlayoutBuffer(
            audio_format,
            max_buffer_ms=self.router.max_buffer_frames * FRAME_MS,
            pause_after_ms=call.pause_after_ms,
            appends_short=self.router.short_messages == "append",
            record=self._witness.record,
            on_play=self._witness.played,
            on_underrun=self._witness.note_hole,
        )
        self._frame_bytes = audio_format.frame_bytes
        self._zeros = bytes(audio_format.frame_bytes)
        self._wanted = len(lines.speech) if call.duration_s is None else round(call.duration_s / _FRAME_S)
        self._tail: float = math.inf if call.listens_s is None else round(call.listens_s / _FRAME_S)
        self._voice = Voice(lines.speech, ticks=self._wanted)
        self._opened_at = 0.0
        self._next_tick = 0
        speech_ticks = self._voice.waiting_frames
        self._steps = StepRunner(self, call.steps, lines.says, speech_ticks=speech_ticks, ear=ear)
        self._total_ticks = max(self._wanted, self._steps.last_tick) + self._tail
        self._stop_tick: float = min(self._steps.next_tick, self._total_ticks)
        self._abort_at: float | None = None
        self._is_ticking = self._is_over = False
        self._is_muted = False
        self._sends_silence = self.router.silence == "frames"
        self._tally = Tally()
        self.out = Outgoing(audio_format, self._tally)
        self._faults = FaultWatch()
        self._commands = CommandDesk(
            self.router,
            call.impairments,
            playout=self.playout,
            observer=self._observer,
            tally=self._tally,
            send=self.out.event,
            note=self.note,
        )
        self.redial_after_s: float | None = None

    # Receiver

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Send the first message; the first frame is due now, or on its place in time after a reconnect."""
        del upgrade
        if self._is_over:  # while it was dialled
            transport.abort()
            return
        now, tally = self._clock(), self._tally
        is_first = tally.opened_at is None
        self.out.begin(transport)
        if is_first:
            self._opened_at = self._observer.origin = tally.opened_at = now
            self.playout.advance(now)
        else:
            self.redial_after_s = None
            tally.reconnects += 1
        self.note("router", "connected" if is_first else "connected again", self.call.address)
        audio_format = self.call.audio_format
        if is_first and self.call.speech is not None:
            self._note_line(self.call.speech, 0, self._voice.waiting_frames)
        self.send_event(
            Connected(
                format=audio_format,
                content_type=audio_format.content_type,
                headers=dict(self.call.headers),
                raw={},
            )
        )
        if not is_first:
            self._make_up_for(now)
        if not self._is_ticking:
            self._is_ticking = True
            self._on_begin(now)

    def on_audio(self, payload: bytes) -> None:
        """Put a message of audio into the playout buffer."""
        now = self._clock()
        self._tally.bytes_received += len(payload)
        self._observer.received(payload, now)
        self.playout.receive(payload, now)
        excess = len(payload) - self._frame_bytes
        if excess and (self.router.long_messages if excess > 0 else self.router.short_messages) == "end":
            self._end_for_size(len(payload))

    def on_text(self, text: str) -> None:
        """Obey a command."""
        now = self._clock()
        self._tally.texts_received += 1
        self._tally.bytes_received += len(text)
        if self._on_text is not None:
            self._on_text(text)
        network = self.out.network
        self._commands.take(text, now, arrived_at=now if network is None else network.arrived_at)

    def on_bad_audio(self, why: str) -> None:
        """Count what should be audio in JSON and is none."""
        self._tally.bad_audio_messages += 1
        self.note("server", "bad audio", why)

    def on_pong(self, payload: bytes) -> None:
        """Nothing: the router sends no pings (PROTOCOL 1.24)."""

    def on_writable(self, writable: bool) -> None:
        """Note whether the server reads."""
        self.out.is_writable = writable

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
        if self.out.transport is None:
            return  # it came too late to be one
        tally, now = self._tally, self._clock()
        self.out.end()
        self.playout.advance(now)
        self._witness.look(now)
        who = {"us": "router", "peer": "server", "network": "network"}
        reason = f" {closed.reason!r}" if closed.reason else ""
        self.note(who[closed.closed_by], "closed", f"{closed.code}{reason}")  # type: ignore[arg-type]  # a Source
        if self.redial_after_s is None:
            self._is_over = True
            tally.closed = closed
            tally.ended_at = now
        else:
            # The router's next connection has a new buffer, and knows nothing of what this one was asked.
            self.playout.clear(now)
            self._commands.forget()
        self._on_end()

    # The clock

    def tick(self, now: float) -> float | None:
        """Do what is due.

        Returns:
            When to call again; None when the connection is over.
        """
        # Not the network's is_closing, which says no more than this, since whatever closes it is done here.
        socket, tally = self.out.socket, self._tally
        if tally.hung_up or socket is None or socket.is_closing:
            return self._end_ticking(now)
        due = self._opened_at + self._next_tick * _FRAME_S
        if due <= now and now - due > tally.latest_tick_s:
            tally.latest_tick_s = now - due
        while due <= now:
            if self._next_tick >= self._stop_tick:
                self._do_steps(self._next_tick)
                if tally.hung_up or socket.is_closing:
                    return self._end_ticking(now)
            self._say(self._next_tick, now)
            self._next_tick += 1
            due = self._opened_at + self._next_tick * _FRAME_S
        # Asked here, since a call of its own for every frame is felt where hundreds of calls are made.
        if self._is_watched or self._observer.open is not None or self._commands.is_waiting:
            self._listen(now)
        return due

    # What a test or a live view may do

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self.out.transport is not None

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
        return (max(self._wanted, self._steps.planned_tick) + self._tail) * _FRAME_S

    @property
    def unsaid_ms(self) -> int:
        """Speech that is not said yet."""
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

    def say_line(self, what: object, frames: tuple[bytes, ...]) -> None:
        """Speak whole frames, and note what they are: a `SayText`, a path, or PCM."""
        self._note_line(what, self._voice.waiting_frames, len(frames))
        self.say_frames(frames)

    def stop_speaking(self) -> None:
        """Break off what is being said."""
        self._voice.stop()
        self._witness.breaks_off(self._next_tick * _FRAME_S)

    def mute(self) -> None:
        """Mute the participant: an event, and no frames until `unmute`."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Let the participant be heard again."""
        self._set_muted(False)

    def send_no_frames(self, wanted: bool = True) -> None:
        """Send no frames while the participant says nothing (PROTOCOL 2.8), or do as the router's profile does."""
        self._sends_silence = not wanted and self.router.silence == "frames"

    def press(self, digit: str, duration_ms: int | None = 260) -> None:
        """Press a telephone key (PROTOCOL 2 websocket:dtmf)."""
        if self.send_event(Dtmf(digit=digit, duration_ms=duration_ms, raw={})):
            self.note("participant", "key", digit)

    def hang_up(self, how: Close | None = None) -> None:
        """End the call now, as the router's profile does or as ``how`` says; more than once is fine."""
        transport, tally = self.out.transport, self._tally
        if transport is None and self.redial_after_s is not None:
            tally.hung_up = True
            self.note("router", "hang up", "between two connections")
            self._end_between()
            return
        self.redial_after_s = None
        if transport is None or tally.hung_up or transport.is_closing:
            return
        tally.hung_up = True
        how = how or self.router.close
        self.note("router", "hang up", how)
        if self.out.is_half_open:
            # See first how the server ended what it could not know to be alive.
            self.network.look()
            self._abort_at = self._clock() + _GOODBYE_S
            return
        if how != "abrupt":
            self.send_event(
                Disconnected(code=None, reason="websocket:disconnected", closed_by="router", raw={})
            )
        if how == "announce":
            transport.close(1000)
        elif how == "goodbye":
            self._abort_at = self._clock() + _GOODBYE_S
        else:
            transport.abort()

    def reset(self) -> None:
        """Reset the connection, as a router does that crashes; that ends the call."""
        if self.out.transport is not None:
            self._tally.hung_up = True
            self.redial_after_s = None
            self.note("network", "reset")
            self.out.transport.reset()

    def reconnect(self, after_s: float) -> None:
        """Reset the connection, and let it be made again after so many seconds."""
        transport = self.out.transport
        if transport is not None and not (self._tally.hung_up or transport.is_closing):
            self.redial_after_s = after_s
            self.note("network", "reset")
            transport.reset()

    def abort(self) -> None:
        """Drop the connection, where there is one, without a word; no other one is made."""
        self._is_over = True
        self.redial_after_s = None
        if self.out.transport is not None:
            self.out.transport.abort()

    def send_event(self, event: Event) -> bool:
        """Send an event as the router does, leading blank included (PROTOCOL 2.1); as `send_text`."""
        return self.out.event(event)

    def send_text(self, text: str) -> bool:
        """Send a text as it is; False where it would reach nobody: after the end, or half-open."""
        return self.out.text(text)

    @property
    def network(self) -> Network:
        """What can be done to the network of this call.

        Raises:
            RuntimeError: The call has none, because it is not open, or its socket is driven by hand.
        """
        if self.out.network is None:
            raise RuntimeError(
                "this call has no simulated network: it is not open, or was not made by a Router"
            )
        return self.out.network

    def note(self, source: Source, name: str, detail: str = "", *, for_s: float = 0.0) -> None:
        """Note that something happened now, or begins now and lasts so many seconds."""
        self._witness.note(TraceEvent(self.now_s, source, name, detail, for_s))

    def fail_redial(self, why: str) -> None:
        """The connection could not be made again."""
        self.note("network", "not connected again", why)
        self._tally.redial_error = why
        self._end_between()

    def conclude(self) -> None:
        """The call is over, and all of it was understood: nobody waits for words any more."""
        self._steps.finish()

    def report(self, *, with_trace: bool = True) -> CallReport:
        """What was seen so far; final once the connection is over.

        Args:
            with_trace: Draw up the call over time too, where it is kept; it takes a millisecond.
        """
        now = self._clock() if self._tally.ended_at is None else self._tally.ended_at
        trace = self._witness.trace() if with_trace else None
        report = self._tally.report(self.call, self.playout.report(now), now, self._observer, trace)
        return self._witness.complete(report, self._steps)

    # Inside

    def _make_up_for(self, now: float) -> None:
        """Do and say what fell into the time without a connection; of what was said, nobody hears anything."""
        if self._is_muted:
            self.send_event(MediaUpdate(active=False, raw={}))
        while self._opened_at + (self._next_tick + 1) * _FRAME_S <= now:
            self._do_steps(self._next_tick)
            if self.out.ready() is None:
                return
            self._say(self._next_tick, now, is_lost=True)
            self._next_tick += 1

    def _do_steps(self, tick: int) -> None:
        """Do what is due by a tick, the end of the call included."""
        self._steps.run(tick)
        self._total_ticks = max(self._wanted, self._steps.last_tick) + self._tail
        self._stop_tick = min(self._steps.next_tick, self._total_ticks)
        if tick >= self._total_ticks:
            self.hang_up()

    def _say(self, tick: int, now: float, *, is_lost: bool = False) -> None:
        voice = self._voice
        frame, level = voice.next(), voice.level
        if frame is None or self._is_muted:
            frame, level = self._zeros, _NOTHING
        if level is _LOUD and self.playout.waiting:
            self.playout.advance(now)  # whether the bot is heard just then makes a difference
        self._observer.said(tick * _FRAME_S, is_loud=level is _LOUD)
        if self._spoken is not None:
            self._spoken(frame)
        if self._trace is not None:
            self._trace.spoken.write(frame)
        if not (is_lost or self._is_muted) and (level is not _NOTHING or self._sends_silence):
            self.out.frame(frame, now, is_speech=level is not _NOTHING)

    def _listen(self, now: float) -> None:
        playout = self.playout
        playout.advance(now)
        self._witness.look(now)
        if self._commands.is_waiting:
            self._commands.answer(now)
        if self._trace is not None:
            self._trace.depth_ms.note(now - self._opened_at, float(playout.buffered_ms))
        if playout.faults != self._faults.seen:
            for name, detail in self._faults.new(playout, now):
                self.note("server", name, detail)

    def _end_for_size(self, got_bytes: int) -> None:
        if self.out.transport is not None and self._tally.router_ended is None:
            self._tally.router_ended = _WRONG_SIZE.format(got=got_bytes, expected=len(self._zeros))
            self.note("router", "hang up", self._tally.router_ended)
            self.out.transport.abort()

    def _end_ticking(self, now: float) -> float | None:
        """There is nothing more to do; but a goodbye has to leave before the connection ends."""
        transport, network = self.out.transport, self.out.network
        if transport is not None and self._abort_at is not None:
            if network is not None and network.is_late and not network.is_half_open:
                self._abort_at = max(self._abort_at, now + _GOODBYE_S)  # the goodbye is not even sent
            if now < self._abort_at:
                return self._abort_at
            transport.abort()
        self._is_ticking = False
        return None

    def _end_between(self) -> None:
        self._is_over = True
        self.redial_after_s = None
        self._tally.ended_at = self._clock()
        self._on_end()

    def _set_muted(self, muted: bool) -> None:
        if muted != self._is_muted and not self._is_over:
            self._is_muted = muted
            self.note("participant", "mute" if muted else "unmute")
            self.send_event(MediaUpdate(active=not muted, raw={}))

    def _note_line(self, what: object, wait: int, frames: int) -> None:
        at_s, for_s = (self._next_tick + wait) * _FRAME_S, frames * _FRAME_S
        self.note("participant", "say", self._witness.says(what, at_s, for_s), for_s=for_s)
