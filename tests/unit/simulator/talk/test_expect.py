# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator.talk.expect import Expect
from audio_connector.simulator.talk.transcript import TranscriptLine

LINES = (
    TranscriptLine("bot", 0.0, 2.0, "Welcome to Luigi's."),
    TranscriptLine("participant", 3.0, 1.0, "A table as an AI, please."),
    TranscriptLine("bot", 5.0, 2.0, "Your table for two is booked."),
)


def expect(**values: object) -> Expect:
    return Expect.from_values(values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"said": "table for two"},
        {"said": ["welcome to luigis", {"any": ["reserved", "booked"]}]},
        {"said": "luigis your table"},  # a pause in the middle does not matter
        {"never_said": ["as an AI", {"pattern": "sorry"}]},  # which only the caller has said
        {"word_errors": {"max": 0, "reference": "welcome to Luigis your table for two is booked"}},
        {"word_errors": {"max": 0.12, "reference": "Welcome at Luigi's. Your table for two is booked."}},
    ],
)
def test_what_holds_is_not_told(values: dict[str, object]) -> None:
    assert expect(**values).failures(LINES) == ()


GOT = 'the bot said "Welcome to Luigi\'s. Your table for two is booked."'
NOT_SO = GOT.replace("the bot", "the bot did not; it")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"said": "goodbye"}, f"said 'goodbye': {NOT_SO}"),
        ({"never_said": {"any": ["x", "booked"]}}, f"never_said 'x' or 'booked': {GOT}"),
        (
            {"word_errors": {"max": 0.1, "reference": "Welcome at Luigi's. Your table for two is booked."}},
            f"word_errors>0.1: 0.111; {GOT}",
        ),
    ],
)
def test_what_does_not_hold_is_told_with_what_was_said(values: dict[str, object], told: str) -> None:
    assert expect(**values).failures(LINES) == (told,)


NOTHING = "the bot said nothing that was understood"


@pytest.mark.parametrize("lines", [(), (TranscriptLine("bot", 0.0, 2.0, ""), *LINES[1:2])])
def test_where_no_word_was_understood_nobody_knows_what_was_never_said(
    lines: tuple[TranscriptLine, ...],
) -> None:
    made = expect(said="hello", never_said="hello")
    assert made.failures(lines) == (f"said 'hello': {NOTHING}", f"never_said 'hello': {NOTHING}")
    assert made.texts == ("said 'hello'", "never_said 'hello'")


def test_a_bot_that_is_meant_to_be_silent_and_was_has_said_nothing_wrong() -> None:
    assert expect(never_said="hello").failures([], may_be_silent=True) == ()
    assert expect(said="hello").failures([], may_be_silent=True) == (f"said 'hello': {NOTHING}",)


def test_where_something_was_not_understood_nothing_is_known() -> None:
    assert expect(never_said="hello").failures(LINES, unheard_s=2.5) == (
        "2.5 s of what the bot said were not recognised: its words cannot be judged",
    )
    assert expect().failures(LINES, unheard_s=2.5) == ()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"said": 5}, "expected a phrase, or a mapping with any, all, pattern"),
        ({"said": [""]}, "at least 1 character"),
        ({"sad": "x"}, "did you mean 'said'"),
        ({"word_errors": {"max": 0.1}}, "reference is missing"),
        ({"word_errors": {"max": -1, "reference": "x"}}, "greater than or equal to 0"),
        ({"word_errors": {"max": 1, "reference": "?"}}, "expected a text with words in it"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("?", r"\?")):
        expect(**values)
