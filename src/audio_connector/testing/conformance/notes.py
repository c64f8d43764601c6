# SPDX-License-Identifier: Apache-2.0
"""What came of audio in one call, and what a session heard of it.

The router's clock is kept here in its simplest form: audio plays when it arrives, or behind what still plays.
A message lasts as long as its bytes say, whatever the router would do to a wrong size: that is another check's
fault to find.

Pure: ``now`` is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat

VOICE_PEAK = 256
"""Samples from here up are a voice, of 32,768: -42 dB. Below is silence, dithered or not."""

LONGEST_HOLE_S = 0.4
"""A longer gap is a pause between utterances."""

MOST_ARRIVALS = 30_000
"""Ten minutes of frames; of a server that sends without end, no more is kept."""

MOST_ODD = 50
_HEAD_BYTES = 48

Kind: TypeAlias = Literal["voice", "silence", "clear"]


class Arrival(NamedTuple):
    """A binary message, or a clear command, in the order in which they came."""

    at: float
    kind: Kind
    duration_s: float


@dataclass(frozen=True, slots=True)
class OddSize:
    """A binary message that was not one frame.

    Attributes:
        at: When it came.
        size: Its bytes.
        head: The first of them.
        follows_frame: The message before it was one whole frame.
    """

    at: float
    size: int
    head: bytes
    follows_frame: bool


class AudioNotes:
    """Notes each binary message of a call.

    Args:
        audio_format: The format of the call.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self.arrivals: list[Arrival] = []
        self.sizes: Counter[int] = Counter()
        self.odd_sizes: list[OddSize] = []
        self.first_head: bytes = b""
        self.voiced_s = 0.0
        """Audio that is a voice, in sum."""
        self.most_ahead_s = 0.0
        """The most audio that ever waited to be played."""
        self.last_voice_at = -math.inf
        self.play_end = -math.inf
        """When all that came has been played."""
        self.voice_end = -math.inf
        """When the last voice has been played."""
        self._last_size = 0

    @property
    def messages(self) -> int:
        """How many binary messages came."""
        return sum(self.sizes.values())

    def add(self, payload: bytes, now: float) -> None:
        """Note a binary message."""
        size = len(payload)
        if not self.sizes:
            self.first_head = payload[:_HEAD_BYTES]
        self.sizes[size] += 1
        frame_bytes = self._format.frame_bytes
        if size != frame_bytes and len(self.odd_sizes) < MOST_ODD:
            follows_frame = self._last_size == frame_bytes
            self.odd_sizes.append(OddSize(now, size, payload[:_HEAD_BYTES], follows_frame))
        self._last_size = size
        duration_s = size / self._format.bytes_per_second
        self.play_end = max(self.play_end, now) + duration_s
        self.most_ahead_s = max(self.most_ahead_s, self.play_end - now)
        is_voice = peak(payload) >= VOICE_PEAK
        if is_voice:
            self.voiced_s += duration_s
            self.last_voice_at = now
            self.voice_end = self.play_end
        self._keep(Arrival(now, "voice" if is_voice else "silence", duration_s))

    def clear(self, now: float) -> None:
        """Note that what waits was dropped."""
        self.play_end = min(self.play_end, now)
        self.voice_end = min(self.voice_end, now)
        self._keep(Arrival(now, "clear", 0.0))

    def ahead_s(self, now: float) -> float:
        """Audio that waits to be played."""
        return max(0.0, self.play_end - now)

    def voiced_between(self, start: float, end: float) -> float:
        """Seconds of voice that arrived from ``start`` to before ``end``."""
        return sum(
            arrival.duration_s
            for arrival in self.arrivals
            if arrival.kind == "voice" and start <= arrival.at < end
        )

    def _keep(self, arrival: Arrival) -> None:
        if len(self.arrivals) < MOST_ARRIVALS:
            self.arrivals.append(arrival)


def peak(pcm: bytes) -> int:
    """The greatest magnitude of 16-bit samples; half a sample at the end does not count."""
    samples = np.frombuffer(pcm, "<i2", count=len(pcm) // SAMPLE_BYTES)
    return max(-int(samples.min()), int(samples.max())) if samples.size else 0


def holes(arrivals: Sequence[Arrival]) -> list[float]:
    """Find where the router ran dry while the bot spoke.

    A hole counts where the audio before it was a voice, and more audio came within `LONGEST_HOLE_S`. A hole after
    silence is not heard, and one after a clear was asked for.

    Returns:
        The length of each hole in seconds. What arrives just in time has holes of fractions of a millisecond.
    """
    found = []
    play_end = math.inf
    was_voice = False
    for at, kind, duration_s in arrivals:
        if kind == "clear":
            play_end, was_voice = at, False
            continue
        if was_voice and 0 < at - play_end <= LONGEST_HOLE_S:
            found.append(at - play_end)
        play_end = (at if play_end is math.inf else max(play_end, at)) + duration_s
        was_voice = kind == "voice"
    return found


def fastest_s(arrivals: Sequence[Arrival]) -> float:
    """The most audio, in seconds, that arrived within any second."""
    most = total = 0.0
    oldest = 0
    audio = [arrival for arrival in arrivals if arrival.kind != "clear"]
    for arrival in audio:
        total += arrival.duration_s
        while audio[oldest].at <= arrival.at - 1.0:
            total -= audio[oldest].duration_s
            oldest += 1
        most = max(most, total)
    return most
