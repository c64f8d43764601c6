# SPDX-License-Identifier: Apache-2.0
"""Numbered frames: a quiet tone whose first two samples are the frame's number, and what came back of them."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

FRAME_BYTES = 640
FRAME_S = 0.02
RATE_HZ = 16000
HEAD_BYTES = 4
# A tone, because what looks like no PCM may be refused; 32 samples are one wave, so that frames join.
_TONE = struct.pack("<320h", *(round(3000 * math.sin(math.tau * at / 32)) for at in range(320)))


def numbered_frames(count: int) -> list[bytes]:
    """Return frames 0 to `count - 1`."""
    return [struct.pack("<I", number) + _TONE[HEAD_BYTES:] for number in range(count)]


def tone(rate_hz: int, seconds: float) -> bytes:
    """Return 16-bit mono audio without numbers, for what is converted on its way."""
    samples = (
        round(3000 * math.sin(math.tau * 500 * at / rate_hz)) for at in range(round(rate_hz * seconds))
    )
    return array("h", samples).tobytes()


def numbers_of(heads: bytes | bytearray) -> tuple[int, ...]:
    """Return the numbers of frames whose first `HEAD_BYTES` each were joined."""
    return struct.unpack(f"<{len(heads) // HEAD_BYTES}I", heads)


@dataclass(frozen=True, slots=True)
class Matched:
    """The echoes of one call, matched to what was sent.

    Attributes:
        trips_s: From sending to arrival, of each frame that came back, by its number.
        missing: Frames that never came back.
        misplaced: Frames that came twice, out of order, or with a number that was never sent.
    """

    trips_s: dict[int, float]
    missing: int
    misplaced: int


def match(sent_at_s: Sequence[float], numbers: Sequence[int], arrived_at_s: Sequence[float]) -> Matched:
    """Match echoes to frames by their numbers.

    Args:
        sent_at_s: When frame 0, 1, 2 and so on were sent.
        numbers: What came back, in the order of arrival.
        arrived_at_s: When each of them arrived.
    """
    trips_s: dict[int, float] = {}
    misplaced, expected = 0, 0
    for number, at_s in zip(numbers, arrived_at_s, strict=True):
        if number >= len(sent_at_s) or number < expected:
            misplaced += 1
            continue
        trips_s[number] = at_s - sent_at_s[number]
        expected = number + 1
    return Matched(trips_s, len(sent_at_s) - len(trips_s), misplaced)
