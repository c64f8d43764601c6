# SPDX-License-Identifier: Apache-2.0
"""What a test knows of utterances that nobody told it: what was written, and what frames carry of that."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from audio_connector.playback.utterance import Utterance

PIECE_BYTES = 16_000
SIZES = st.one_of(st.integers(0, 3000), st.sampled_from([320, 640, 640, 960, 1, 641, PIECE_BYTES]))
TIMES_S = st.one_of(st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.2]), st.floats(0.0, 1.0))
RATES_HZ = st.sampled_from([None, None, 8000, 16000, 22050, 24000])
ROUTER_RATES_HZ = st.sampled_from([8000, 16000, 24000])
WHICH = st.integers(0, 99)

BYTES = bytes(random.Random(7).choices(range(1, 256), k=1 << 20))
"""No byte is zero, so that no sample is, wherever it is cut; and no two pieces are the same."""


def content(frames: list[bytes]) -> bytes:
    """What frames carry beside padding."""
    samples = np.frombuffer(b"".join(frames), dtype="<u2")
    return bytes(samples[samples != 0])


def waiting_bytes(utterance: Utterance) -> int:
    """What waits in an utterance, beside padding."""
    if not utterance.is_settled:
        return utterance.queued_bytes
    rest = utterance.framer._rest
    whole_bytes = len(rest) // 2 * 2
    framed = [*utterance.frames, rest[:whole_bytes]]
    return len(content(framed)) + len(rest) - whole_bytes + utterance.ingest.has_half


@dataclass
class Said:
    """What the model knows of an utterance."""

    lane: int
    pcm: bytes = b""
    duration_s: float = 0.0
    is_sealed: bool = False
    line: list[int] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.is_sealed and not self.line


def pcm_at(at: int, size_bytes: int) -> tuple[int, bytes]:
    """So much audio, and where it stands, from the one before on."""
    at = 0 if at + size_bytes > len(BYTES) else at + size_bytes
    return at, BYTES[at : at + size_bytes]
