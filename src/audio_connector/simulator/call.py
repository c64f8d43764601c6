# SPDX-License-Identifier: Apache-2.0
"""One simulated call: what the media router says and does on one WebSocket.

The call is told of the socket through the `Receiver` callbacks and of the time through `LiveCall.tick`; it
owns no task, timer or thread. Frame k is due at the connection's opening plus k * 20 ms, a product and never
a running sum, so that a late wake-up delays one frame and not all that follow.

One tick sends what is due and answers notifies; the rest happens in the callbacks:

    on_open ─► connected ─► tick: speech frames ─► tick: silence for the tail ─► disconnected, close
                   mute / unmute: media:update, and no frames while muted (PROTOCOL 2.7)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Frames
from audio_connector.simulator.tally import Tally
from audio_connector.wire.codec import decode_command, encode_event
from audio_connector.wire.messages import (
    ClearCommand,
    Cleared,
    Connected,
    Disconnected,
    Event,
    MediaUpdate,
    Notified,
    NotifyCommand,
)
from audio_connector.wire.transport import Closed, Transport, Upgrade

_FRAME_S = FRAME_MS / 1000
# The router's own queue to a server is about 1 s (PROTOCOL 2.9); what does not fit is dropped.
_QUEUE_S = 1.0


class LiveCall:
    """A call in progress; a `Receiver` of its socket.

    Args:
        call: What to do.
        frames: What to say, from `SpeechLibrary.frames_of`.
        clock: Seconds of a monotonic clock, the one that `tick` is called by.
        heard: Called with what the session hears, silence included.
        spoken: Called with what the participant says, silence included.
        on_begin: Called once when the connection is open, with the time of the first tick.
        on_end: Called once when the connection is over.
    """

    def __init__(
        self,
        call: RouterCall,
        frames: Frames,
        *,
        clock: Callable[[], float],
        heard: Sink | None = None,
        spoken: Sink | None = None,
        on_begin: Callable[[float], None] = lambda at: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.call = call
        audio_format = call.audio_format
        self.playout = PlayoutBuffer(
            audio_format, max_buffer_ms=call.max_buffer_ms, pause_after_ms=call.pause_after_ms, record=heard
        )
        self._clock = clock
        self._records_heard = heard is not None
        self._spoken = spoken
        self._on_begin = on_begin
        self._on_end = on_end
        self._zeros = bytes(audio_format.frame_bytes)
        self._silence = self._zeros if call.silence == "frames" else b""
        self._frames = tuple(self._silence if frame == self._zeros else frame for frame in frames)
        wanted = len(frames) if call.duration_s is None else round(call.duration_s / _FRAME_S)
        self._speech_ticks = wanted if frames else 0
        self._total_ticks = wanted + round(call.tail_s / _FRAME_S)
        self._mute_plan = deque(
            (round(at_s / _FRAME_S), active)
            for start_s, end_s in call.mutes
            for at_s, active in ((start_s, False), (end_s, True))
        )
        self._queue_bytes = int(audio_format.bytes_per_second * _QUEUE_S)
        self._transport: Transport | None = None
        self._opened_at = 0.0
        self._next_tick = 0
        self._active = True
        self._writable = True
        self._pending_notifies: deque[tuple[int, object]] = deque()
        self._tally = Tally()

    # Receiver

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Send the first message; the first frame is due now."""
        del upgrade
        self._transport = transport
        self._opened_at = self._tally.opened_at = self._clock()
        self.playout.advance(self._opened_at)
        audio_format = self.call.audio_format
        self.send_event(
            Connected(
                format=audio_format,
                content_type=audio_format.content_type,
                headers=dict(self.call.headers),
                raw={},
            )
        )
        self._on_begin(self._opened_at)

    def on_audio(self, payload: bytes) -> None:
        """Put a message of audio into the playout buffer."""
        self.playout.receive(payload, self._clock())

    def on_text(self, text: str) -> None:
        """Obey a command."""
        self._tally.texts_received += 1
        command = decode_command(text)
        if isinstance(command, ClearCommand):
            self._tally.clears += 1
            self.playout.clear(self._clock())
            # What a notify waited for will never be played (PROTOCOL 3.6).
            self._pending_notifies.clear()
            self.send_event(Cleared(raw={}))
        elif isinstance(command, NotifyCommand):
            self._tally.notifies += 1
            if self.call.echo_notify:
                self._pending_notifies.append((self.playout.mark(), command.payload))
        else:
            self._tally.keep_text(text)

    def on_pong(self, payload: bytes) -> None:
        """Nothing: the router sends no pings (PROTOCOL 1.24)."""

    def on_writable(self, writable: bool) -> None:
        """Note whether the server reads."""
        self._writable = writable

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
        self._tally.closed = closed
        self._tally.ended_at = self._clock()
        self.playout.advance(self._tally.ended_at)
        self._on_end()

    # The clock

    def tick(self, now: float) -> float | None:
        """Send what is due.

        Returns:
            When to call again; None when the call is over.
        """
        transport, tally = self._transport, self._tally
        if transport is None or tally.hung_up or tally.closed is not None or transport.is_closing:
            return None
        due = self._opened_at + self._next_tick * _FRAME_S
        if due <= now:
            tally.latest_tick_s = max(tally.latest_tick_s, now - due)
        while due <= now:
            if self._next_tick >= self._total_ticks:
                self.hang_up()
                return None
            self._say(transport, self._next_tick, now)
            self._next_tick += 1
            due = self._opened_at + self._next_tick * _FRAME_S
        if self._records_heard:
            # The counts are right without it, but a recording wants its silence in time.
            self.playout.advance(now)
        while self._pending_notifies and self.playout.is_heard(self._pending_notifies[0][0], now):
            self.send_event(Notified(payload=self._pending_notifies.popleft()[1], raw={}))
        return due

    # What a test or a live view may do

    @property
    def is_open(self) -> bool:
        """Whether the connection was made and is not over."""
        return self._transport is not None and self._tally.closed is None

    @property
    def planned_s(self) -> float:
        """How long the call is meant to last, in seconds."""
        return self._total_ticks * _FRAME_S

    def mute(self) -> None:
        """Mute the participant: an event, and no frames until `unmute`."""
        self._set_active(False)

    def unmute(self) -> None:
        """Let the participant be heard again."""
        self._set_active(True)

    def hang_up(self) -> None:
        """End the call now, in the way that ``RouterCall.close`` says; more than once is fine."""
        if self._transport is None or self._tally.hung_up:
            return
        self._tally.hung_up = True
        if self.call.close == "announce":
            self.send_event(
                Disconnected(code=None, reason="websocket:disconnected", closed_by="router", raw={})
            )
            self._transport.close(1000)
        else:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection, where there is one, without a word."""
        if self._transport is not None and self._tally.closed is None:
            self._transport.abort()

    def send_event(self, event: Event) -> None:
        """Send an event as the router does, leading blank included (PROTOCOL 2.1); nothing after the end."""
        if self._transport is None or self._transport.is_closing:
            return
        self._transport.send_text(encode_event(event, leading_blank=True))
        self._tally.events_sent.append(type(event).__name__)

    def report(self) -> CallReport:
        """What was seen so far; final once the connection is over."""
        now = self._clock() if self._tally.ended_at is None else self._tally.ended_at
        playout = self.playout.report(now)
        return self._tally.report(self.call, playout, now)

    def _say(self, transport: Transport, tick: int, now: float) -> None:
        while self._mute_plan and self._mute_plan[0][0] <= tick:
            self._set_active(self._mute_plan.popleft()[1])
        frame = self._frames[tick % len(self._frames)] if tick < self._speech_ticks else self._silence
        if not self._active:
            frame = b""
        tally = self._tally
        if frame and not self._writable and transport.write_buffer_bytes > self._queue_bytes:
            tally.frames_dropped += 1
        elif frame:
            transport.send_audio(frame)
            tally.frames_sent += 1
            if frame is not self._silence:
                tally.speech_frames_sent += 1
                if tally.first_speech_at is None:
                    tally.first_speech_at = now
        if self._spoken is not None:
            self._spoken(frame or self._zeros)

    def _set_active(self, active: bool) -> None:
        if active != self._active and self.is_open:
            self._active = active
            self.send_event(MediaUpdate(active=active, raw={}))
