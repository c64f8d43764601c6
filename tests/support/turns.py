# SPDX-License-Identifier: Apache-2.0
"""Turns without a voice: a detector for audio that says itself what it is, and the events of utterances."""

from __future__ import annotations

from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechStarted

FRAME = 320


class Marks:
    """A detector for audio that says itself what it is: a frame of ones is speech, of zeros is none."""

    def __init__(self, sample_rate: int = 16000, frame_samples: int = FRAME) -> None:
        self.sample_rate = sample_rate
        self.frame_samples = frame_samples
        self.seen: list[bytes] = []

    def probability(self, frame: bytes) -> float:
        self.seen.append(frame)
        return 0.9 if any(frame) else 0.1

    def reset(self) -> None:
        self.seen.clear()


def audio_of(marks: str) -> bytes:
    """Audio of frames of 20 ms: # is speech."""
    return b"".join((b"\1\1" if mark == "#" else b"\0\0") * FRAME for mark in marks)


def started(at_s: float = 0.1, *, continues: bool = False) -> SpeechStarted:
    return SpeechStarted(
        start_s=0, at_s=at_s, audio=b"", sample_rate=16000, audio_start_s=0, continues=continues
    )


def going(at_s: float, pause_s: float = 0.0) -> SpeechGoesOn:
    return SpeechGoesOn(start_s=0, at_s=at_s, audio=b"", sample_rate=16000, pause_s=pause_s, probability=0.5)


def ended(end_s: float) -> SpeechEnded:
    return SpeechEnded(
        start_s=0, end_s=end_s, at_s=end_s + 0.5, audio=b"", sample_rate=16000, audio_start_s=0, cause="pause"
    )
