# SPDX-License-Identifier: Apache-2.0
"""What a call looked like over time, small enough to keep, send and draw: waveforms, depth, events.

Pure: time is an argument, in seconds since the connection was made. Whatever is kept is bounded: a picture
that is full halves its resolution, and events beyond their bound are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from audio_connector.audio.format import FRAME_MS

MAX_BINS = 4096
"""Bins of a picture, more than a page is wide; 82 s of a call at the resolution of one frame."""

MAX_EVENTS = 5000
"""Events kept per call; the rest is counted."""

MAX_HOLES = 2000
"""Underruns whose times are kept; the report counts all of them."""

Source: TypeAlias = Literal["participant", "router", "server", "network"]
"""Whose doing an event was."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened.

    Attributes:
        at_s: When, in seconds since the connection was made.
        source: Whose doing it was.
        name: What, in a word or two: "mute", "clear", "websocket:dtmf", "stall".
        detail: What else there is to say; possibly empty.
        for_s: How long it lasted, in seconds; 0 for what happens in a moment.
    """

    at_s: float
    source: Source
    name: str
    detail: str = ""
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Hole:
    """An underrun: silence in the middle of what the session heard.

    Attributes:
        at_s: When it began, in seconds since the connection was made.
        for_s: How long it was, in seconds.
    """

    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outline of audio: its lowest and highest sample in each bin.

    Attributes:
        bin_s: Length of a bin, in seconds.
        peaks: Lowest and highest 16-bit sample, per bin.
    """

    bin_s: float
    peaks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """A value over time.

    Attributes:
        bin_s: Length of a bin, in seconds.
        values: The greatest value in each bin.
    """

    bin_s: float
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The participant spoke over the bot, or the server cleared what was being said, or both.

    Attributes:
        speech_at_s: When the participant began to speak; None where the server cleared by itself.
        clear_at_s: When the server's clear reached the router; None where none came.
        silent_at_s: When the session heard nothing of the bot any more; None where that was not seen.
        dropped_ms: Audio that the clear dropped from the router's buffer.
        stale_ms: Audio that still came after the clear in the stream of what was cleared: messages that
            follow it, and each other, without a gap of three frames.
    """

    speech_at_s: float | None = None
    clear_at_s: float | None = None
    silent_at_s: float | None = None
    dropped_ms: float = 0.0
    stale_ms: float = 0.0

    @property
    def latency_ms(self) -> float | None:
        """From the clear to silence; None without a clear, or where silence was not seen."""
        if self.clear_at_s is None or self.silent_at_s is None:
            return None
        return (self.silent_at_s - self.clear_at_s) * 1000

    @property
    def speech_to_silence_ms(self) -> float | None:
        """From the participant's first word to silence; None where one of them was not seen."""
        if self.speech_at_s is None or self.silent_at_s is None:
            return None
        return (self.silent_at_s - self.speech_at_s) * 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """The participant finished, and the bot answered.

    Attributes:
        speech_end_s: When the participant's last loud frame ended.
        reply_at_s: When the session heard the first sound of the answer.
    """

    speech_end_s: float
    reply_at_s: float

    @property
    def latency_ms(self) -> float:
        """From the end of the one to the beginning of the other."""
        return (self.reply_at_s - self.speech_end_s) * 1000


@dataclass(frozen=True, slots=True)
class Trace:
    """A call over time.

    Attributes:
        spoken: What the participant said.
        heard: What the session heard of the server.
        depth_ms: How much audio waited in the router.
        events: What happened, in order.
        events_lost: Events beyond `MAX_EVENTS`.
        holes: The underruns, up to `MAX_HOLES`.
    """

    spoken: Envelope
    heard: Envelope
    depth_ms: Series
    events: tuple[TraceEvent, ...] = ()
    events_lost: int = 0
    holes: tuple[Hole, ...] = ()


class EnvelopeRecorder:
    """Makes an `Envelope` of pieces of PCM of any length; at the beginning a bin is a frame long.

    Args:
        rate_hz: Samples per second.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._bin_samples = rate_hz * FRAME_MS // 1000
        self._peaks: list[tuple[int, int]] = []
        self._low = self._high = 0
        self._filled = 0

    def write(self, pcm: bytes) -> None:
        """Take the next samples, 16-bit little-endian."""
        if pcm.count(0) == len(pcm):
            self._write_silence(len(pcm) // 2)
            return
        samples = np.frombuffer(pcm, "<i2")
        at = 0
        while at < len(samples):
            part = samples[at : at + self._bin_samples - self._filled]
            at += len(part)
            self._note(int(part.min()), int(part.max()), len(part))

    def envelope(self) -> Envelope:
        """The picture so far."""
        rest = [(self._low, self._high)] if self._filled else []
        return Envelope(self._bin_samples / self._rate_hz, (*self._peaks, *rest))

    def _write_silence(self, samples: int) -> None:
        while samples:
            part = min(samples, self._bin_samples - self._filled)
            samples -= part
            self._note(0, 0, part)

    def _note(self, low: int, high: int, samples: int) -> None:
        self._low = low if not self._filled else min(self._low, low)
        self._high = high if not self._filled else max(self._high, high)
        self._filled += samples
        if self._filled < self._bin_samples:
            return
        self._peaks.append((self._low, self._high))
        self._filled = 0
        if len(self._peaks) == MAX_BINS:
            pairs = zip(self._peaks[::2], self._peaks[1::2], strict=True)
            self._peaks = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs]
            self._bin_samples *= 2


class SeriesRecorder:
    """Makes a `Series` of values that are noted at any times, in order; bins without one repeat the last."""

    def __init__(self) -> None:
        self._bin_s = FRAME_MS / 1000
        self._values: list[float] = []
        self._last = 0.0

    def note(self, at_s: float, value: float) -> None:
        """The value from ``at_s`` on."""
        index = int(at_s / self._bin_s + 1e-6)
        while index >= MAX_BINS:
            self._fill_to(min(index, MAX_BINS))
            self._values = [max(self._values[at : at + 2]) for at in range(0, len(self._values), 2)]
            self._bin_s *= 2
            index = int(at_s / self._bin_s + 1e-6)
        if index < len(self._values):
            if index >= 0:
                self._values[index] = max(self._values[index], value)
        else:
            self._fill_to(index)
            # The last value held up to here, so that it is in this bin as well, unless the bin begins here.
            begins_here = at_s <= index * self._bin_s + 1e-6
            self._values.append(value if begins_here else max(self._last, value))
        self._last = value

    def series(self) -> Series:
        """The picture so far."""
        return Series(self._bin_s, tuple(self._values))

    def _fill_to(self, index: int) -> None:
        self._values.extend([self._last] * (index - len(self._values)))


@dataclass(slots=True)
class EventLog:
    """Events in order, bounded."""

    events: list[TraceEvent] = field(default_factory=list)
    lost: int = 0

    def add(self, event: TraceEvent) -> None:
        """Keep an event, or count it."""
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)
        else:
            self.lost += 1


class TraceRecorder:
    """Makes the `Trace` of a call while it goes on.

    Args:
        rate_hz: Samples per second of the call.
    """

    def __init__(self, rate_hz: int) -> None:
        self.spoken = EnvelopeRecorder(rate_hz)
        self.heard = EnvelopeRecorder(rate_hz)
        self.depth_ms = SeriesRecorder()
        self.log = EventLog()
        self._holes: list[Hole] = []

    def note_hole(self, at_s: float, for_s: float) -> None:
        """There was an underrun."""
        if len(self._holes) < MAX_HOLES:
            self._holes.append(Hole(at_s, for_s))

    def trace(self) -> Trace:
        """The picture so far."""
        return Trace(
            spoken=self.spoken.envelope(),
            heard=self.heard.envelope(),
            depth_ms=self.depth_ms.series(),
            events=tuple(self.log.events),
            events_lost=self.log.lost,
            holes=tuple(self._holes),
        )
