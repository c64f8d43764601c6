# SPDX-License-Identifier: Apache-2.0
"""The streams of one session side by side: what each said, on one clock, and all of it together. Pure.

The rules:

1. The clock is the I/O side's, counted from the beginning of the session, in frames of 20 ms. A frame is what was
   said in it, as `recording.timeline` finds it: what the network held up for less than `LOOKAHEAD_S` stands where it
   was said.
2. A stream has every frame from its first to its last: what did not come is silence.
3. The mix of a frame is the sum of those streams that have it, and is made once all of them do. One that is
   `PATIENCE_S` behind is not waited for, and what comes of it later is in no mix. One that is ahead of the clock, as
   after the network held it up for longer than that, makes none of the others late.
4. A stream that is muted is in no mix from then on.
5. What came faster than it can have been said, by more than `AHEAD_S`, is left out.
6. Who speaks is said of each stream by itself. The active one is who speaks, and goes on to be that until they fall
   silent; then it is who has spoken for the longest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

from audio_connector.audio.activity import EnergyDetector, Stretch
from audio_connector.audio.format import DEFAULT_RATE_HZ, FRAME_MS, SAMPLE_BYTES
from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.mixing import sum_of
from audio_connector.call.tells import Taped
from audio_connector.recording.timeline import Timeline

RATE_HZ: Final = DEFAULT_RATE_HZ
"""Of all that is told: what recognisers take. Streams of other rates are converted."""

FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000
FRAME_BYTES: Final = FRAME_SAMPLES * SAMPLE_BYTES
FRAMES_PER_S: Final = 1000 // FRAME_MS
SILENCE: Final = bytes(FRAME_BYTES)

LOOKAHEAD_S: Final = 0.2
"""How long a piece waits for what may show that it came late. Ten frames: what Wi-Fi and mobile networks hold up as a
rule; a recording, which may be late, waits for a second."""

PATIENCE_S: Final = 1.0
"""Several times what a stream is behind as a rule, `LOOKAHEAD_S` and the time between two batches."""

AHEAD_S: Final = 5.0
"""Longer than a network holds up what it then brings at once; a file that is sent as a whole is no talk."""

ONSET_MS: Final = 100
"""As `turns.TurnSettings.min_speech_ms`."""

HANGOVER_MS: Final = 400
"""Longer than most pauses between words, so that who speaks does not flicker."""

KeyT = TypeVar("KeyT")


class Frame(NamedTuple):
    """20 ms of one stream; frame 0 begins with the session."""

    number: int
    pcm: bytes


class Turned(NamedTuple):
    """Somebody began to speak, or fell silent, with this frame; told with a later one, once it is certain."""

    number: int
    is_speaking: bool


class Track:
    """One stream's frames; its clock begins at ``zero`` of the I/O side's."""

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._ingest = PcmIngest(RATE_HZ)
        self._timeline = Timeline(RATE_HZ, lookahead_s=LOOKAHEAD_S, hold_s=LOOKAHEAD_S)
        self._detector = EnergyDetector(RATE_HZ)
        self._stretch = Stretch(onset_samples=_frames(ONSET_MS), pause_samples=_frames(HANGOVER_MS))
        self._begin: int | None = None
        self._at = 0.0
        self._count = 0
        self._is_silent = True  # nothing came yet: what comes first stands exactly where its time says

    @property
    def next_frame(self) -> int | None:
        """The frame that comes next; None before it is known which is the first."""
        return None if self._begin is None else self._begin + self._count

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._stretch.is_open

    @property
    def spoke_from(self) -> int:
        """The frame with which they began."""
        return (self._begin or 0) + self._stretch.start

    def add(self, taped: Taped) -> list[Frame | Turned]:
        """Take what came; returns the frames that are certain with it."""
        if self._begin is None:
            self._begin = max(0, int((taped.since - self._zero) * FRAMES_PER_S + 1e-6))
        begins_at = self._zero + self._begin / FRAMES_PER_S
        for arrived, message in taped.came:
            # Half a sample at its end was cut off, as `audio.pieces` says.
            whole = message[:-1] if len(message) % SAMPLE_BYTES else message
            pcm = self._ingest.write(whole, sample_rate=taped.rate_hz)
            if self._timeline.until / RATE_HZ > arrived - begins_at + AHEAD_S:
                continue
            self._timeline.push(arrived - begins_at, pcm, is_first=self._is_silent)
            self._is_silent = self._is_silent and not pcm
        self._at = taped.at - begins_at
        if not taped.is_complete:
            return []
        self._timeline.advance(self._at)
        return self._take()

    def finish(self) -> list[Frame | Turned]:
        """The stream has ended; returns the rest."""
        if self._begin is None:
            return []
        self._timeline.finish(self._at)
        told = self._take()
        if rest := self._timeline.take(self._timeline.ready):
            told += self._tell(rest.ljust(FRAME_BYTES, b"\0"))
        if self._stretch.is_open:
            self._stretch.close()
            told.append(Turned(self._begin + self._stretch.stop, False))
        return told

    def _take(self) -> list[Frame | Turned]:
        told: list[Frame | Turned] = []
        for _ in range(self._timeline.ready // FRAME_SAMPLES):
            told += self._tell(self._timeline.take(FRAME_SAMPLES))
        return told

    def _tell(self, pcm: bytes) -> list[Frame | Turned]:
        begin, stretch = self._begin or 0, self._stretch
        frame = Frame(begin + self._count, pcm)
        self._count += 1
        if not stretch.push(self._detector.probability(pcm), 1):
            return [frame]
        return [frame, Turned(begin + (stretch.start if stretch.is_open else stretch.stop), stretch.is_open)]


class Mix:
    """All streams together."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[bytes]] = {}
        self.next_frame: int | None = None
        """The frame that comes next; None before there was one."""

    def add(self, number: int, pcm: bytes) -> None:
        """Take a frame of one of them; one that comes too late is in no mix."""
        if self.next_frame is None or number >= self.next_frame:
            self._waiting.setdefault(number, []).append(pcm)

    def take(self, positions: Iterable[int], now_frame: int) -> list[tuple[int, bytes]]:
        """Return what is complete where the live streams have come so far: all that is left where none is live.

        Args:
            positions: The frame that comes next of each of them.
            now_frame: The one that is being said.
        """
        known = list(positions)
        newest = min(max(known), now_frame) if known else max(self._waiting, default=-1) + 1
        until = min((at for at in known if at > newest - PATIENCE_S * FRAMES_PER_S), default=newest)
        begin = self.next_frame
        if begin is None:
            if not self._waiting:
                return []
            begin = min(*self._waiting, until)
        self.next_frame = max(begin, until)
        return [(at, sum_of(self._waiting.pop(at, [SILENCE]))) for at in range(begin, self.next_frame)]


def active_of(now: KeyT | None, tracks: dict[KeyT, Track]) -> KeyT | None:
    """Return who is the active speaker, given who was."""
    if now is not None and now in tracks and tracks[now].is_speaking:
        return now
    speaking = [key for key, track in tracks.items() if track.is_speaking]
    return min(speaking, key=lambda key: tracks[key].spoke_from, default=None)


def _frames(ms: float) -> int:
    return round(ms / FRAME_MS)
