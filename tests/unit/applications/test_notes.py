# SPDX-License-Identifier: Apache-2.0
"""What sentences say of who does what until when, and what a chat model's answer and a transcript become."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notes.chat import minutes_of
from notes.minutes import Decision, Minutes, Said, as_markdown
from notes.wording import date_of, may_decide, sentences, task_of, without_fillers

from audio_connector.engines import EngineError

TODAY = date(2026, 12, 2)  # a Wednesday
BOTH = ["Ann", "Bob Smith"]


@pytest.mark.parametrize(
    ("sentence", "task", "owner", "due", "day"),
    [
        ("I will send the report by Friday.", "Send the report", "Ann", "by Friday", date(2026, 12, 4)),
        ("Okay, so I'll book the flights.", "Book the flights", "Ann", "", None),
        ("Bob, can you please call them all tomorrow?", "Call them all", BOTH[1], "tomorrow", date(2026, 12, 3)),
        ("Could you write the summary, please?", "Write the summary", "Bob Smith", "", None),
        ("You must check it twice by Wednesday.", "Check it twice", BOTH[1], "by Wednesday", date(2026, 12, 9)),
        ("Anne will prepare the slides.", "Prepare the slides", "Ann", "", None),
        ("Please order more paper, Ann.", "Order more paper", "Ann", "", None),
        ("Somebody has to fix the printer today.", "Fix the printer", None, "today", TODAY),
        ("I am going to sign both by the 5th of May.", "Sign both", "Ann", "by the 5th of May", date(2027, 5, 5)),
        ("By the end of the month I must pay the rent.", "Pay the rent", "Ann", "By the end of the month", None),
    ],
)  # fmt: skip
def test_a_task_its_owner_and_its_date(
    sentence: str, task: str, owner: str | None, due: str, day: date | None
) -> None:
    found = task_of(sentence, "Ann", BOTH, TODAY)
    assert found is not None
    assert (found.task, found.owner, found.due, found.due_on) == (task, owner, due, day)


@pytest.mark.parametrize(
    "sentence", ["I will.", "Can you do that?", "The printer is broken.", "", "Zoe will come home."]
)
def test_what_has_not_the_form_of_a_task(sentence: str) -> None:
    assert task_of(sentence, "Ann", BOTH, TODAY) is None


def test_you_is_nobody_in_particular_among_three() -> None:
    found = task_of("Can you call the customer?", "Ann", ["Ann", "Bob", "Eve"], TODAY)
    assert found is not None
    assert found.owner is None


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("by March 1st", date(2027, 3, 1)),
        ("on December 2", TODAY),
        ("on the 30th of February", None),
        ("next week", None),
        ("", None),
    ],
)
def test_dates(words: str, day: date | None) -> None:
    assert date_of(words, TODAY) == day


def test_what_may_be_a_decision() -> None:
    assert may_decide("Then let's go with the second one.")
    assert not may_decide("Have we decided that?")
    assert not may_decide("The second one is cheaper.")
    assert without_fillers("Okay, so we agree.") == "We agree."
    assert sentences("One. Two? Three") == ["One.", "Two?", "Three"]


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=20), max_size=3))
def test_whatever_is_said_is_read(text: str, speakers: list[str]) -> None:
    for sentence in sentences(text):
        task_of(sentence, "Ann", speakers, TODAY)
        may_decide(without_fillers(sentence))


LINES = [
    Said(1, "Ann", 0.5, 2.0, "We use blue."),
    Said(2, "Bob", 61.0, 63.0, "I call <b>Eve</b> [now](http://x)"),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
items = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["line", "text", "task", "owner", "due"], anything | st.just(1))
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["decisions", "actions", "summary"], anything | st.lists(items | anything, max_size=3)
        ),
    )
)
def test_whatever_a_model_answers_points_at_what_was_said(told: dict[str, Any]) -> None:
    found = minutes_of(json.dumps(told), LINES, TODAY)
    assert all(each.said in LINES and each.text for each in found.decisions)
    assert all(
        each.said in LINES and each.task and each.owner in ("Ann", "Bob", None) for each in found.actions
    )
    as_markdown(found, LINES, began=datetime(2026, 12, 2, 9, 30), audio="audio.wav")  # noqa: DTZ001


@pytest.mark.parametrize("answer", ["", "I cannot.", "[1]", "{"])
def test_an_answer_that_is_no_minutes_is_refused(answer: str) -> None:
    with pytest.raises(EngineError, match="expected"):
        minutes_of(answer, LINES, TODAY)


def test_notes_as_they_are_written() -> None:
    minutes = Minutes(decisions=[Decision("We use blue.", LINES[0])])
    began = datetime(2026, 12, 2, 9, 30)  # noqa: DTZ001 - as the machine's clock shows
    assert as_markdown(minutes, LINES, began=began, audio="audio.wav") == (
        "# Notes of 2026-12-02, 09:30\n\n"
        "Ann, Bob · 1:03 · [audio](audio.wav)\n\n"
        "## Decisions\n\n- We use blue. (Ann, [0:00](audio.wav#t=0.5))\n\n"
        "## Action items\n\nNone.\n\n"
        "## Transcript\n\n- [0:00](audio.wav#t=0.5) **Ann**: We use blue.\n"
        "- [1:01](audio.wav#t=61.0) **Bob**: I call \\<b\\>Eve\\</b\\> \\[now\\](http://x)\n"
    )
