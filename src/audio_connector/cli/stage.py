# SPDX-License-Identifier: Apache-2.0
"""What the demo watches: both sides of the call, its events, and whether every sample arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.audio.wav import WavWriter

FULL_SCALE = 32768.0
SILENCE_DB = -90.0


class Tap:
    """One side of the call: everything that was said, in memory and in a WAV."""

    def __init__(self, file: WavWriter, rate_hz: int) -> None:
        self.pcm = bytearray()
        self.rate_hz = rate_hz
        self._file = file

    def write(self, pcm: bytes) -> None:
        """Take the next piece."""
        self.pcm += pcm
        self._file.write(pcm)

    @property
    def seconds(self) -> float:
        """How much there is."""
        return len(self.pcm) / SAMPLE_BYTES / self.rate_hz

    def levels_db(self, columns: int, total_s: float) -> list[float]:
        """Return the peak of each of ``columns`` equal parts of ``total_s`` seconds, dB of full scale."""
        samples = np.frombuffer(bytes(self.pcm), "<i2")
        edges = [round(column * total_s * self.rate_hz / columns) for column in range(columns + 1)]
        parts = [samples[start:end] for start, end in pairwise(edges)]
        return [_peak_db(part) for part in parts if len(part)]


def _peak_db(samples: npt.NDArray[np.int16]) -> float:
    peak = int(np.max(np.abs(samples.astype(np.int32)))) if len(samples) else 0
    return float(20 * np.log10(peak / FULL_SCALE)) if peak else SILENCE_DB


@dataclass
class Stage:
    """The demo while it runs.

    Attributes:
        spoken: What the caller said.
        heard: What the session heard.
        sentences: What the parrot understood, in order.
        events: What happened, with the time in seconds.
        depths: The depth of the router's buffer over time: seconds, milliseconds.
        address: The address of the server.
        planned_s: The longest that the call may last, in seconds.
        tell: Called with each event.
    """

    spoken: Tap
    heard: Tap
    sentences: list[bytes] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    depths: list[tuple[float, float]] = field(default_factory=list)
    address: str = ""
    planned_s: float = 20.0
    tell: Callable[[float, str], None] = lambda at_s, text: None

    def note(self, text: str) -> None:
        """Note an event at the present time of the call."""
        at_s = self.spoken.seconds
        self.events.append((at_s, text))
        self.tell(at_s, text)

    def hear(self, sentence: bytes) -> None:
        """Note that the parrot understood a sentence."""
        self.sentences.append(sentence)
        length_s = len(sentence) / SAMPLE_BYTES / self.spoken.rate_hz
        self.note(f"the parrot understood sentence {len(self.sentences)}, {length_s:.2f} s, and says it back")

    @property
    def answers_bytes(self) -> int:
        """Size of everything that the parrot had to say so far."""
        return sum(map(len, self.sentences))


def find_samples(audio: bytes, part: bytes, start: int = 0) -> int:
    """Return the position in bytes of ``part`` in ``audio``, at a whole sample; -1 where it is not."""
    at = audio.find(part, start)
    while at % SAMPLE_BYTES:  # -1 % 2 is 1 as well
        if at < 0:
            return -1
        at = audio.find(part, at + 1)
    return at


def compare(spoken: bytes, heard: bytes, sentences: Sequence[bytes], expected: int) -> list[str]:
    """Compare bit for bit what was spoken, what the parrot received, and what the session heard.

    Args:
        spoken: Everything that the caller said, silence included.
        heard: Everything that the session heard, silence included.
        sentences: What the parrot received and said back.
        expected: How many sentences were spoken.

    Returns:
        What differs, one line each; empty where not one sample was lost or changed.
    """
    problems = []
    if len(sentences) != expected:
        problems.append(f"the parrot understood {len(sentences)} sentences; {expected} were spoken")
    spoken_at = heard_at = 0
    for number, sentence in enumerate(sentences, start=1):
        at = find_samples(spoken, sentence, spoken_at)
        if at < 0:
            problems.append(f"sentence {number}: what the parrot received is not what the caller said")
        else:
            spoken_at = at + len(sentence)
        at = find_samples(heard, sentence, heard_at)
        if at < 0:
            problems.append(f"sentence {number}: what the session heard is not what the parrot said")
            return problems  # what follows cannot be told from it
        if any(heard[heard_at:at]):
            problems.append(f"before sentence {number} the session heard what the parrot did not say")
        heard_at = at + len(sentence)
    if any(heard[heard_at:]):
        problems.append("at the end the session heard what the parrot did not say")
    return problems
