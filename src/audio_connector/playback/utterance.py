# SPDX-License-Identifier: Apache-2.0
"""One utterance on the side that sends: what was written, as frames, and who waits to write more.

The rules:

1. What is written before the router's rate is known is kept as it came. Labelled audio is converted once it is
   known; audio without a label is of the router's rate, whatever that turns out to be. Nothing is complete before.
2. Half a sample and what the resampler holds live until the utterance ends. Where the router is about to run dry,
   `drain` makes frames of what is there, and what follows continues behind it.
3. An utterance is *open* until it is sealed, so that nobody new may write to it, and everybody who was in line has
   written. Only then it is complete.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.framing import Framer
from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError

NEVER = 1 << 62
"""More frames than an utterance has."""


@dataclass(slots=True, eq=False)
class Writer:
    """Somebody who waits for room, in the line of an utterance."""

    token: int
    is_granted: bool = False


@dataclass(slots=True, eq=False)
class Mark:
    """Somebody who waits until all that was asked for before has been heard.

    Attributes:
        token: Names who waits.
        pending: Utterances of it that were not heard so far yet.
        played_ms: What was heard of the others.
    """

    token: int
    pending: int = 0
    played_ms: float = 0.0


class Utterance:
    """One utterance.

    Args:
        lane: `PLAIN`, or the number of a speech.
        audio_format: The router's format; None while it is not known.
    """

    __slots__ = (
        "early",
        "end_marks",
        "frame_bytes",
        "framer",
        "frames",
        "has_remainder",
        "heard_before",
        "ingest",
        "is_complete",
        "is_labelled",
        "is_sealed",
        "is_spoken",
        "lane",
        "last_write_at",
        "line",
        "marks",
        "rested_ms",
        "run_sent",
        "run_start",
        "said_from",
        "starved_at",
        "waiting_since",
    )

    def __init__(self, lane: int, audio_format: AudioFormat | None) -> None:
        self.lane = lane
        self.line: deque[Writer | Mark] = deque()
        self.is_sealed = False
        self.is_complete = False
        self.is_labelled = False
        """Some of it came with a rate of its own."""
        self.is_spoken = False
        """Something was written to it."""
        self.early: list[tuple[bytes, int | None]] = []
        self.frames: deque[bytes] = deque()
        self.frame_bytes = 0
        self.has_remainder = False
        """Something is left beside whole frames, or a resampler is in use: what follows has to be joined to it."""
        self.framer: Framer | None = None
        self.ingest: PcmIngest | None = None
        if audio_format is not None:
            self._tune(audio_format)
        self.heard_before = 0
        self.run_start = 0
        self.run_sent = 0
        self.said_from = 0
        """Frames before the latest pause of the speaker, who has begun anew since."""
        self.rested_ms = 0.0
        """What was said before that pause."""
        self.starved_at: float | None = None
        self.last_write_at = 0.0
        self.waiting_since: float | None = None
        """Since when the first audio waits that the router has to play next."""
        self.marks: deque[tuple[int, Mark]] = deque()
        """Who waits for so many of its frames to be heard; the earliest first."""
        self.end_marks: list[Mark] = []
        """Who waits for its end."""

    # Audio.

    @property
    def queued_bytes(self) -> int:
        """What waits to be sent; what the resampler holds counts once it comes out."""
        if self.framer is None:
            return sum(len(pcm) for pcm, _ in self.early)
        return len(self.frames) * self.frame_bytes + self.framer.pending_bytes

    @property
    def remainder_bytes(self) -> int:
        """What is left beside whole frames, the resampler's part included and half a sample not."""
        if not self.has_remainder or self.framer is None or self.ingest is None:
            return 0
        return self.framer.pending_bytes + self.ingest.held_bytes

    def write(self, pcm: bytes, rate_hz: int | None) -> int:
        """Take audio; the path of every outgoing frame.

        Args:
            pcm: Any number of bytes, but none.
            rate_hz: Its rate; None for that of the router.

        Returns:
            The bytes that this added to `queued_bytes`.

        Raises:
            AudioDataError: Half a sample waits, and this cannot complete it; nothing was taken.
        """
        self.is_spoken = True
        if len(pcm) == self.frame_bytes and rate_hz is None and not self.has_remainder:
            self.frames.append(pcm)
            return self.frame_bytes
        framer, ingest = self.framer, self.ingest
        if framer is None or ingest is None:
            self.early.append((pcm, rate_hz))
            self.is_labelled = self.is_labelled or rate_hz is not None
            return len(pcm)
        if rate_hz is not None:
            self.is_labelled = True
        before = framer.pending_bytes
        frames = framer.push(ingest.write(pcm, sample_rate=rate_hz))
        self.frames.extend(frames)
        pending_bytes = framer.pending_bytes
        self.has_remainder = pending_bytes > 0 or not ingest.is_clean
        return len(frames) * self.frame_bytes + pending_bytes - before

    def settle(self, audio_format: AudioFormat) -> list[tuple[bytes, int | None]]:
        """The router's format is known, or is another one: what was framed is framed anew.

        Returns:
            What came early and is to be written now: audio and its rate.
        """
        if self.framer is not None and self.ingest is not None:
            self._change(audio_format)
        else:
            self._tune(audio_format)
        early, self.early = self.early, []
        return early

    def aim_marks(self) -> None:
        """Frames were made anew: whoever waits for some that were not sent yet waits for all that is there."""
        sent, end = self.sent, self.target
        self.marks = deque((target if target <= sent else end, mark) for target, mark in self.marks)

    def drain(self) -> int:
        """Make frames of what is there, for a router that is about to run dry.

        Whole frames of what the resampler holds come first; only a remainder with nothing before it is padded.

        Returns:
            The bytes that this added to `queued_bytes`.
        """
        assert self.framer is not None
        assert self.ingest is not None
        before = self.queued_bytes
        self.frames.extend(self.framer.push(self.ingest.drain()))
        if not self.frames:
            self._pad()
        self.has_remainder = self.framer.pending_bytes > 0 or not self.ingest.is_clean
        return self.queued_bytes - before

    def complete(self) -> AudioDataError | None:
        """End it: nothing more comes, and the remainder is padded with silence.

        Returns:
            What was wrong, where half a sample is left; all before it is played.
        """
        self.is_sealed = self.is_complete = True
        fault = None
        if self.ingest is not None and self.framer is not None:
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

    def forget(self, token: int) -> None:
        """Somebody waits no more, in line or for something to be heard."""
        self.line = deque(entry for entry in self.line if entry.token != token)
        self.marks = deque((target, mark) for target, mark in self.marks if mark.token != token)
        self.end_marks = [mark for mark in self.end_marks if mark.token != token]

    # How far it is.

    @property
    def sent(self) -> int:
        """Frames sent since it began."""
        return self.heard_before + self.run_sent

    @property
    def target(self) -> int:
        """How many of its frames hold all that was written so far; `NEVER` before there can be frames."""
        if self.framer is None:
            return NEVER
        return self.sent + len(self.frames) + math.ceil(self.remainder_bytes / self.frame_bytes)

    def start_run(self) -> None:
        """All that was sent has been heard; counting starts anew."""
        self.heard_before += self.run_sent
        self.run_start = self.run_sent = 0

    def rest(self) -> None:
        """A pause ended what was said; what follows is said anew."""
        self.rested_ms = self.said_ms(self.sent)
        self.said_from = self.sent
        self.starved_at = None

    def heard(self, run_heard: int) -> int:
        """Frames heard, given how many frames of the present run were."""
        return self.heard_before + min(self.run_sent, max(0, run_heard - self.run_start))

    def said_ms(self, heard: int) -> float:
        """Milliseconds of so many frames heard, since the latest pause."""
        return float((heard - self.said_from) * FRAME_MS)

    def unheard_ms(self, run_heard: int, audio_format: AudioFormat) -> float:
        """What was written and has not been heard."""
        held_bytes = self.ingest.held_bytes if self.ingest is not None else 0
        frame_ms = (self.sent - self.heard(run_heard)) * FRAME_MS
        return frame_ms + audio_format.duration_ms(self.queued_bytes + held_bytes)

    # Inside.

    def _tune(self, audio_format: AudioFormat) -> None:
        self.frame_bytes = audio_format.frame_bytes
        self.framer = Framer(audio_format.frame_bytes)
        self.ingest = PcmIngest(audio_format.rate_hz)

    def _change(self, audio_format: AudioFormat) -> None:
        """The router corrects itself: what has no label was of its rate all along."""
        assert self.framer is not None
        assert self.ingest is not None
        old_hz = self.ingest.rate_hz
        pcm = b"".join(self.frames) + self.ingest.change_rate(audio_format.rate_hz)
        pending_bytes = self.framer.pending_bytes
        pcm += (self.framer.finish() or b"")[:pending_bytes]
        if self.is_labelled:
            pcm = resample(pcm, old_hz, audio_format.rate_hz)
        self.frame_bytes = audio_format.frame_bytes
        self.framer = Framer(audio_format.frame_bytes)
        self.frames = deque(self.framer.push(pcm))
        self.has_remainder = self.framer.pending_bytes > 0 or not self.ingest.is_clean
        if self.is_complete:
            self._pad()

    def _pad(self) -> None:
        assert self.framer is not None
        last = self.framer.finish()
        if last is not None:
            self.frames.append(last)
