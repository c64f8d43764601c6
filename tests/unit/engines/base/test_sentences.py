# SPDX-License-Identifier: Apache-2.0
"""Texts in pieces: at the ends of sentences, bounded, and nothing lost."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.engines.base.sentences import LONGEST, sentences


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("  \n ", []),
        ("Hello", ["Hello"]),
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        (
            "It costs 3.50 euros, e.g. on Mr. Smith's bill. Yes.",
            ["It costs 3.50 euros, e.g. on Mr. Smith's bill.", "Yes."],
        ),
        ("J. S. Bach wrote it. In 1720.", ["J. S. Bach wrote it.", "In 1720."]),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
        ("well... perhaps. so be it", ["well... perhaps. so be it"]),
        ("One\n\nTwo", ["One", "Two"]),
        ("好。吗？", ["好。", "吗？"]),  # noqa: RUF001 - as such texts have them
        ("¿Cómo está? ¡Bien! Él también.", ["¿Cómo está?", "¡Bien!", "Él también."]),
    ],
)
def test_a_text_is_cut_where_a_speaker_pauses(text: str, pieces: list[str]) -> None:
    assert list(sentences(text)) == pieces


def test_a_sentence_that_is_too_long_is_cut_at_a_comma_or_a_blank() -> None:
    half = "a" * (LONGEST // 2 + 10)
    assert list(sentences(f"{half}, {half} end.")) == [f"{half},", f"{half} end."]
    assert list(sentences(f"{half} {half}")) == [half, half]
    assert [len(piece) for piece in sentences("x" * (2 * LONGEST + 1))] == [LONGEST, LONGEST, 1]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "Good morning, how can I help you today? Yes, please do.",
            ["Good morning,", "how can I help you today?", "Yes, please do."],
        ),
        ("Yes, of course I can help you, at once.", ["Yes, of course I can help you, at once."]),
        (
            "Good morning. Now, how can I help you today, then?",
            ["Good morning.", "Now, how can I help you today, then?"],
        ),
        (
            "It costs 1,234,567 euros in all, and that is much.",
            ["It costs 1,234,567 euros in all,", "and that is much."],
        ),
        ("Good morning, Ann.", ["Good morning, Ann."]),
        (
            "No comma at all in a sentence that is rather long.",
            ["No comma at all in a sentence that is rather long."],
        ),
    ],
)
def test_the_first_piece_of_a_quick_one_ends_at_a_comma(text: str, pieces: list[str]) -> None:
    assert list(sentences(text, quick=True)) == pieces


@pytest.mark.parametrize("text", [".", ". A", '."', ". ", " Prof.", "\n", "a,", "\u3002", "x"])
def test_no_text_holds_up_the_loop(text: str) -> None:
    long = text * 10_000
    began = time.process_time()
    pieces = list(sentences(long, quick=True))
    assert time.process_time() - began < 2, "minutes, where each mark is looked at anew from each other"
    assert "".join("".join(pieces).split()) == "".join(long.split())


@given(st.text(alphabet="aB1.!?, \n\"'(。", max_size=1000), st.booleans())
def test_nothing_is_lost_and_every_piece_is_short(text: str, quick: bool) -> None:
    pieces = list(sentences(text, quick=quick))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= LONGEST and piece == piece.strip() for piece in pieces)
