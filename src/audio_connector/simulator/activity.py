# SPDX-License-Identifier: Apache-2.0
"""Whether a frame of audio is loud: the simplest way to tell speech from silence, for measuring turns."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

LEAST_LEVEL: Final = 150.0
"""Root mean square, of 32,768, from which on a frame is loud: about -47 dB of full scale."""


@lru_cache(maxsize=16384)
def is_loud(frame: bytes) -> bool:
    """Whether a frame of 16-bit PCM is loud.

    Cached, because many calls say the same frames: the hash of a bytes object is worked out once.
    """
    if frame.count(0) == len(frame):
        return False
    samples = np.frombuffer(frame, "<i2").astype(np.float32)
    return bool(np.sqrt(np.mean(np.square(samples))) >= LEAST_LEVEL)
