# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.errors import UsageError
from audio_connector.simulator.talk.words import Wanted, contains, folded, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I'd like a table, please.", "id like a table please"),
        ("I\N{RIGHT SINGLE QUOTATION MARK}d  LIKE\na-table\tplease", "id like a table please"),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e 7", "strasse 7"),
        ("cafe\N{COMBINING ACUTE ACCENT} \N{LATIN SMALL LETTER E WITH ACUTE}", "caf\u00e9 \u00e9"),
        ("\u65e5\u672c\u8a9e\u3067 ok", "\u65e5 \u672c \u8a9e \u3067 ok"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947!", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("\N{FULLWIDTH DIGIT SEVEN}.", "7"),
        ("... \N{EM DASH} ?!", ""),
    ],
)
def test_words_have_no_case_and_no_punctuation(text: str, words: str) -> None:
    assert " ".join(folded(text)) == words


@given(st.text())
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    once = folded(text)
    assert folded(" ".join(once)) == once
    assert not any(word.strip() == "" for word in once)


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("Goodbye, Ann!", "goodbye", True),
        ("Goodbyes, Ann!", "goodbye", False),
        ("a table for two people", "for two", True),
        ("a table for twenty two", "for two", False),
        ("\u3053\u3093\u306b\u3061\u306f", "\u306b\u3061", True),
        ("", "x", False),
    ],
)
def test_a_phrase_is_found_whole_and_in_a_row(text: str, phrase: str, found: bool) -> None:
    assert contains(text, phrase) is found


def distance(reference: list[str], heard: list[str]) -> int:
    """Levenshtein's distance as the textbook has it."""
    rows = [list(range(len(heard) + 1))]
    for number, word in enumerate(reference, start=1):
        row = [number]
        for place, other in enumerate(heard, start=1):
            row.append(min(rows[-1][place] + 1, row[-1] + 1, rows[-1][place - 1] + (word != other)))
        rows.append(row)
    return rows[-1][-1]


@given(WORDS.filter(bool), WORDS)
def test_the_word_error_rate_is_the_distance_per_word(reference: list[str], heard: list[str]) -> None:
    rate = word_errors(" ".join(reference), " ".join(heard))
    assert rate == pytest.approx(distance(reference, heard) / len(reference))
    assert (rate == 0) == (reference == heard)


@given(WORDS.filter(bool), WORDS.filter(bool))
def test_both_directions_count_the_same_errors(one: list[str], other: list[str]) -> None:
    there, back = word_errors(" ".join(one), " ".join(other)), word_errors(" ".join(other), " ".join(one))
    assert there * len(one) == pytest.approx(back * len(other))


def test_an_hour_of_words_is_compared_in_no_time() -> None:
    words = [f"w{number % 997}" for number in range(9_000)]
    assert word_errors(" ".join(words), " ".join([*words[1:], "x"])) == pytest.approx(2 / 9_000)


def test_a_reference_without_a_word_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a text with words in it"):
        word_errors("?!", "hello")


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        (Wanted(any=("yes", "of course")), "Well, of course.", True),
        (Wanted(any=("yes", "of course")), "Of a course", False),
        (Wanted(all=("table", "seven")), "At seven there is a table", True),
        (Wanted(all=("table", "seven")), "There is a table", False),
        (Wanted(pattern=r"\b[67] (pm|o'clock)"), "So, 7 PM it is.", True),
        (Wanted(pattern=r"^7"), "So, 7 PM it is.", False),
    ],
)
def test_what_is_wanted_is_found(wanted: Wanted, text: str, found: bool) -> None:
    assert wanted.found_in(text) is found


@given(WORDS.filter(bool), st.permutations(["any", "all"]), WORDS)
def test_each_part_of_a_text_is_found_in_it(words: list[str], ways: list[str], around: list[str]) -> None:
    text = " ".join([*around, *words, *around])
    for begin, end in itertools.combinations(range(len(words) + 1), 2):
        phrase = " ".join(words[begin:end])
        assert Wanted.from_values({ways[0]: phrase.upper() + "!"}).found_in(text)


def test_what_is_wanted_says_what_it_is() -> None:
    assert str(Wanted(any=("a", "b"))) == "'a' or 'b'"
    assert str(Wanted(all=("a", "b"))) == "'a' and 'b'"
    assert str(Wanted(pattern="a.b")) == "/a.b/"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"any": ()},
        {"any": "a", "all": "b"},
        {"any": "?"},
        {"pattern": "["},
        {"pattern": "a{99999999999}"},
        {"pattern": "(" * 5000},
    ],
)
def test_what_nobody_could_find_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Wanted.from_values(values)
