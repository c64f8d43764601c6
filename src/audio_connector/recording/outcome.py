# SPDX-License-Identifier: Apache-2.0
"""What was recorded, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audio_connector.errors import AudioFileError


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording, as far as it is.

    Attributes:
        path: The file.
        duration_s: What is in it, in seconds.
        rate_hz: Its samples per second; 0 where none was written.
        lost_ms: Audio that could not be written in time, or at all; silence stands in its place.
        gaps: Times without audio of the caller (muted, silent, lost), which are silence of their true length.
        gap_ms: Their sum.
        slips: Times that audio was moved by a frame or so to stay with the clock, where the peer's is wrong.
        error: Why there is no more of it; None for a recording that goes on, or was stopped.
    """

    path: Path
    duration_s: float = 0.0
    rate_hz: int = 0
    lost_ms: float = 0.0
    gaps: int = 0
    gap_ms: float = 0.0
    slips: int = 0
    error: AudioFileError | None = None
