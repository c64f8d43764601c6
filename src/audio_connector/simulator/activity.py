# SPDX-License-Identifier: Apache-2.0
"""How loud a frame of audio is: the simplest way to tell speech from silence, for measuring turns.

What is known ahead, as what a participant will say, is judged as a whole (`levels_of`): what is not above the room in
which it was recorded is no speech, or a sentence would end with its noise and not with its last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

import numpy as np

LEAST_LEVEL: Final = 150.0
"""Root mean square, of 32,768, from which on a frame is loud: about -47 dB of full scale."""

ROOM_FRAMES: Final = 10
"""So many frames before the first word and behind the last one, of more than zeros, are the room where somebody sat.
Fewer may be the soft end of a word, and put that end off by a fifth of a second at most."""

ABOVE_ROOM: Final = 2.5
"""From so many times the room on a frame is loud: 8 dB. A breath behind a sentence is twice the room."""

BELOW_LOUDEST: Final = 1 / 8
"""What is so loud beside the loudest frame is no room: 18 dB below it."""


class Level(Enum):
    """What there is to hear in a frame."""

    NOTHING = "all zeros"
    QUIET = "quiet"
    LOUD = "loud"


@lru_cache(maxsize=16384)
def level_as_rms(frame: bytes) -> float:
    """Return the root mean square, of 32,768, of 16-bit PCM.

    Cached, because many calls say the same frames: the hash of a bytes object is worked out once.
    """
    if frame.count(0) == len(frame):
        return 0.0
    samples = np.frombuffer(frame, "<i2").astype(np.float32)
    return float(np.sqrt(np.mean(np.square(samples))))


def loud_from(levels: Sequence[float]) -> float:
    """Return the root mean square from which on a frame is loud, where this is all that there is.

    Args:
        levels: The root mean square of each frame, in order.
    """
    surely = BELOW_LOUDEST * max(levels, default=0.0)
    if surely <= LEAST_LEVEL:
        return LEAST_LEVEL
    words = [at for at, level in enumerate(levels) if level >= surely]
    room = [level for level in (*levels[: words[0]], *levels[words[-1] + 1 :]) if level > 0]
    if len(room) < ROOM_FRAMES:
        return LEAST_LEVEL
    return max(LEAST_LEVEL, min(ABOVE_ROOM * float(np.median(room)), surely))


def levels_of(frames: Sequence[bytes]) -> tuple[Level, ...]:
    """Return what there is to hear in each frame of an utterance, in 16-bit PCM."""
    levels = list(map(level_as_rms, frames))
    least = loud_from(levels)
    return tuple(_level(level, least) for level in levels)


def level_of(frame: bytes) -> Level:
    """Return what there is to hear in a frame of 16-bit PCM, of which nothing else is known."""
    return _level(level_as_rms(frame), LEAST_LEVEL)


def is_loud(frame: bytes) -> bool:
    """Whether a frame of 16-bit PCM is loud."""
    return level_of(frame) is Level.LOUD


def _level(level: float, least: float) -> Level:
    if level == 0:
        return Level.NOTHING
    return Level.LOUD if level >= least else Level.QUIET
