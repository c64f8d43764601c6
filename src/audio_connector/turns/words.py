# SPDX-License-Identifier: Apache-2.0
"""How many words somebody has said, in whatever script a recogniser writes them. Pure."""

from __future__ import annotations

import re
from typing import Final

_UNSPACED: Final = (
    (re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"), 2),
    (re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+"), 3),
)
"""Japanese and Chinese, and Thai, Lao, Burmese and Khmer, have no blanks between words; and how many letters a word
of a conversation has, about. "Yes" is one word in all of them (\u662f, \u306f\u3044, \u0e43\u0e0a\u0e48)."""


def count_words(text: str) -> int:
    """Return how many words a text has: those between blanks, and about as many as there are where none are written.

    What has neither a letter nor a digit is no word: recognisers write "..." for a noise.
    """
    count = 0
    for unspaced, letters in _UNSPACED:
        for run in unspaced.findall(text):
            # A vowel or tone above a letter is a character of its own, but no letter.
            count -= -sum(map(str.isalnum, run)) // letters
        text = unspaced.sub(" ", text)
    return count + sum(any(map(str.isalnum, word)) for word in text.split())
