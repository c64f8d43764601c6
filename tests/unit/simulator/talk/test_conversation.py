# SPDX-License-Identifier: Apache-2.0
"""Personas that call a bot, over the real server, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.talking import Alike, ChatBox, Reader, called, spelled, talk, talking_bot

from audio_connector.errors import UsageError
from audio_connector.simulator import CallReport, Impairments, Persona, Step
from audio_connector.testing import in_virtual_time

RULES = [
    {"when": {"any": ["how may I help", "what else"]}, "say": ["A table please.", "Nothing, thanks."]},
    {"when": "how many", "say": "two"},
    {"when": {"pattern": r"press (\w+)"}, "press": "5#"},
    {"when": "goodbye", "say": "Bye.", "then": "hang_up"},
]


def persona(**values: Any) -> Persona:
    return Persona(**{"goal": "book a table", "rules": RULES, "patience_s": 4, **values})


def waiter(text: str) -> str | None:
    """A bot that takes bookings."""
    for word, answer in (
        ("table", "For how many?"),
        ("two", "It is booked. Anything else? What else?"),
        ("nothing", "Thanks, goodbye."),
        ("bye", None),
    ):
        if word in text.lower():
            return answer
    return "Pardon?"


BOT = talking_bot(waiter, greeting="Luigi's, how may I help?")


def lines(report: CallReport) -> list[str]:
    return [f"{'>' if line.who == 'participant' else '<'} {line.text}" for line in report.transcript]


def outcome(report: CallReport) -> tuple[bool, str, int]:
    assert report.outcome is not None
    return report.outcome.reached, report.outcome.ended, report.outcome.turns


async def play(who: Persona, bot: Callable[..., Any] = BOT, seed: int = 0, **engines: Any) -> CallReport:
    impairments = Impairments(seed=seed)
    return await called(bot, talk(**engines), persona=who, tail_s=None, impairments=impairments)


@in_virtual_time
async def test_a_persona_reaches_its_goal_by_rules() -> None:
    report = await play(persona())
    assert lines(report) == [
        "< Luigi's, how may I help?",
        "> A table please.",
        "< For how many?",
        "> two",
        "< It is booked. Anything else? What else?",
        "> Nothing, thanks.",
        "< Thanks, goodbye.",
        "> Bye.",
    ]
    assert outcome(report) == (True, "rule", 4)
    assert report.problems == ()
    assert len(report.turns) == 3
    before = report.transcript[0]
    assert report.transcript[1].at_s - before.end_s == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("takes_s", [0.3, 2.0])
@in_virtual_time
async def test_it_says_the_same_however_slowly_it_understands(takes_s: float) -> None:
    report = await play(persona(), recogniser=Reader(takes_s=takes_s))
    assert [line for line in lines(report) if line[0] == ">"] == [
        "> A table please.",
        "> two",
        "> Nothing, thanks.",
        "> Bye.",
    ]


@in_virtual_time
async def test_who_is_never_answered_loses_patience() -> None:
    async def silent(client: Any) -> None: ...

    report = await play(persona(opening="Hello?", goodbye="I give up."), silent)
    assert lines(report) == ["> Hello?", "> I give up."]
    assert outcome(report) == (False, "patience", 2)
    assert report.unmet == (
        "the goal was not reached: the caller lost patience: the bot said nothing that was understood",
    )
    assert report.duration_s < 6


@in_virtual_time
async def test_who_understands_nothing_gives_up() -> None:
    report = await play(
        persona(otherwise=["Sorry?", "What?"]), talking_bot(lambda text: "Blah blah.", greeting="Hey.")
    )
    assert [line for line in lines(report) if line[0] == ">"] == ["> Sorry?", "> What?", "> What?"]
    assert outcome(report) == (False, "confusion", 3)


@in_virtual_time
async def test_a_conversation_that_goes_round_ends_by_its_turns_or_its_time() -> None:
    rules = [{"when": {"pattern": "."}, "say": "Again."}, RULES[-1]]
    echo = talking_bot(lambda text: "Once more?", greeting="Hey.")
    assert outcome(await play(persona(rules=rules, max_turns=4), echo)) == (False, "turns", 4)
    report = await play(persona(rules=rules, max_s=20, max_turns=500), echo)
    assert outcome(report)[:2] == (False, "time")
    assert report.duration_s < 25


@in_virtual_time
async def test_a_bot_that_talks_for_ever_is_left_when_the_time_is_over() -> None:
    async def endless(client: Any) -> None:
        while True:
            await client.send_audio_buffer(spelled("bla " * 10))

    report = await play(persona(max_s=15), endless)
    assert outcome(report) == (False, "time", 0)
    assert report.duration_s == pytest.approx(15, abs=0.5)


@in_virtual_time
async def test_a_bot_that_hangs_up_is_no_fault_but_no_success() -> None:
    report = await play(persona(opening="bye"))
    assert outcome(report) == (False, "bot", 1)
    assert report.unmet == ("the goal was not reached: the bot hung up",)


@in_virtual_time
async def test_keys_are_an_answer() -> None:
    asked = talking_bot(lambda text: "", greeting="Please press five.")
    report = await play(persona(patience_s=2), asked)
    assert [name for name in report.events_sent if name == "Dtmf"] == ["Dtmf", "Dtmf"]
    assert outcome(report) == (False, "patience", 1)


LONG = talking_bot(
    lambda text: "thanks goodbye" if "moment" in text else "bla " * 60, greeting="hello " + "bla " * 60
)


@in_virtual_time
async def test_who_interrupts_does_so_while_the_bot_speaks() -> None:
    who = persona(interrupts={"probability": 1, "after_s": 1.5, "say": "One moment!"}, max_turns=3)
    report = await play(who, LONG)
    first = next(line for line in report.transcript if line.who == "participant")
    assert first.text == "One moment!"
    assert first.at_s == pytest.approx(report.transcript[0].at_s + 1.5, abs=0.1)
    assert report.barge_ins
    assert report.barge_ins[0].clear_at_s is not None


@in_virtual_time
async def test_the_same_seed_says_the_same_and_another_one_something_else() -> None:
    who = persona(interrupts={"probability": 0.5, "after_s": 0.5}, max_turns=8, max_s=120)
    bot = talking_bot(
        lambda text: "what else then my friend and so on, how many", greeting="how many are you"
    )
    runs = [lines(await play(who, bot, seed)) for seed in (1, 1, 2, 3, 4)]
    assert runs[0] == runs[1]
    assert any(run != runs[0] for run in runs[2:])


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ({"must": "booked"}, []),
        ({"must": ["booked", "paid"]}, ["the bot did not say 'paid'"]),
        ({"must_not": {"any": ["sorry", "booked"]}}, ["the bot said 'sorry' or 'booked'"]),
        ({"goal": "It is booked"}, []),
        (
            {"goal": "We are closed on mondays"},
            ["the bot said nothing like 'We are closed on mondays', by its words"],
        ),
        ({"must": {"meaning": "how many people"}, "goal": "Thanks, goodbye"}, []),
    ],
)
@in_virtual_time
async def test_a_judge_judges_what_the_bot_said(judge: dict[str, Any], why: list[str]) -> None:
    report = await play(persona(judge=judge))
    assert report.outcome is not None
    assert list(report.outcome.why) == why
    assert report.outcome.reached == (not why)
    assert report.outcome.judged_by == "words"
    assert list(report.unmet) == [f"the goal was not reached: {each}" for each in why]


@in_virtual_time
async def test_what_ends_the_call_does_so_also_where_it_has_spoken_as_often_as_it_may() -> None:
    report = await play(persona(max_turns=3, goodbye="I have to go."))
    assert lines(report)[-1] == "< Thanks, goodbye."
    assert outcome(report) == (True, "rule", 3)


@in_virtual_time
async def test_of_a_bot_that_said_nothing_no_goal_is_reached() -> None:
    async def hums(client: Any) -> None:
        await client.send_audio_buffer(spelled("ab"), pad_last_frame=True)

    report = await play(persona(opening="Hello?", judge={"must_not": "sorry"}, patience_s=2), hums)
    assert report.outcome is not None
    assert not report.outcome.reached
    assert report.outcome.why[0] == "the bot said nothing that was understood"


@in_virtual_time
async def test_a_pattern_that_would_take_years_ends_the_call_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("audio_connector.simulator.talk.patterns.LONGEST_S", 0.05)
    bot = talking_bot(lambda text: "", greeting="a" * 60 + "!")
    rules = [{"when": {"pattern": "(a+)+$"}, "say": "two", "then": "hang_up"}]
    with pytest.raises(UsageError, match="takes more than"):
        await play(persona(rules=rules), bot)


@in_virtual_time
async def test_meaning_is_judged_by_the_engine_where_there_is_one() -> None:
    alike = Alike(["It is booked", "You have a reservation"], ["For how many?", "What size is your party"])
    rules = [{"when": {"meaning": "What size is your party"}, "say": "two"}, *RULES]
    report = await play(persona(rules=rules, judge={"goal": "You have a reservation"}), embedder=alike)
    assert report.outcome is not None
    assert (report.outcome.reached, report.outcome.judged_by) == (True, "meaning")


@in_virtual_time
async def test_a_chat_model_plays_it_where_no_rule_fits() -> None:
    chat = ChatBox(["A table, please. ", "For two. ", "Lovely, bye. [HANG UP]"])
    who = persona(rules=[{"when": "how may I help", "say": "Hello."}], model={"model": "any"})
    bot = talking_bot(
        lambda text: {"H": "Yes?", "A": "For how many?", "F": "Booked."}[text[0]], greeting="How may I help?"
    )
    report = await play(who, bot, answerer=chat)
    assert [line for line in lines(report) if line[0] == ">"] == [
        "> Hello.",
        "> A table, please.",
        "> For two.",
        "> Lovely, bye.",
    ]
    assert outcome(report) == (True, "model", 4)
    assert chat.told[0][0][0] == "system"
    assert "book a table" in chat.told[0][0][1]
    assert chat.told[1][1:] == [
        ("user", "How may I help?"),
        ("assistant", "Hello."),
        ("user", "Yes?"),
        ("assistant", "A table, please."),
        ("user", "For how many?"),
    ]


@in_virtual_time
async def test_what_the_bot_says_while_a_model_thinks_is_answered_too() -> None:
    async def goes_on(client: Any) -> None:
        await client.send_audio_buffer(spelled("Hey."))
        await asyncio.sleep(1.5)
        await client.send_audio_buffer(spelled("How many?"))

    chat = ChatBox(["Hello. ", "Two. [HANG UP]"], takes_s=3.0)
    report = await play(persona(rules=[], model={"model": "any"}), goes_on, answerer=chat)
    assert lines(report) == ["< Hey.", "< How many?", "> Hello.", "> Two."]
    assert chat.told[1][1:] == [("user", "Hey."), ("assistant", "Hello."), ("user", "How many?")]
    assert outcome(report) == (True, "model", 2)


@in_virtual_time
async def test_who_is_hung_up_on_while_saying_goodbye_had_come_to_the_end() -> None:
    async def says_goodbye(client: Any) -> None:
        await client.send_audio_buffer(spelled("Goodbye."))
        await asyncio.sleep(1.2)
        await client.close()

    report = await play(
        persona(rules=[{"when": "goodbye", "say": "Bye, bye, bye.", "then": "hang_up"}]), says_goodbye
    )
    assert outcome(report)[:2] == (True, "rule")
    assert report.problems == ()


@in_virtual_time
async def test_who_says_goodbye_and_hangs_up_at_once_had_brought_it_to_the_end() -> None:
    async def leaves(client: Any) -> None:
        await client.send_audio_buffer(spelled("Goodbye."))
        await client.close()

    report = await play(persona(), leaves)
    assert outcome(report) == (True, "rule", 0)


@in_virtual_time
async def test_who_is_ended_by_a_step_was_not_hung_up_on() -> None:
    steps = [Step(at_s=3.0, hang_up=True)]
    report = await called(talking_bot(lambda text: "Yes?"), persona=persona(opening="Hm."), steps=steps)
    assert outcome(report)[:2] == (False, "time")


@in_virtual_time
async def test_what_was_not_recognised_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.simulator.talk.ear.MAX_WAITING", 1)

    async def in_pieces(client: Any) -> None:
        for word in ("Goodbye.", "You", "are", "booked."):
            await client.send_audio_buffer(spelled(word))
            await asyncio.sleep(0.8)

    who = persona(opening="Hello?", judge={"must": "goodbye", "must_not": "booked"})
    report = await play(who, in_pieces, recogniser=Reader(takes_s=5.0))
    assert report.unheard_s > 0
    assert report.outcome is not None
    assert not report.outcome.reached
    assert "were not recognised" in report.unmet[0]


@pytest.mark.parametrize(
    ("answer", "reached", "ended"), [("[HANG UP]", True, "model"), (" ...", False, "nothing")]
)
@in_virtual_time
async def test_a_model_that_says_nothing_has_not_reached_its_goal(
    answer: str, reached: bool, ended: str
) -> None:
    chat = ChatBox([answer])
    report = await play(persona(rules=[], model={"model": "any"}), answerer=chat)
    assert outcome(report)[:2] == (reached, ended)
    assert bool(report.unmet) == (not reached)


@pytest.mark.parametrize(
    ("answer", "reached"), [("Yes, it was.", True), ("No: nobody booked.", False), ("", False)]
)
@in_virtual_time
async def test_a_chat_model_judges(answer: str, reached: bool) -> None:
    chat = ChatBox([answer])
    who = persona(model={"model": "any"}, judge={"goal": "a table was booked", "by": "model"})
    report = await play(who, answerer=chat)
    assert report.outcome is not None
    assert (report.outcome.reached, report.outcome.judged_by) == (reached, "model")
    [(_, question)] = chat.told[0]
    assert "caller: two\nbot: It is booked." in question


@in_virtual_time
async def test_a_model_that_is_slow_does_not_hold_a_call_that_is_over() -> None:
    chat = ChatBox(["never said"], takes_s=500.0)
    leaving = talking_bot(lambda text: None, greeting="Hey.")
    who = persona(opening="bye", rules=[], model={"model": "any"}, max_s=200)
    report = await play(who, leaving, answerer=chat)
    assert outcome(report)[1] == "bot"


@in_virtual_time
async def test_a_model_that_never_answers_does_not_keep_the_call_open() -> None:
    chat = ChatBox(["never said"], takes_s=5000.0)
    who = persona(opening="Hello.", rules=[], model={"model": "any"}, max_s=20)
    report = await play(who, talking_bot(lambda text: "Yes?"), answerer=chat)
    assert outcome(report)[:2] == (False, "time")
    assert report.duration_s == pytest.approx(50, abs=1)


@in_virtual_time
async def test_a_judge_that_never_answers_is_not_waited_for() -> None:
    chat = ChatBox(["Yes."], takes_s=5000.0)
    who = persona(model={"model": "any"}, judge={"goal": "a table was booked", "by": "model"})
    report = await play(who, answerer=chat)
    assert report.unmet == ("the goal was not reached: the model judges: nothing within 120 s",)


@in_virtual_time
async def test_a_persona_lasts_until_it_hangs_up_whatever_the_tail() -> None:
    report = await called(BOT, talk(), persona=persona(), tail_s=0.1)
    assert outcome(report) == (True, "rule", 4)


@in_virtual_time
async def test_a_persona_of_a_chat_model_needs_one() -> None:
    with pytest.raises(UsageError, match=r"is played by a chat model, and there is none; expected"):
        await play(persona(model={"model": "any"}))


@in_virtual_time
async def test_it_speaks_its_language_with_its_voice() -> None:
    reader = Reader()
    await play(persona(language="de", voice="anna"), recogniser=reader)
    assert all(text.startswith("de: ") for text in reader.heard)
