# SPDX-License-Identifier: Apache-2.0
"""Measuring what was heard: how long it was loud, and how like something else it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audio_connector.audio.resample import resample

LOUD = 150.0  # root mean square of 20 ms, as in the simulator


def at_16_khz(samples: npt.NDArray[np.int16], rate_hz: int) -> npt.NDArray[np.float64]:
    return np.frombuffer(resample(samples.tobytes(), rate_hz, 16000), "<i2").astype(np.float64)


def loud_frames(samples: npt.NDArray[np.float64], *, level: float = LOUD) -> npt.NDArray[np.bool_]:
    """Which 20 ms of audio at 16 kHz are loud."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)) >= level)


def loud_s(samples: npt.NDArray[np.float64], *, level: float = LOUD) -> float:
    """For how long audio at 16 kHz is loud, in seconds."""
    return float(loud_frames(samples, level=level).sum() * 0.02)


def likeness(heard: npt.NDArray[np.float64], said: npt.NDArray[np.float64]) -> float:
    """How like ``said`` the best place of ``heard`` is: 1 for the same up to its volume, 0 for other audio."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(said))))
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)[: len(heard)]
    energy = np.concatenate([[0.0], np.cumsum(heard**2)])
    ends = np.minimum(np.arange(len(heard)) + len(said), len(heard))
    norms = np.sqrt((energy[ends] - energy[: len(heard)]) * (said**2).sum())
    return float(np.max(product / np.maximum(norms, np.sqrt((said**2).sum()) * 1000)))


def likeness_in_parts(heard: npt.NDArray[np.float64], said: npt.NDArray[np.float64]) -> float:
    """The same, of most of the loud parts of 0.4 s: a gap between two, of a machine that is busy, is forgiven."""
    parts = [said[at : at + 6400] for at in range(0, len(said) - 6400, 6400)]
    loud = [part for part in parts if np.sqrt((part**2).mean()) > 2 * LOUD]
    return float(np.median([likeness(heard, part) for part in loud]))
