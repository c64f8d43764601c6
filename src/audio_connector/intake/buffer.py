# SPDX-License-Identifier: Apache-2.0
"""What arrived and has not been taken yet. Bounded, drop-oldest, in order. No clock and no I/O.

The rules:

1. Items leave in the order in which they arrived, as far as their kind, audio or texts, is wanted: an application
   that only wants events yet finds its audio kept for it, and the other way round.
2. That is so until it has *settled*. From then on a kind that nobody wants has no room; who asks for it later gets
   what comes from then on.
3. Beyond a bound the oldest of the kind is dropped, but no text while texts are wanted: the next one is refused
   instead, and the caller is told so.
4. Audio that is dropped while audio is wanted is the application's slowness, and is told: an episode starts with the
   first drop and ends when the buffer has been emptied. The rest is nobody's fault, and is counted as unwanted.

So what was pushed and not refused was taken, was dropped, was unwanted, or waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Generic, TypeVar

from audio_connector.audio.format import AudioFormat

TextT = TypeVar("TextT")

GAP_MS = 60.0
"""Three frames: a longer time without audio is a gap. Frames are no clock, since none come while the stream is
muted or silent (PROTOCOL 2.7, 2.8)."""

MIN_MESSAGE_BYTES = 16
"""Audio messages shorter than this are bounded by their number, since each costs an object, however short it is."""

MAX_TEXT_BYTES = 2 << 20
"""Of memory, what was read of them included: a thousand texts of the usual size take half of it, a thousand of the
greatest that are taken would take hundreds."""


@dataclass(slots=True)
class IntakeCounters:
    """Counts of one connection's intake; written by one thread, read by any."""

    audio_messages: int = 0
    audio_bytes: int = 0
    text_messages: int = 0
    dropped_messages: int = 0
    dropped_bytes: int = 0
    unwanted_messages: int = 0
    overflow_episodes: int = 0
    buffered_peak_bytes: int = 0
    age_peak_ms: float = 0.0
    gaps: int = 0
    silence_ms: float = 0.0
    muted_ms: float = 0.0
    longest_gap_ms: float = 0.0

    def last_as_long(self, rate_hz: int, new_rate_hz: int) -> None:
        """Have what was counted at one rate be as many seconds at another: what was told never drops."""
        self.audio_bytes = -(-self.audio_bytes * new_rate_hz // rate_hz)
        self.dropped_bytes = -(-self.dropped_bytes * new_rate_hz // rate_hz)
        self.buffered_peak_bytes = -(-self.buffered_peak_bytes * new_rate_hz // rate_hz)

    def snapshot(self) -> IntakeCounters:
        """Those of now; several times in the opening of a call, and then ten times a second."""
        return IntakeCounters(*_values_of(self))  # copy.copy takes seven times as long


_values_of = attrgetter(*(field.name for field in fields(IntakeCounters)))


class IntakeBuffer(Generic[TextT]):
    """Audio and texts that wait for the application; the newest of each is kept whatever its size."""

    def __init__(self, *, max_audio_bytes: int, max_texts: int) -> None:
        self.max_audio_bytes = max_audio_bytes
        self.max_texts = max_texts
        self.counters = IntakeCounters()
        self.audio_bytes = self.text_bytes = 0
        self.wants_audio = self.wants_texts = self.is_settled = False
        self._audio: deque[tuple[int, float, bytes]] = deque()
        self.texts: deque[tuple[int, int, TextT]] = deque()
        self._arrivals = self._first = 0
        self._is_dropping = False
        self._unread_bytes = 0  # beside whole frames
        self._last_audio_at: float | None = None
        self._muted_since: float | None = None

    def __len__(self) -> int:
        return len(self._audio) + len(self.texts)

    def want(self, audio: bool, texts: bool, *, is_settled: bool) -> None:
        """Say what the application takes, and whether nobody is expected to ask for more."""
        self.wants_audio, self.wants_texts, self.is_settled = audio, texts, is_settled
        self._drop_audio()
        self._drop_texts()

    def note_audio(self, size_bytes: int, now: float) -> None:
        """Count an audio message and the gap before it, whether or not it is kept here."""
        counters = self.counters
        counters.audio_messages += 1
        counters.audio_bytes += size_bytes
        last_at, self._last_audio_at = self._last_audio_at, now
        if last_at is not None and (gap_ms := (now - last_at) * 1000) > GAP_MS:
            counters.gaps += 1
            counters.silence_ms += gap_ms
            counters.longest_gap_ms = max(counters.longest_gap_ms, gap_ms)

    def note_active(self, active: bool, now: float) -> None:
        """The stream was muted or unmuted; time muted is not a gap."""
        if self._muted_since is not None:
            self.counters.muted_ms += (now - self._muted_since) * 1000
        self._muted_since = None if active else now
        self._last_audio_at = None

    def note_unread(self, ms: float, audio_format: AudioFormat, *, is_first: bool) -> None:
        """Count audio that was taken, and dropped elsewhere, since nobody read it; ``is_first`` of an episode."""
        counters, size_bytes = self.counters, audio_format.bytes_for_ms(ms)
        counters.dropped_bytes += size_bytes
        frames, self._unread_bytes = divmod(self._unread_bytes + size_bytes, audio_format.frame_bytes)
        counters.dropped_messages += frames
        counters.overflow_episodes += is_first

    def push_audio(self, payload: bytes, now: float) -> bool:
        """Keep audio, and drop the oldest beyond the bound; True where that begins an episode."""
        if self.is_settled and not self.wants_audio:  # who only speaks pays no more for each frame than this
            self.counters.unwanted_messages += 1
            return False
        self._arrivals += 1
        self._audio.append((self._arrivals, now, payload))
        self.audio_bytes += len(payload)
        was_dropping, counters = self._is_dropping, self.counters
        self._drop_audio()
        if self.audio_bytes > counters.buffered_peak_bytes:
            counters.buffered_peak_bytes = self.audio_bytes
        return self._is_dropping and not was_dropping

    def push_text(self, text: TextT, size_bytes: int) -> bool:
        """Keep a text that takes so much memory.

        False where texts are wanted and a bound is reached, and this one was not taken.
        """
        is_full = len(self.texts) >= self.max_texts or self.text_bytes + size_bytes > MAX_TEXT_BYTES
        if self.wants_texts and self.texts and is_full:
            return False
        self._arrivals += 1
        self.texts.append((self._arrivals, size_bytes, text))
        self.text_bytes += size_bytes
        self._drop_texts()
        return True

    def early_audio(self) -> list[tuple[float, bytes]]:
        """What waits for somebody who wants it, with its time of arrival; nothing once somebody has wanted any."""
        return [] if self.wants_audio else [(at, payload) for _, at, payload in self._audio]

    def put_back(self, items: Sequence[bytes | TextT], now: float) -> None:
        """Have these, which were taken before, in front of all; whatever they are, nothing is wanted any more."""
        for item in reversed(items):
            self._first -= 1
            if isinstance(item, bytes):
                self._audio.appendleft((self._first, now, item))
                self.audio_bytes += len(item)
            else:
                self.texts.appendleft((self._first, 0, item))
        self.wants_audio = self.wants_texts = self.is_settled = False

    def take(self, limit: int, now: float, *, unwanted_too: bool = False) -> list[bytes | TextT]:
        """Take so many of the oldest items that are wanted; at the end also of what nobody wants yet."""
        audio = self._audio if self.wants_audio or unwanted_too else ()
        texts = self.texts if self.wants_texts or unwanted_too else ()
        taken: list[bytes | TextT] = []
        while len(taken) < limit:
            if audio and not (texts and texts[0][0] < audio[0][0]):
                _, at, payload = self._audio.popleft()
                self.audio_bytes -= len(payload)
                self.counters.age_peak_ms = max(self.counters.age_peak_ms, (now - at) * 1000)
                taken.append(payload)
            elif texts:
                _, size_bytes, text = self.texts.popleft()
                self.text_bytes -= size_bytes
                taken.append(text)
            else:
                break
        if not self._audio:
            self._is_dropping = False
        return taken

    def _drop_audio(self) -> None:
        """Go back below the bound."""
        audio, counters = self._audio, self.counters
        kept = int(self.wants_audio or not self.is_settled)  # at least; and nothing where there is no room
        max_bytes = self.max_audio_bytes * kept
        max_messages = max(kept, max_bytes // MIN_MESSAGE_BYTES)
        while len(audio) > max_messages or (self.audio_bytes > max_bytes and len(audio) > kept):
            _, _, oldest = audio.popleft()
            self.audio_bytes -= len(oldest)
            if not self.wants_audio:
                counters.unwanted_messages += 1
                continue
            counters.dropped_messages += 1
            counters.dropped_bytes += len(oldest)
            counters.overflow_episodes += not self._is_dropping
            self._is_dropping = True
        if not audio:
            self._is_dropping = False

    def _drop_texts(self) -> None:
        """The same; only where nobody wants them, or else there is nothing to drop."""
        kept = int(self.wants_texts or not self.is_settled)
        max_texts, max_bytes = self.max_texts * kept, MAX_TEXT_BYTES * kept
        while len(self.texts) > max_texts or (self.text_bytes > max_bytes and len(self.texts) > kept):
            _, oldest_bytes, _ = self.texts.popleft()
            self.text_bytes -= oldest_bytes
            self.counters.unwanted_messages += 1
