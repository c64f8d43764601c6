# SPDX-License-Identifier: Apache-2.0
"""Speech whose words are known, and words as tests compare them: what was said with what was understood."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Sequence
from importlib.resources import files
from typing import Final

from audio_connector.audio.wav import read_wav

SAMPLES: Final = {
    "he-was-not.wav": "he was not an ill disposed young man",
    "unless-to-be.wav": "unless to be rather cold hearted and rather selfish is to be ill disposed",
}
"""The packaged speech, and its words."""


def sample(name: str) -> tuple[bytes, int]:
    """Audio and rate of packaged speech."""
    return read_wav(str(files("audio_connector") / "samples" / name))


async def whole(pieces: AsyncIterable[bytes]) -> bytes:
    """All of a speech."""
    return b"".join([piece async for piece in pieces])


def folded(text: str) -> list[str]:
    """The words of a text without case and marks; a hyphen is a blank."""
    return re.findall(r"[a-z0-9']+", text.lower().replace("-", " "))


def errors(said: str, understood: str) -> int:
    """How many words were left out, put in or taken for others."""
    wanted, got = folded(said), folded(understood)
    before: Sequence[int] = range(len(got) + 1)
    for number, word in enumerate(wanted, 1):
        row = [number]
        for place, other in enumerate(got):
            row.append(min(before[place + 1] + 1, row[place] + 1, before[place] + (word != other)))
        before = row
    return before[-1]
