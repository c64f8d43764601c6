# SPDX-License-Identifier: Apache-2.0
"""Whether a frame is speech, by WebRTC's detector: ``pip install 'audio-connector[webrtcvad]'``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from audio_connector.engines.base.faults import EngineMissing
from audio_connector.errors import AudioDataError, UsageError

RATES_HZ: Final = (8_000, 16_000)
FRAMES_MS: Final = (10, 20, 30)


class WebRtc:
    """WebRTC's voice activity detector, which says 0 or 1; a `SpeechDetector`.

    A few microseconds a frame and no memory to speak of; it takes steady noise and music for speech more often than
    Silero does.

    Args:
        sample_rate: Hz of the frames, 8,000 or 16,000.
        aggressiveness: 0 to 3, how much it takes to be speech.
        frame_ms: 10, 20 or 30; 20 is a frame of the wire.

    Raises:
        UsageError: An argument is none of these.
        EngineMissing: webrtcvad is not installed.
    """

    def __init__(self, *, sample_rate: int = 16_000, aggressiveness: int = 2, frame_ms: int = 20) -> None:
        if sample_rate not in RATES_HZ or aggressiveness not in range(4) or frame_ms not in FRAMES_MS:
            raise UsageError(
                f"got {sample_rate=!r}, {aggressiveness=!r}, {frame_ms=!r}; expected a rate of {RATES_HZ}, 0 to 3 "
                f"and a frame of {FRAMES_MS}"
            )
        if find_spec("webrtcvad") is None:
            raise EngineMissing("webrtcvad is not installed", mend="pip install 'audio-connector[webrtcvad]'")
        self._rate_hz = sample_rate
        self._aggressiveness = aggressiveness
        self._frame_samples = sample_rate * frame_ms // 1000
        self.reset()

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the frames that it takes."""
        return self._rate_hz

    @property
    def frame_samples(self) -> int:
        """Samples of a frame."""
        return self._frame_samples

    def probability(self, frame: bytes) -> float:
        """Return 1 for speech, else 0.

        Raises:
            AudioDataError: The frame has another length.
        """
        if len(frame) != self._frame_samples * 2:
            raise AudioDataError(f"got a frame of {len(frame)} bytes; expected {self._frame_samples * 2}")
        return float(self._vad.is_speech(frame, self._rate_hz))

    def reset(self) -> None:
        """Forget what came before."""
        self._vad: Any = import_module("webrtcvad").Vad(self._aggressiveness)
