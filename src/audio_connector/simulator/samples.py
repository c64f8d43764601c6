# SPDX-License-Identifier: Apache-2.0
"""The names of the sentences that come with the package."""

from __future__ import annotations

from typing import Final

from audio_connector.errors import UsageError

SAMPLES: Final = ("he-was-not.wav", "unless-to-be.wav")
"""The sentences of real speech that come with the package (LibriVox, public domain), in reading order."""

SAMPLE_PREFIX: Final = "sample:"
"""Begins the name of a packaged sentence, where else a path may stand."""

SAMPLE_RATE_HZ: Final = 16000
"""Rate of the packaged sentences."""


def is_sample(path: str) -> bool:
    """Whether a text that may be a path names a packaged sentence instead."""
    return path.startswith(SAMPLE_PREFIX)


def sample_named(path: str) -> str:
    """Return which of `SAMPLES` a name with the prefix means.

    Raises:
        UsageError: There is none of that name.
    """
    name = path.removeprefix(SAMPLE_PREFIX)
    for sample in SAMPLES:
        if name in (sample, sample.removesuffix(".wav")):
            return sample
    known = ", ".join(SAMPLE_PREFIX + sample.removesuffix(".wav") for sample in SAMPLES)
    raise UsageError(f"there is no packaged sentence {path!r}; expected one of {known}")
