# SPDX-License-Identifier: Apache-2.0
"""How something was said: pitch by YIN, level and pace. No clock, no model.

Pitch is found as in A. de Cheveigné and H. Kawahara, "YIN, a fundamental frequency estimator for speech and music"
(2002): the difference of a frame with itself, later; normalised by its mean so far; the first dip below a threshold.
Taking the first dip and not the deepest is what keeps it from answering an octave too low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWEST_HZ: Final = 70.0
HIGHEST_HZ: Final = 400.0
"""Voices of adults, from a low man's to a high woman's; a scream or a child's is beyond it."""

HOP_S: Final = 0.01
WINDOW_S: Final = 0.03
"""Two periods of the lowest voice."""

DIP: Final = 0.15
"""How deep a dip has to be: 0.1 in the paper; narrow lines and noise take a little more."""

QUIET_DB: Final = 25.0
"""Frames that are so far below the loudest tenth are pauses."""

BLOCK: Final = 200
"""Frames that are looked at together: 16 MB at most, where all of half a minute take 185."""

FLOOR_DBFS: Final = -70.0
MIN_VOICED_S: Final = 0.15


@dataclass(frozen=True)
class Tone:
    """How an utterance was said.

    Args:
        level_db: Of its loud parts, in dB below full scale.
        pitch_hz: The middle of its pitch; None where nothing had one.
        spread_st: How far the pitch moves, in semitones: from its 10th to its 90th percentile.
        voiced_s: How much of it had a pitch.
        speech_s: How long it was.
    """

    level_db: float
    pitch_hz: float | None
    spread_st: float
    voiced_s: float
    speech_s: float


def tone_of(audio: bytes, sample_rate: int) -> Tone:
    """Tell how something was said.

    Args:
        audio: 16-bit mono PCM.
        sample_rate: Its rate in Hz.
    """
    samples = np.frombuffer(audio, "<i2").astype(np.float64) / 32768
    speech_s = len(samples) / sample_rate
    levels, pitches = _frames(samples, sample_rate)
    if not len(levels):
        return Tone(FLOOR_DBFS, None, 0.0, 0.0, speech_s)
    loud_db = max(FLOOR_DBFS, float(np.percentile(levels, 90)))
    is_voiced = ~np.isnan(pitches) & (levels > max(loud_db - QUIET_DB, FLOOR_DBFS))
    voiced = pitches[is_voiced]
    voiced_s = len(voiced) * HOP_S
    if voiced_s < MIN_VOICED_S:
        return Tone(round(loud_db, 1), None, 0.0, round(voiced_s, 2), speech_s)
    low, middle, high = np.percentile(voiced, [10, 50, 90])
    spread_st = 12 * float(np.log2(high / low))
    return Tone(round(loud_db, 1), round(float(middle), 1), round(spread_st, 2), round(voiced_s, 2), speech_s)


def pitches_of(audio: bytes, sample_rate: int) -> Floats:
    """The pitch of each 10 ms in Hz; NaN where there is none."""
    samples = np.frombuffer(audio, "<i2").astype(np.float64) / 32768
    return _frames(samples, sample_rate)[1]


def _frames(samples: Floats, rate_hz: int) -> tuple[Floats, Floats]:
    """Level in dB and pitch in Hz of each hop."""
    window, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
    longest = int(rate_hz / LOWEST_HZ) + 2
    count = 1 + (len(samples) - window - longest) // hop
    if count < 1:
        return np.empty(0), np.empty(0)
    levels, pitches = np.empty(count), np.empty(count)
    for begin in range(0, count, BLOCK):
        some = slice(begin, min(begin + BLOCK, count))
        at = np.arange(some.start, some.stop)[:, None] * hop + np.arange(window + longest)
        frames = samples[at]
        frames = frames - frames.mean(axis=1, keepdims=True)
        levels[some] = 10 * np.log10(np.mean(frames[:, :window] ** 2, axis=1) + 1e-12)
        pitches[some] = _yin(frames, window, longest, rate_hz)
    return levels, pitches


def _yin(frames: Floats, window: int, longest: int, rate_hz: int) -> Floats:
    """The pitch of each row; NaN where it has none."""
    differences = _differences(frames, window, longest)
    means = np.cumsum(differences[:, 1:], axis=1) / np.arange(1, longest)
    normalised = np.ones_like(differences)
    np.divide(differences[:, 1:], means, out=normalised[:, 1:], where=means > 1e-12)
    region = normalised[:, 1:longest]
    # A dip: below the threshold, and neither neighbour is lower. The first one counts, and where that is too short a
    # period for a voice, a later one is only a multiple of it.
    inner = region[:, 1:-1]
    is_dip = (inner < DIP) & (inner <= region[:, :-2]) & (inner < region[:, 2:])
    has_pitch = is_dip.any(axis=1)
    lag = np.argmax(is_dip, axis=1)
    rows = np.arange(len(frames))
    before, here, after = region[rows, lag], region[rows, lag + 1], region[rows, lag + 2]
    bend = before - 2 * here + after
    # A parabola through the three: whole samples alone would be 2 % at 400 Hz and 16 kHz.
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-12)
    pitches = rate_hz / (lag + 2 + shift)
    return np.where(has_pitch & (pitches <= HIGHEST_HZ), pitches, np.nan)


def _differences(frames: Floats, window: int, longest: int) -> Floats:
    """Of each row, the sum of squares between its window and itself ``lag`` samples later, for each lag."""
    size = 1 << (window + longest + window - 1).bit_length()
    heads = np.fft.rfft(frames[:, :window], size, axis=1)
    products = np.fft.irfft(np.conj(heads) * np.fft.rfft(frames, size, axis=1), size, axis=1)[:, :longest]
    squares = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energies = squares[:, window : window + longest] - squares[:, :longest]
    differences: Floats = np.maximum(energies[:, :1] + energies - 2 * products, 0.0)
    return differences
