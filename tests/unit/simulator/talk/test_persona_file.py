# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.errors import UsageError
from audio_connector.simulator import SayText, load_persona, parse_persona, parse_scenario
from audio_connector.simulator.talk.meaning import Meaning, sentences_of, share_of
from audio_connector.simulator.talk.persona import Persona, Rule
from audio_connector.simulator.talk.replies import Replies, nth

WHOLE = """\
name: Ann
goal: book a table
opening: Hello there.
voice: piper
language: en
patience_s: 8
max_turns: 12
rules:
  - { when: how many, say: [Two., "Two, I said."] }
  - when: { meaning: "When would you like to come?" }
    say: On Friday.
  - { when: { any: [goodbye, bye] }, then: hang_up }
otherwise: Pardon?
interrupts: { probability: 0.25, after_s: 2, say: Sorry, }
judge: { goal: The table is booked., must: [friday], must_not: { pattern: "sorr(y|ies)" } }
"""


def test_a_whole_persona_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ann.yaml"
    path.write_text(WHOLE)
    persona = load_persona(path)
    assert persona == parse_persona(WHOLE)
    assert persona.rules[0].say == ("Two.", "Two, I said.")
    assert persona.needs_meaning
    assert persona.texts[0] == SayText(text="Hello there.", voice="piper", language="en")
    assert [text.text for text in persona.texts[1:]] == [
        "Two.",
        "Two, I said.",
        "On Friday.",
        "Pardon?",
        "Sorry",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": the file is empty; expected a persona, with 'goal:' in it"),
        ("- a\n", ": expected a persona's words, such as 'goal:'"),
        ("goal: x\n", "it has neither rules nor a model; expected 'rules:' or 'model:'"),
        (
            "goal: x\nrules: [{when: a, say: b}, {when: c, press: '1'}]\n",
            "nothing says when the goal is reached, so every call would fail; expected a rule with 'then: hang_up'",
        ),
        ("rules: []\n", "line 1: goal is missing"),
        (
            "goal: x\nrules:\n  - {when: a}\n",
            "line 3: rules.0: the rule does nothing; expected say, press or then",
        ),
        ("goal: x\nrules:\n  - {when: a, press: xyz}\n", "press='xyz': expected telephone keys"),
        ("goal: x\nrules:\n  - {when: '?', say: b}\n", "line 3: rules.0.when: '?' has no word in it"),
        (
            "goal: x\nrules:\n  - {wen: a, say: b}\n",
            "line 3: rules.0: wen is not a field; did you mean 'when'?",
        ),
        ("goal: x\nrules:\n  - {when: a, say: b, then: leave}\n", "line 3: rules.0: then='leave'"),
        (
            "goal: x\nmodel: {model: m}\njudge: {}\n",
            "there is nothing to judge; expected goal, must or must_not",
        ),
        (
            "goal: x\nrules: [{when: a, say: b}]\njudge: {goal: y, by: model}\n",
            "there is no 'model:'; expected one",
        ),
        ("goal: x\nmodel: {model: m, key_env: sk-123}\n", "line 2: model: key_env='sk-123'"),
        ("goal: x\nmodel: {model: m}\ninterrupts: {probability: 2}\n", "less than or equal to 1"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_persona(text, name="ann.yaml")
    assert str(caught.value).startswith("ann.yaml")
    assert told in str(caught.value)


def test_a_scenario_is_no_persona_and_a_persona_no_scenario() -> None:
    with pytest.raises(
        UsageError, match=r"^a\.yaml is a scenario; expected a persona; a scenario goes to --scenario$"
    ):
        parse_persona("name: Ann\nparticipants: [{say: x.wav}]", name="a.yaml")
    with pytest.raises(
        UsageError, match=r"^b\.yaml is a persona; expected a scenario; a persona goes to --persona$"
    ):
        parse_scenario("name: Ann\ngoal: A table.\nrules: []", name="b.yaml")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_persona(tmp_path / "no.yaml")


RULES = st.lists(
    st.tuples(
        st.sampled_from(["red", "green", "blue", "black"]),
        st.lists(st.sampled_from("xyz"), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@given(
    RULES, st.lists(st.sampled_from(["red green", "blue", "nothing", "RED!", "black blue red"]), max_size=12)
)
async def test_the_first_rule_that_fits_answers_and_each_time_its_next_line(
    rules: list[tuple[str, list[str]]], texts: list[str]
) -> None:
    made = [Rule(when=word, say=say) for word, say in rules] + [Rule(when="goodbye", then="hang_up")]
    replies = Replies(Persona(goal="x", rules=made, gives_up_after=100), Meaning())
    used = [0] * len(rules)
    for text in texts:
        reply = await replies.reply_to(text)
        fitting = [
            number for number, (word, _) in enumerate(rules) if word in text.lower().strip("!").split()
        ]
        if not fitting:
            assert reply.text == "Sorry, could you say that again?"
            continue
        first = fitting[0]
        assert reply.text == rules[first][1][min(used[first], len(rules[first][1]) - 1)]
        used[first] += 1


@given(st.lists(st.text("ab", min_size=1), min_size=1), st.integers(0, 20))
def test_the_last_phrase_stays(phrases: list[str], number: int) -> None:
    assert nth(phrases, number) == (phrases[number] if number < len(phrases) else phrases[-1])


def test_sentences_and_shares() -> None:
    assert sentences_of("One. Two! \u4e8c\u3002 ... Three") == ["One.", "Two!", "\u4e8c\u3002", "Three"]
    assert share_of("the table is booked", "Booked: a table.") == 0.5
    assert share_of("?", "a") == 0.0
