# SPDX-License-Identifier: Apache-2.0
"""A piece of audio in a test: what is said, what is heard, and whether one is the other."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from audio_connector.audio.files import iter_audio_file
from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import AudioInput, to_pcm16
from audio_connector.audio.resample import resample
from audio_connector.audio.wav import FilePath, WavWriter
from audio_connector.errors import AudioDataError, UsageError
from audio_connector.simulator.samples import is_sample, sample_named
from audio_connector.simulator.speech import sample_speech
from audio_connector.testing.likeness import (
    BLOCK_MS,
    QUIET,
    Difference,
    Samples,
    aligned,
    found,
)

AudioSource: TypeAlias = "Audio | FilePath | AudioInput"
"""Whatever can be said or compared with: an `Audio`; the path of a file, or ``"sample:he-was-not"`` for a packaged
sentence; 16-bit PCM as bytes; a numpy array, int16 or float32."""

UNLIKE = 0.3
"""Of two sentences of one speaker it is below 0.1; but also where only the beginning is there."""
UNLIKE_MS = 200

_FULL_SCALE = 32768


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether audio is what was expected: true or false, with the reason. Its ``repr`` is the reason.

    Attributes:
        is_match: Whether it is.
        text: What was expected, what was heard, and where they begin to differ.
        at_s: Where the expected audio begins in what was heard, in seconds, by the best guess.
        likeness: 1.0 for the same, 0.0 for nothing in common.
    """

    is_match: bool
    text: str
    at_s: float = 0.0
    likeness: float = 0.0

    def __bool__(self) -> bool:
        return self.is_match

    def __repr__(self) -> str:
        return f"<{self.text}>"


@dataclass(frozen=True, slots=True, repr=False)
class Audio:
    """A piece of audio.

    Attributes:
        pcm: Mono, 16-bit, little-endian.
        rate_hz: Samples per second.

    Raises:
        AudioDataError: Half a sample at the end.
        AudioFormatError: A rate that is out of range.
    """

    pcm: bytes
    rate_hz: int = 16000

    def __post_init__(self) -> None:
        check_rate_hz(self.rate_hz)
        if len(self.pcm) % SAMPLE_BYTES:
            raise AudioDataError(
                f"got {len(self.pcm)} bytes of audio; expected 16-bit samples, an even number"
            )

    def __repr__(self) -> str:
        return f"<Audio {self}, {self.rate_hz} Hz>"

    def __str__(self) -> str:
        level_db = self.level_db
        return f"{self.duration_s:.2f} s " + (
            "of silence" if level_db == -math.inf else f"at {level_db:.1f} dB"
        )

    # Where it comes from.

    @classmethod
    def of(cls, source: AudioSource, *, rate_hz: int | None = None) -> Audio:
        """Take whatever is audio.

        Args:
            source: See `AudioSource`.
            rate_hz: Of bytes and arrays, 16,000 by default; a file says its own.

        Raises:
            AudioFileError: The file cannot be read as audio, or has none.
            AudioDataError: Not audio that is taken.
            UsageError: There is no packaged sentence of that name.
        """
        if isinstance(source, Audio):
            return source
        if not isinstance(source, str | os.PathLike):
            return cls(to_pcm16(source), rate_hz or 16000)
        path = os.fspath(source)
        if is_sample(path):
            return cls(sample_speech([sample_named(path)]))
        blocks = list(iter_audio_file(path))
        return cls(b"".join(pcm for pcm, _ in blocks), blocks[0][1])

    @classmethod
    def tone(cls, hz: float, duration_s: float, *, level_db: float = -20.0, rate_hz: int = 16000) -> Audio:
        """Make a sine, so that what is heard can be told from something else."""
        at = np.arange(round(duration_s * rate_hz)) / rate_hz
        return cls.of(np.sin(2 * np.pi * hz * at) * math.sqrt(2) * 10 ** (level_db / 20), rate_hz=rate_hz)

    @classmethod
    def silence(cls, duration_s: float, *, rate_hz: int = 16000) -> Audio:
        """Make silence."""
        return cls(bytes(SAMPLE_BYTES * round(duration_s * rate_hz)), rate_hz)

    # How it is.

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / SAMPLE_BYTES / self.rate_hz

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """The samples, read-only."""
        return np.frombuffer(self.pcm, "<i2")

    @property
    def level_db(self) -> float:
        """Its loudness: the root mean square in dB of full scale, 0 at most; minus infinity for zeros."""
        return _db(_rms(_scaled(self.samples)))

    @property
    def is_silent(self) -> bool:
        """Whether there is no frame of 20 ms in which something is heard, from -50 dB on."""
        return not len(self._loud_blocks())

    # Parts and copies.

    def between(self, start_s: float, end_s: float | None = None) -> Audio:
        """Cut a part out, in seconds from the beginning; to the end by default."""
        start, end = (
            None if at_s is None else round(at_s * self.rate_hz) * SAMPLE_BYTES for at_s in (start_s, end_s)
        )
        return Audio(self.pcm[start:end], self.rate_hz)

    def trimmed(self) -> Audio:
        """Cut off the silence at both ends, in steps of 20 ms."""
        loud = self._loud_blocks()
        if not len(loud):
            return Audio(b"", self.rate_hz)
        block_s = BLOCK_MS / 1000
        return self.between(int(loud[0]) * block_s, (int(loud[-1]) + 1) * block_s)

    def at_rate(self, rate_hz: int) -> Audio:
        """Convert it."""
        return self if rate_hz == self.rate_hz else Audio(resample(self.pcm, self.rate_hz, rate_hz), rate_hz)

    def __add__(self, other: Audio) -> Audio:
        return Audio(self.pcm + other.at_rate(self.rate_hz).pcm, self.rate_hz)

    def save(self, path: FilePath) -> None:
        """Write it to a WAV file, to listen to it."""
        with WavWriter(os.fspath(path), self.rate_hz) as file:
            file.write(self.pcm)

    # What it is compared with.

    def matches(self, expected: AudioSource) -> Verdict:
        """Whether this is the expected audio and nothing else: ``assert reply.matches("welcome.wav")``.

        Silence at both ends does not count, nor does the sample rate, nor up to 3 dB of gain. A gap of one frame, a
        missing end or another sentence do.

        Args:
            expected: What it should be; bytes and arrays at the rate of this one.

        Returns:
            True or false, with the reason.

        Raises:
            UsageError: The expected audio is silent.
        """
        wanted, heard = self._expected(expected), self.trimmed()
        a, b, rate_hz = _at_one_rate(heard, wanted)
        place, difference = aligned(a, b, rate_hz)
        sides = f"heard {heard}, expected {wanted}"
        if difference.first_ms is None:
            return Verdict(True, f"{sides}: the same", 0.0, place.likeness)
        return Verdict(False, f"{sides}: {_shown(difference, place.likeness)}", 0.0, place.likeness)

    def contains(self, expected: AudioSource) -> Verdict:
        """Whether the expected audio was heard somewhere in this one, in one piece.

        Args:
            expected: As `matches`.

        Returns:
            True or false, with the reason; `Verdict.at_s` says where.

        Raises:
            UsageError: The expected audio is silent.
        """
        wanted = self._expected(expected)
        a, b, rate_hz = _at_one_rate(self, wanted)
        place, difference = found(a, b, rate_hz)
        at_s = place.offset / rate_hz
        what = f"{wanted} in {self}"
        if difference.first_ms is None:
            return Verdict(True, f"heard {what}, from {at_s:.2f} s on", at_s, place.likeness)
        text = f"not heard: {what}; at the likest place, {at_s:.2f} s, {_shown(difference, place.likeness)}"
        return Verdict(False, text, at_s, place.likeness)

    def _expected(self, expected: AudioSource) -> Audio:
        wanted = Audio.of(expected, rate_hz=self.rate_hz).trimmed()
        if not wanted.pcm:
            raise UsageError(
                "the expected audio is silent, and silence is everywhere; ask for is_silent instead"
            )
        return wanted

    def _loud_blocks(self) -> npt.NDArray[np.intp]:
        block = self.rate_hz * BLOCK_MS // 1000
        samples = _scaled(self.samples)
        padded = np.concatenate([samples, np.zeros(-len(samples) % block, np.float32)]).reshape(-1, block)
        return np.flatnonzero(np.mean(np.square(padded), axis=1) > QUIET**2)


def _shown(difference: Difference, likeness: float) -> str:
    if likeness < UNLIKE and difference.first_ms is not None and difference.first_ms < UNLIKE_MS:
        return f"another sound altogether (likeness {likeness:.2f})"
    if difference.is_gain:
        return f"{difference.what}; up to 3 dB would not count"
    return (
        f"alike up to {difference.first_ms:.0f} ms, then {difference.what}; "
        f"{difference.blocks * BLOCK_MS} ms differ (likeness {likeness:.2f})"
    )


def _at_one_rate(heard: Audio, expected: Audio) -> tuple[Samples, Samples, int]:
    # The lower one: what the other has above it cannot have been sent.
    rate_hz = min(heard.rate_hz, expected.rate_hz)
    return _scaled(heard.at_rate(rate_hz).samples), _scaled(expected.at_rate(rate_hz).samples), rate_hz


def _scaled(samples: npt.NDArray[np.int16]) -> Samples:
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _db(value: float) -> float:
    return 20 * math.log10(value) if value > 0 else -math.inf
