# SPDX-License-Identifier: Apache-2.0
"""How the arguments of a connection's methods are checked; each raises UsageError."""

from __future__ import annotations

from typing import Final

from audio_connector.audio.format import check_rate_hz
from audio_connector.validation.arguments import check_number

MAX_CHUNK_MS: Final = 60_000

MAX_LEAD_S: Final = 60
"""The router holds 60 s (PROTOCOL 4.12)."""

MIN_GAP_S: Final = 0.06
"""Three frames, as a gap is counted in `ConnectionStatistics`; less is jitter."""

MAX_GAP_S: Final = 60


def check_pieces(chunk_ms: float | None, rate_hz: int | None, gap_s: float | None) -> None:
    """How somebody wants to read audio."""
    if chunk_ms is not None:
        expected = f"1 to {MAX_CHUNK_MS} ms, or None for one frame at a time"
        check_number("chunk_ms", chunk_ms, lambda ms: 1 <= ms <= MAX_CHUNK_MS, expected)
    if rate_hz is not None:
        check_rate_hz(rate_hz)
    if gap_s is not None:
        expected = f"{MIN_GAP_S:g} to {MAX_GAP_S} seconds, or None to wait for audio"
        check_number("gap_s", gap_s, lambda seconds: MIN_GAP_S <= seconds <= MAX_GAP_S, expected)


def check_lead(active_seconds: float) -> None:
    """How far ahead audio is sent."""
    expected = f"seconds, more than 0 and at most {MAX_LEAD_S}"
    check_number("active_seconds", active_seconds, lambda seconds: 0 < seconds <= MAX_LEAD_S, expected)


def check_compatible(bytes_per_sample: int, frames_ms: int) -> None:
    """What the vendor's programs say of frames, which follow the connection's rate here."""
    sizes = "the bytes of a frame, 320, 640 or 960; leave it out, since frames follow the connection's rate"
    lengths = "10 or 20; leave it out, the wire carries 20 ms frames"
    check_number("bytes_per_sample", bytes_per_sample, lambda size: isinstance(size, int) and size > 0, sizes)
    check_number("frames_ms", frames_ms, (10, 20).__contains__, lengths)
