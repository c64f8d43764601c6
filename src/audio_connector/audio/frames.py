# SPDX-License-Identifier: Apache-2.0
"""What was written, as frames of the connection's format.

Rules:

1. What is written before the format is known is kept as it came. Labelled audio is converted once it is known;
   audio without a label is of the connection's rate, whatever that turns out to be.
2. Half a sample and what the resampler holds live until the end. `PcmFrames.drain` makes frames of what is there,
   where there is no time to wait for more, and what follows continues behind it.
3. Every frame is exactly one frame long; only the last, and one that is drained, is padded with silence.
"""

from __future__ import annotations

import math
from collections import deque

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.framing import Framer
from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError


class PcmFrames:
    """Audio on its way from writes of any size and rate to frames.

    Args:
        audio_format: What comes out; None while it is not known.
    """

    __slots__ = (
        "early",
        "frame_bytes",
        "framer",
        "frames",
        "has_remainder",
        "ingest",
        "is_complete",
        "is_labelled",
    )

    def __init__(self, audio_format: AudioFormat | None) -> None:
        self.frames: deque[bytes] = deque()
        self.early: list[tuple[bytes, int | None]] = []
        """What came before the format was known, with its rate."""
        self.is_labelled = False
        """Some of it came with a rate of its own."""
        self.is_complete = False
        self.has_remainder = False
        """Something is left beside whole frames, or a resampler is in use: what follows has to be joined to it."""
        self._tune(audio_format or AudioFormat())
        if audio_format is None:
            self.frame_bytes = 0

    @property
    def is_settled(self) -> bool:
        """The format is known."""
        return self.frame_bytes > 0

    @property
    def queued_bytes(self) -> int:
        """What waits; what the resampler holds counts once it comes out."""
        if not self.frame_bytes:
            return sum(len(pcm) for pcm, _ in self.early)
        return len(self.frames) * self.frame_bytes + self.framer.pending_bytes

    @property
    def remainder_bytes(self) -> int:
        """What is left beside whole frames, the resampler's part included and half a sample not."""
        return self.framer.pending_bytes + self.ingest.held_bytes if self.has_remainder else 0

    @property
    def frames_in_all(self) -> int:
        """How many frames hold all that waits; only where the format is known."""
        return len(self.frames) + math.ceil(self.remainder_bytes / self.frame_bytes)

    def write(self, pcm: bytes, rate_hz: int | None) -> int:
        """Take audio; the path of every outgoing frame.

        Args:
            pcm: Any number of bytes, but none.
            rate_hz: Its rate; None for that of the connection.

        Returns:
            The bytes that this added to `queued_bytes`.

        Raises:
            AudioDataError: Half a sample waits, and this cannot complete it; nothing was taken.
        """
        if len(pcm) == self.frame_bytes and rate_hz is None and not self.has_remainder:
            self.frames.append(pcm)
            return self.frame_bytes
        if rate_hz is not None:
            self.is_labelled = True
        if not self.frame_bytes:
            self.early.append((pcm, rate_hz))
            return len(pcm)
        before = self.framer.pending_bytes
        frames = self.framer.push(self.ingest.write(pcm, sample_rate=rate_hz))
        self.frames.extend(frames)
        self._note_remainder()
        return len(frames) * self.frame_bytes + self.framer.pending_bytes - before

    def settle(self, audio_format: AudioFormat) -> list[tuple[bytes, int | None]]:
        """The format is known, or is another one: what was framed is framed anew.

        Returns:
            What came early and is to be written now: audio and its rate.
        """
        if self.frame_bytes:
            self._change(audio_format)
        else:
            self._tune(audio_format)
        early, self.early = self.early, []
        return early

    def drain(self) -> int:
        """Make frames of what is there, and go on.

        Whole frames of what the resampler holds come first; only a remainder with nothing before it is padded.

        Returns:
            The bytes that this added to `queued_bytes`.
        """
        before = self.queued_bytes
        self.frames.extend(self.framer.push(self.ingest.drain()))
        if not self.frames:
            self._pad()
        self._note_remainder()
        return self.queued_bytes - before

    def complete(self) -> AudioDataError | None:
        """Nothing more comes: the remainder is padded with silence.

        Returns:
            What was wrong, where half a sample is left; all before it is in the frames.
        """
        self.is_complete = True
        fault = None
        if self.ingest.has_half:
            fault = AudioDataError(
                "an odd number of bytes over the whole utterance: 16-bit samples have two each. The last byte "
                "was not played; look for what cuts the audio in the middle of a sample"
            )
            self.frames.extend(self.framer.push(self.ingest.drain()))
            self.ingest.reset()
        else:
            self.frames.extend(self.framer.push(self.ingest.finish()))
        self._pad()
        self.has_remainder = False
        return fault

    def _tune(self, audio_format: AudioFormat) -> None:
        self.frame_bytes = audio_format.frame_bytes
        self.framer = Framer(audio_format.frame_bytes)
        self.ingest = PcmIngest(audio_format.rate_hz)

    def _change(self, audio_format: AudioFormat) -> None:
        """The router corrects itself: what has no label was of its rate all along."""
        old_hz = self.ingest.rate_hz
        held = self.ingest.change_rate(audio_format.rate_hz)
        pcm = b"".join(self.frames) + self.framer.take_rest() + held
        if self.is_labelled:
            pcm = resample(pcm, old_hz, audio_format.rate_hz)
        self.frame_bytes = audio_format.frame_bytes
        self.framer = Framer(audio_format.frame_bytes)
        self.frames = deque(self.framer.push(pcm))
        self._note_remainder()
        if self.is_complete:
            self._pad()

    def _note_remainder(self) -> None:
        self.has_remainder = self.framer.pending_bytes > 0 or not self.ingest.is_clean

    def _pad(self) -> None:
        last = self.framer.finish()
        if last is not None:
            self.frames.append(last)
