# SPDX-License-Identifier: Apache-2.0
"""The playout buffer of the media router: what a session hears of the audio that is sent to it.

Rules, each from PROTOCOL.md:

1. One message is one 20 ms frame (4.2). A longer message is cut to its first frame and the rest is lost. A
   shorter one is dropped, or its bytes are appended to those before (4.7): then an odd number of them shifts
   every later sample. Both are counted.
2. The buffer is bounded; when it is full the *new* frame is dropped (4.12).
3. Frames may come faster than real time and wait here (4.13). One is taken per 20 ms, by an absolute clock
   that starts when audio arrives at an idle buffer.
4. When the buffer is empty nothing is played (4.15). If more audio follows soon, that hole was an underrun:
   somebody heard a stutter.

Pure: ``now`` is an argument, in seconds of a monotonic clock, and calling early or late is legal. What is
counted does not depend on how often ``advance`` is called.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.errors import UsageError

_FRAME_S = FRAME_MS / 1000
# A hole below this is the rounding of floats, not of a network; one sample at 24 kHz lasts 42 us.
_ROUNDING_S = 1e-7
# A recording that starts late, or a clock that jumps, is filled piece by piece, not by one huge block.
_SILENCE_BLOCK_S = 1.0


@dataclass(frozen=True, slots=True)
class PlayoutReport:
    """What became of the audio that a server sent.

    Attributes:
        frames_received: Whole 20 ms frames, the ones cut from longer messages or made of shorter ones
            included. Always ``played_frames + cleared_frames + overflow_frames + buffered_frames``.
        wrong_size_messages: Messages that were not exactly one frame.
        wrong_size_lost_bytes: Audio bytes lost by that.
        underruns: Holes in the middle of speech: the buffer ran dry and more audio followed.
        underrun_ms: How long those holes were in sum.
        overflow_frames: Frames dropped because the buffer was full.
        deepest_ms: The most audio that ever waited.
        first_audio_at: When the first frame arrived, on the caller's clock; None if none did.
        played_frames: Frames that began to play.
        cleared_frames: Frames that a clear dropped.
        buffered_frames: Frames that still waited when the report was made.
    """

    frames_received: int = 0
    wrong_size_messages: int = 0
    wrong_size_lost_bytes: int = 0
    underruns: int = 0
    underrun_ms: float = 0.0
    overflow_frames: int = 0
    deepest_ms: float = 0.0
    first_audio_at: float | None = None
    played_frames: int = 0
    cleared_frames: int = 0
    buffered_frames: int = 0


class PlayoutBuffer:
    """A bounded queue of frames, played by an absolute clock.

    Args:
        audio_format: The call's rate; one frame is ``audio_format.frame_bytes`` bytes.
        max_buffer_ms: How much may wait before new frames are dropped (PROTOCOL 4.12: 60 s).
        pause_after_ms: A hole longer than this is a pause between utterances and no underrun. None: every
            hole after the first audio counts, for tests that send without pause.
        appends_short: Append the bytes of short messages to what came before, instead of dropping them.
        record: Called with everything the session would hear, as 16-bit PCM: the frames, and silence where
            nothing played, so that position is time since the first call of any method.
        on_play: Called with each frame that begins to play, and when it does.
        on_underrun: Called with the beginning and the end of each underrun, when it is over.

    Raises:
        UsageError: ``max_buffer_ms`` is shorter than one frame, or ``pause_after_ms`` is negative.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        *,
        max_buffer_ms: float = 60_000,
        pause_after_ms: float | None = 400,
        appends_short: bool = False,
        record: Callable[[bytes], None] | None = None,
        on_play: Callable[[bytes, float], None] | None = None,
        on_underrun: Callable[[float, float], None] | None = None,
    ) -> None:
        if not FRAME_MS <= max_buffer_ms < math.inf:
            raise UsageError(f"max_buffer_ms is {max_buffer_ms!r}; it must be {FRAME_MS} (one frame) or more")
        if pause_after_ms is not None and not pause_after_ms >= 0:
            raise UsageError(f"pause_after_ms is {pause_after_ms!r}; it must be 0 or more, or None")
        self._frame_bytes = audio_format.frame_bytes
        self._rate_hz = audio_format.rate_hz
        self._max_frames = int(max_buffer_ms // FRAME_MS)
        self._pause_after_s = math.inf if pause_after_ms is None else pause_after_ms / 1000
        self._appends_short = appends_short
        self._rest = b""
        self._record = record
        self._on_play = on_play
        self._on_underrun = on_underrun
        self.waiting: deque[bytes] = deque()
        """What waits to be played; to be looked at only."""
        # Frame k since the buffer was last idle starts at anchor + k * 20 ms: a product, never a running sum.
        self._anchor_s = -math.inf
        self._since_anchor = 0
        self._next_start_s = -math.inf
        self._speech_open = False
        self._origin_s: float | None = None
        self._recorded_samples = 0
        self._taken = 0
        self._played = 0
        self._cleared = 0
        self.faults = 0
        """Underruns, overflows and wrong sizes in sum; whoever sees that it has changed looks closer."""
        self.overflow_frames = 0
        self.wrong_size_messages = 0
        self._lost_bytes = 0
        self.underruns = 0
        self.underrun_s = 0.0
        self._deepest = 0
        self._first_audio_at: float | None = None

    @property
    def buffered_ms(self) -> int:
        """Audio that waits to be played, in milliseconds."""
        return len(self.waiting) * FRAME_MS

    def receive(self, payload: bytes, now: float) -> None:
        """Take in one binary message, whatever its size."""
        queue = self.waiting
        if queue or self._record is not None or self._origin_s is None:
            self.advance(now)
        if len(payload) != self._frame_bytes or self._rest:
            fitted = self._fit(payload)
            if fitted is None:
                return
            payload = fitted
        if self._first_audio_at is None:
            self._first_audio_at = now
        if len(queue) >= self._max_frames:
            self.overflow_frames += 1
            self.faults += 1
            return
        self._taken += 1
        queue.append(payload)
        self._deepest = max(self._deepest, len(queue))
        # advance() above took everything that was due, so a due start means that the buffer was idle.
        if self._next_start_s <= now:
            self._restart(now)
        else:
            self._speech_open = True  # again, where a clear came before and its last frame still plays

    def advance(self, now: float) -> None:
        """Play every frame whose time has come."""
        if self._origin_s is None:
            self._origin_s = now
        queue = self.waiting
        while queue and self._next_start_s <= now:
            self._play(queue.popleft())
        if self._record is not None and not queue and self._next_start_s <= now:
            self._record_silence_until(now)

    def clear(self, now: float) -> int:
        """Drop what waits; the frame that is playing plays to its end.

        The silence after a clear was asked for, so it is never counted as an underrun.

        Returns:
            Milliseconds of audio dropped.
        """
        self.advance(now)
        dropped = len(self.waiting)
        self.waiting.clear()
        self._rest = b""
        self._cleared += dropped
        self._speech_open = False
        return dropped * FRAME_MS

    def is_idle(self, now: float) -> bool:
        """Whether nothing plays and nothing waits."""
        self.advance(now)
        return not self.waiting and self._next_start_s <= now

    def next_deadline(self, now: float) -> float | None:
        """When ``advance`` has something to do next, which may be overdue; None while nothing waits."""
        del now  # part of the contract of every machine here; this one's deadline does not depend on it
        return self._next_start_s if self.waiting else None

    def mark(self) -> int:
        """The position behind everything that was taken in so far, for ``is_heard``."""
        return self._taken

    def is_heard(self, mark: int, now: float) -> bool:
        """Whether everything before ``mark`` was played to its end or cleared."""
        self.advance(now)
        gone = self._played + self._cleared
        return gone > mark or (gone == mark and self._next_start_s <= now)

    def report(self, now: float) -> PlayoutReport:
        """The counts up to ``now``."""
        self.advance(now)
        return PlayoutReport(
            frames_received=self._taken + self.overflow_frames,
            wrong_size_messages=self.wrong_size_messages,
            wrong_size_lost_bytes=self._lost_bytes,
            underruns=self.underruns,
            underrun_ms=self.underrun_s * 1000,
            overflow_frames=self.overflow_frames,
            deepest_ms=float(self._deepest * FRAME_MS),
            first_audio_at=self._first_audio_at,
            played_frames=self._played,
            cleared_frames=self._cleared,
            buffered_frames=len(self.waiting),
        )

    def _fit(self, payload: bytes) -> bytes | None:
        """Make one frame of a message of another size; None where there is not enough for one."""
        excess = len(payload) - self._frame_bytes
        if excess:
            self.wrong_size_messages += 1
            self.faults += 1
        if excess > 0:
            self._lost_bytes += excess
            payload = payload[: self._frame_bytes]
        elif excess < 0 and not self._appends_short:
            self._lost_bytes += len(payload)
            return None
        stream = self._rest + payload
        self._rest = stream[self._frame_bytes :]
        if len(stream) >= self._frame_bytes:
            return stream[: self._frame_bytes]
        self._rest = stream
        return None

    def _restart(self, now: float) -> None:
        """Audio arrived at an idle buffer: it starts at once, and the clock starts anew."""
        hole_s = now - self._next_start_s
        if self._speech_open and _ROUNDING_S < hole_s <= self._pause_after_s:
            self.underruns += 1
            self.faults += 1
            self.underrun_s += hole_s
            if self._on_underrun is not None:
                self._on_underrun(self._next_start_s, now)
        self._speech_open = True
        self._anchor_s = now
        self._since_anchor = 0
        if self._record is not None:
            self._record_silence_until(now)
        self._play(self.waiting.popleft())

    def _play(self, frame: bytes) -> None:
        self._played += 1
        self._since_anchor += 1
        begins_at = self._anchor_s + (self._since_anchor - 1) * _FRAME_S
        self._next_start_s = self._anchor_s + self._since_anchor * _FRAME_S
        if self._on_play is not None:
            self._on_play(frame, begins_at)
        if self._record is not None:
            self._recorded_samples += len(frame) // 2
            self._record(frame)

    def _record_silence_until(self, now: float) -> None:
        if self._record is None or self._origin_s is None:
            return
        missing = round((now - self._origin_s) * self._rate_hz) - self._recorded_samples
        block = int(_SILENCE_BLOCK_S * self._rate_hz)
        while missing > 0:
            samples = min(missing, block)
            self._recorded_samples += samples
            self._record(bytes(2 * samples))
            missing -= samples
