# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.turns import count_words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" ... \u2014 \u266a ", 0),  # a noise
        (" No, wait! ", 2),
        ("it's 9 o'clock", 3),
        ("\uc7a0\uae50\ub9cc \uae30\ub2e4\ub824 \uc8fc\uc138\uc694", 3),  # Korean has blanks
        ("\u0930\u0941\u0915\u093f\u090f", 1),  # Hindi, with vowels that are marks
        ("\u662f", 1),  # yes
        ("\u7b49\u4e00\u4e0b\u3002", 2),  # wait a moment
        ("\u306f\u3044", 1),  # yes
        ("\u306f\u3044\u3001\u3061\u3087\u3063\u3068\u5f85\u3063\u3066", 5),  # yes, just wait
        ("\u0e43\u0e0a\u0e48", 1),  # yes
        ("\u0e23\u0e2d\u0e2a\u0e31\u0e01\u0e04\u0e23\u0e39\u0e48", 2),  # wait a moment
        ("\u6211\u8981 iPhone 15", 3),
    ],
)
def test_words_are_counted_in_any_script(text: str, count: int) -> None:
    assert count_words(text) == count


@given(st.text(), st.text())
def test_a_partial_that_grows_by_a_word_never_has_fewer(text: str, more: str) -> None:
    assert count_words(text) <= count_words(f"{text} {more}")
