# SPDX-License-Identifier: Apache-2.0
"""How long after it was said a word stands on the page. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audio_connector.engines import Word


@dataclass(frozen=True)
class Shown:
    """What stood on the page from a time on."""

    at_s: float
    words: int


def delays_of(words: Sequence[Word], words_from_s: float, shown: Sequence[Shown]) -> list[float]:
    """Seconds from the end of each word to when so many words stood there, in the order of the words.

    A partial may have another word in that place: what is measured is when one stood there, not whether it was right.

    Args:
        words: The final, with its times.
        words_from_s: What these count from, on the clock of ``shown``.
        shown: What was shown of this utterance, in order, the final last.
    """
    delays, number = [], 0
    for word in words:
        number += count_words(word.text)
        at_s = next((each.at_s for each in shown if each.words >= number), None)
        if at_s is not None:
            delays.append(max(0.0, at_s - words_from_s - word.end_s))
    return delays


def count_words(text: str) -> int:
    """Words as recognisers time them: "ill-disposed" is two, a dash none."""
    return len(re.findall(r"[\w']+", text))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0 of nothing."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0
