# SPDX-License-Identifier: Apache-2.0
"""What the page may say without a microphone: packaged sentences, an interruption, a WAV that was dropped on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.audio.resample import resample
from audio_connector.audio.wav import open_wav
from audio_connector.errors import AudioFileError, UsageError
from audio_connector.simulator import SAMPLES, sample_speech

MAX_SPEECH_S: Final = 600
"""Longest speech, in seconds."""

_BLOCK_SAMPLES: Final = 65536
_WORDS: Final = {
    "he-was-not.wav": "He was not an ill disposed young man",
    "unless-to-be.wav": "Unless to be rather cold hearted and rather selfish is to be ill disposed",
}

# The interruption is the beginning of a packaged sentence: from its first sound on, as long as a "wait, no".
_INTERRUPTION_S: Final = 0.9
_FADE_S: Final = 0.03
_LOUD: Final = 800  # of 32,768; the recording's noise is below 200


@dataclass(frozen=True, slots=True)
class Speech:
    """Something to say.

    Attributes:
        name: How the page names it.
        pcm: 16-bit mono PCM at the call's rate.
    """

    name: str
    pcm: bytes


def sentences() -> list[dict[str, object]]:
    """Name, words and length of the packaged sentences, as the page is told them."""
    return [
        {
            "name": name,
            "words": _WORDS[name],
            "seconds": round(len(sentence(name, 16000).pcm) / SAMPLE_BYTES / 16000, 2),
        }
        for name in SAMPLES
    ]


@lru_cache(maxsize=16)
def sentence(name: str, rate_hz: int) -> Speech:
    """Return a packaged sentence.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in SAMPLES:
        raise UsageError(f"there is no sentence {name!r}; expected one of {', '.join(SAMPLES)}")
    return Speech(_WORDS[name], sample_speech((name,), rate_hz=rate_hz))


@lru_cache(maxsize=4)
def interruption(rate_hz: int) -> Speech:
    """Return a few words to speak over the bot with, which begin at once."""
    samples = np.frombuffer(sentence(SAMPLES[0], rate_hz).pcm, "<i2")
    start = int(np.argmax(np.abs(samples.astype(np.int32)) > _LOUD))
    words = samples[start : start + round(_INTERRUPTION_S * rate_hz)].astype(np.float32)
    fade = round(_FADE_S * rate_hz)
    words[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return Speech("an interruption", words.astype("<i2").tobytes())


def read_speech(path: str, name: str, rate_hz: int) -> Speech:
    """Read a WAV that was dropped on the page.

    Args:
        path: Where it was stored.
        name: Its name on the page; errors name it so.
        rate_hz: Rate of the call.

    Raises:
        UsageError: It is no 16-bit WAV, is empty, or is too long.
    """
    try:
        with open_wav(path) as reader:
            file_rate_hz = reader.rate_hz
            most_bytes = MAX_SPEECH_S * file_rate_hz * SAMPLE_BYTES
            pcm = bytearray()
            for block in reader.blocks(_BLOCK_SAMPLES):
                pcm += block
                if len(pcm) > most_bytes:
                    raise UsageError(f"{name} is longer than {MAX_SPEECH_S // 60} minutes; cut it")
    except AudioFileError as error:
        raise UsageError(str(error).replace(repr(path), name)) from error
    return Speech(name, resample(bytes(pcm), file_rate_hz, rate_hz))
