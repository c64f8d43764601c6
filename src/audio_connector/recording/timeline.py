# SPDX-License-Identifier: Apache-2.0
"""One side of a recording: pieces of audio that each ended at a time become samples without a gap. Pure.

The file's clock is ours. A network delays messages and never hurries them, and the other end's clock may be wrong:
by 1,000 ppm, that is 7 s in two hours. So:

1. Where a piece belongs is said by the *earliest* of the pieces that arrived within ``lookahead_s`` behind it: one
   that is late, and those that it holds up, move nothing as long as what follows catches up.
2. What is `GAP_S` or more behind its time was preceded by silence, which is kept at its true length.
3. A smaller deviation is the other clock's, or the network's. It is made up for where nobody hears it, in a quiet
   piece, once it is more than `SLIP_S`: by so much silence, or by leaving the piece out.
4. Where no quiet piece comes and the audio is ahead by `GAP_S`, a frame is left out, blended, once a second at most.
5. A piece that begins something, a run of ours, stands exactly where its time says, unless that is taken.
6. With no audio for ``hold_s``, what is that long ago was silence.

So a side is right within `SLIP_S` as a rule and within `GAP_S` nearly always, and its samples are those that came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.audio.mixing import crossfade, peak_of

GAP_S: Final = 0.06
"""Three frames, as `intake.buffer.GAP_MS` has it."""

SLIP_S: Final = 0.02
QUIET_PEAK: Final = 200
"""Of 32,768: -44 dB of full scale, between the noise of a room and speech."""


@dataclass(slots=True)
class _Piece:
    end_s: float
    pcm: bytes
    is_first: bool


class Timeline:
    """Samples from time 0 on, at one rate; ``end`` of them have their place, and `take` hands these out.

    Args:
        rate_hz: Samples per second.
        lookahead_s: How long a piece waits for those that say where it belongs; 0 where its time is exact.
        hold_s: How long silence waits for audio that the network may hold up.
    """

    def __init__(self, rate_hz: int, *, lookahead_s: float, hold_s: float) -> None:
        self._rate_hz = rate_hz
        self._lookahead_s = lookahead_s
        self._hold_s = hold_s
        self._pieces: deque[_Piece] = deque()
        self._count = self._placed = 0
        self._arrived = self._consumed = 0  # samples of all pieces pushed, and of those placed or left out
        self._offsets: deque[tuple[int, float]] = deque()
        """Piece, and where it ended less all that came up to it; less than those behind it: a sliding minimum."""
        self._out: deque[bytes | int] = deque()  # an int is so many samples of silence
        self.end = 0
        """Samples that have their place, those that were taken included."""
        self._taken = 0
        self._fading = b""
        self._left_out_at = -rate_hz
        self.gaps = 0
        self.gap_samples = 0
        self.slips = 0

    def push(self, end_s: float, pcm: bytes, *, is_first: bool = False) -> None:
        """Take a piece, whole samples, that ended at a time."""
        if not pcm:
            return
        self._arrived += len(pcm) // SAMPLE_BYTES
        offset = end_s * self._rate_hz - self._arrived
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((self._count, offset))
        self._count += 1
        self._pieces.append(_Piece(end_s, pcm, is_first))

    def advance(self, now_s: float) -> None:
        """Give a place to what has waited for long enough, silence included."""
        while self._pieces and self._pieces[0].end_s <= now_s - self._lookahead_s:
            self._place(self._pieces.popleft())
        if not self._pieces:
            self._fill(int((now_s - self._hold_s) * self._rate_hz) - self.end)

    def finish(self, now_s: float) -> None:
        """Give a place to everything: it ends now."""
        while self._pieces:
            self._place(self._pieces.popleft())
        self._fill(round(now_s * self._rate_hz) - self.end)

    @property
    def until(self) -> int:
        """Samples that it has once all that waits for its place has one."""
        return self.end + self._arrived - self._consumed

    @property
    def ready(self) -> int:
        """Samples that can be taken."""
        return self.end - self._taken

    def take(self, samples: int) -> bytes:
        """Hand out so many of the oldest; no more than are ready."""
        parts: list[bytes] = []
        left, out = samples, self._out
        while left:
            head = out.popleft()
            size = head if isinstance(head, int) else len(head) // SAMPLE_BYTES
            used = min(size, left)
            if isinstance(head, int):
                parts.append(bytes(used * SAMPLE_BYTES))
                if used < size:
                    out.appendleft(size - used)
            else:
                parts.append(head[: used * SAMPLE_BYTES])
                if used < size:
                    out.appendleft(head[used * SAMPLE_BYTES :])
            left -= used
        self._taken += samples
        return b"".join(parts)

    # Inside.

    def _place(self, piece: _Piece) -> None:
        """By how much it would stand too early, in samples, and what is done about that."""
        early = round(self._offsets[0][1] - (self.end - self._consumed))
        if self._offsets[0][0] == self._placed:
            self._offsets.popleft()
        self._placed += 1
        pcm, rate_hz = piece.pcm, self._rate_hz
        self._consumed += len(pcm) // SAMPLE_BYTES
        if piece.is_first or early >= GAP_S * rate_hz:
            if early > 0:
                self.gaps += 1
                self.gap_samples += early
                self._fill(early)
        elif abs(early) > SLIP_S * rate_hz and peak_of(pcm) <= QUIET_PEAK:
            self.slips += 1
            self._fill(early)
            pcm = pcm[max(0, -early) * SAMPLE_BYTES :]
        elif early < -GAP_S * rate_hz and self.end - self._left_out_at >= rate_hz:
            self.slips += 1
            self._left_out_at = self.end
            frame_bytes = rate_hz * FRAME_MS // 1000 * SAMPLE_BYTES
            self._fading, pcm = pcm[:frame_bytes], pcm[frame_bytes:]
        if pcm and self._fading:
            size = min(len(pcm), len(self._fading))
            pcm = crossfade(self._fading[:size], pcm[:size]) + pcm[size:]
            self._fading = b""
        if pcm:
            self._out.append(pcm)
            self.end += len(pcm) // SAMPLE_BYTES

    def _fill(self, samples: int) -> None:
        if samples > 0:
            self._fading = b""
            self._out.append(samples)
            self.end += samples
