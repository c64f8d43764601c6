# SPDX-License-Identifier: Apache-2.0
"""Callers that talk to a bot, over the real server, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.talking import Reader, Speller, called, spelled, talk, talking_bot

from audio_connector.errors import UsageError
from audio_connector.simulator import (
    CallReport,
    Expect,
    RouterCall,
    SayText,
    Step,
    Talk,
    figures,
)
from audio_connector.simulator.talk.expect import WordErrors
from audio_connector.testing import in_virtual_time, router, serve


def say(text: str) -> SayText:
    return SayText(text=text)


def answering(**answers: str) -> Callable[..., Any]:
    """A bot that answers to the first word."""
    return talking_bot(lambda text: answers.get(text.split()[0].lower(), "What?"), greeting="Welcome here.")


BOT = answering(table="For how many?", two="It is booked. Goodbye!")


def said(report: CallReport) -> list[tuple[str, str]]:
    return [(line.who, line.text) for line in report.transcript]


@in_virtual_time
async def test_a_caller_waits_for_words_and_goes_on_when_they_were_said() -> None:
    report = await called(
        BOT,
        steps=[
            Step(after_s=0, hear="welcome"),
            Step(after_s=0.5, say=say("table please")),
            Step(after_s=0, hear={"any": ["how many", "how big"]}, within_s=5),
            Step(after_s=0.5, say=say("two")),
            Step(after_s=0, hear="goodbye"),
            Step(after_s=0, dtmf="5"),
            Step(after_s=0, hang_up=True),
        ],
        expect=Expect(said="it is booked", never_said="what"),
    )
    assert said(report) == [
        ("bot", "Welcome here."),
        ("participant", "table please"),
        ("bot", "For how many?"),
        ("participant", "two"),
        ("bot", "It is booked. Goodbye!"),
    ]
    assert (report.missed, report.unmet, report.problems) == ((), (), ())
    assert report.expected == ("said 'it is booked'", "never_said 'what'")
    assert report.duration_s < 9
    times = [line.at_s for line in report.transcript]
    assert times == sorted(times)
    greeting, first = report.transcript[:2]
    # The pause that ends what was said, and half a second.
    assert first.at_s == pytest.approx(greeting.end_s + 0.5 + 0.5, abs=0.05)
    assert first.for_s == pytest.approx(0.02 * len("table please"))
    assert len(report.turns) == 2


@in_virtual_time
async def test_words_that_do_not_come_are_missed_and_what_follows_is_left_out() -> None:
    report = await called(
        BOT,
        steps=[
            Step(at_s=1.5, say=say("table")),
            Step(after_s=0, hear="goodbye", within_s=4),
            Step(after_s=0, say=say("two")),
            Step(after_s=0, dtmf="5"),
            Step(at_s=2, dtmf="1"),
        ],
    )
    assert report.missed == (
        "did not hear 'goodbye' within 4 s: heard 'For how many?' instead; 2 steps after it left out",
    )
    assert report.problems == report.shortfalls == report.missed
    assert figures(report)["missed"] == 1
    assert [event for event in report.events_sent if "Dtmf" in event or "dtmf" in event] != []
    assert ("participant", "two") not in said(report)
    assert report.duration_s == pytest.approx(1.6 + 4 + 1, abs=0.2)  # the wait, and the tail


@in_virtual_time
async def test_words_that_were_said_before_the_step_do_not_count() -> None:
    steps = [
        Step(at_s=3, say=say("other")),
        Step(after_s=0, hear="welcome", within_s=2),
    ]
    report = await called(BOT, steps=steps)
    assert report.missed == ("did not hear 'welcome' within 2 s: heard 'What?' instead",)


@in_virtual_time
async def test_a_silent_bot_is_told_from_one_that_says_something_else() -> None:
    async def silent(client: Any) -> None: ...

    report = await called(silent, steps=[Step(after_s=0, hear="hello", within_s=2)], allow_silence=True)
    assert report.missed == ("did not hear 'hello' within 2 s: nothing was heard",)


@pytest.mark.parametrize("takes_s", [0.0, 3.0, 11.0])
@in_virtual_time
async def test_how_fast_the_machine_understands_changes_no_verdict(takes_s: float) -> None:
    steps = [
        Step(at_s=2, say=say("table")),
        Step(after_s=0, hear="how many", within_s=2),
        Step(after_s=0, hang_up=True),
    ]
    report = await called(BOT, talk(recogniser=Reader(takes_s=takes_s)), steps=steps)
    assert report.missed == ()
    assert report.duration_s < 5 + 2 * takes_s


@in_virtual_time
async def test_what_the_bot_says_last_is_understood_after_it_hung_up() -> None:
    leaving = talking_bot(lambda text: None, greeting="All lines are busy, goodbye.")
    steps = [Step(after_s=0, hear="goodbye", within_s=9), Step(at_s=1.5, say=say("hello"))]
    report = await called(leaving, talk(recogniser=Reader(takes_s=2.0)), steps=steps, allow_hangup=True)
    assert said(report)[0] == ("bot", "All lines are busy, goodbye.")
    assert report.problems == ()


@in_virtual_time
async def test_what_is_waited_for_when_the_call_ends_is_missed() -> None:
    report = await called(BOT, steps=[Step(after_s=0, hear="never", within_s=60), Step(at_s=3, hang_up=True)])
    assert report.missed == ("did not hear 'never' before the call ended: heard 'Welcome here.' instead",)


@in_virtual_time
async def test_words_whose_turn_never_came_are_missed_too() -> None:
    steps = [
        Step(after_s=0, hear="welcome"),
        Step(after_s=60, say=say("hello")),
        Step(after_s=0, hear="how many"),
        Step(at_s=3, hang_up=True),
        Step(at_s=10, hear="goodbye"),
    ]
    report = await called(BOT, steps=steps)
    assert report.missed == (
        "did not hear 'goodbye' before the call ended: nothing was heard",
        "did not hear 'how many': the call ended before that step",
    )
    assert report.left_out == ("say 60 s after the one before",)


@in_virtual_time
@pytest.mark.parametrize("after_s", [0, 5])
async def test_words_that_the_bot_says_before_it_hangs_up_were_said_whenever_they_are_understood(
    after_s: float,
) -> None:
    leaving = talking_bot(lambda text: None, greeting="All lines are busy, goodbye.")
    steps = [Step(after_s=0, hear="busy", within_s=9), Step(after_s=after_s, hear="goodbye")]
    for takes_s in (0.0, 2.0):
        report = await called(
            leaving, talk(recogniser=Reader(takes_s=takes_s)), steps=steps, allow_hangup=True
        )
        assert report.missed == ()


@in_virtual_time
async def test_two_steps_may_wait_for_one_sentence() -> None:
    steps = [Step(after_s=0, hear="welcome"), Step(after_s=0, hear="here"), Step(after_s=0, hang_up=True)]
    report = await called(BOT, steps=steps)
    assert report.missed == ()
    assert report.duration_s < 3


@in_virtual_time
async def test_expectations_fail_a_call_and_are_counted() -> None:
    expect = Expect(
        said=["welcome", "goodbye"],
        never_said="welcome",
        word_errors=WordErrors(max=0.1, reference="welcome there"),
    )
    report = await called(BOT, steps=[Step(at_s=2, say=say("table"))], expect=expect, tail_s=3.0)
    got = "the bot said 'Welcome here. For how many?'"
    assert report.unmet == (
        f"said 'goodbye': {got.replace('the bot', 'the bot did not; it')}",
        f"never_said 'welcome': {got}",
        f"word_errors>0.1: 2.000; {got}",
    )
    assert figures(report)["word_errors"] == 2.0
    assert not report.is_clean


@pytest.mark.parametrize(
    ("sound", "fails"), [(b"", False), (spelled("ab"), True)], ids=["silence", "a click"]
)
@in_virtual_time
async def test_of_a_bot_that_only_listens_only_silence_is_known_to_be_no_words(
    sound: bytes, fails: bool
) -> None:
    """Two frames are a click, of which recognisers make words."""

    async def on_connect(client: Any) -> None:
        if sound:
            await client.send_audio_buffer(sound, pad_last_frame=True)

    steps = [Step(at_s=1, say=say("table"))]
    report = await called(on_connect, steps=steps, expect=Expect(never_said="no"), allow_silence=True)
    assert report.unmet == (("never_said 'no': the bot said nothing that was understood",) if fails else ())
    report = await called(on_connect, steps=steps, expect=Expect(never_said="no"))
    assert "never_said 'no': the bot said nothing that was understood" in report.unmet


@in_virtual_time
async def test_without_need_nothing_is_understood_and_nothing_told() -> None:
    reader = Reader()
    report = await called(BOT, talk(recogniser=reader), steps=[Step(at_s=2, say=say("table"))])
    assert (report.transcript, reader.heard) == ((), [])


@in_virtual_time
async def test_a_transcript_is_made_where_it_is_asked_for() -> None:
    report = await called(
        BOT,
        talk(language="en"),
        speech="sample:he-was-not",
        transcribe=True,
        steps=[Step(at_s=3, stop_speaking=True)],
    )
    assert said(report)[0] == ("participant", "[sample:he-was-not]")
    assert "bot" in {line.who for line in report.transcript}


@in_virtual_time
async def test_who_breaks_off_has_said_no_more() -> None:
    steps = [
        Step(at_s=2, say=say("one two three")),
        Step(at_s=2, say=say("four")),
        Step(at_s=2.1, stop_speaking=True),
    ]
    report = await called(BOT, steps=steps, transcribe=True)
    [line] = [line for line in report.transcript if line.who == "participant"]
    assert line.text == "one two three \N{EM DASH}"
    assert line.for_s == pytest.approx(0.1)


@in_virtual_time
async def test_a_recogniser_that_fails_ends_the_call_and_is_told() -> None:
    with pytest.raises(RuntimeError, match="the recogniser broke"):
        await called(BOT, talk(recogniser=Reader(fails_on="Welcome")), transcribe=True, tail_s=60.0)


@in_virtual_time
async def test_a_recogniser_that_fails_at_the_end_is_told_too() -> None:
    with pytest.raises(RuntimeError, match="the recogniser broke"):
        await called(
            BOT, talk(recogniser=Reader(takes_s=9.0, fails_on="Welcome")), transcribe=True, tail_s=1.0
        )


@in_virtual_time
async def test_a_call_that_is_not_wanted_any_more_leaves_nothing() -> None:
    reader = Reader(takes_s=5.0)
    async with serve(BOT) as server, router(talk=talk(recogniser=reader)) as phone:
        run = asyncio.ensure_future(phone.run(RouterCall(url=server.url, transcribe=True, tail_s=60.0)))
        await asyncio.sleep(3)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert reader.heard == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"steps": [Step(at_s=0, say=SayText(text="hi"))]},
            "'hi' is to be spoken, and there is no voice; expected",
        ),
        ({"steps": [Step(at_s=0, hear="hi")]}, "nothing recognises them; expected a router with Talk"),
        ({"transcribe": True}, "nothing recognises them; expected a router with Talk"),
    ],
)
@in_virtual_time
async def test_without_an_engine_it_says_which_one_it_needs(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        await called(BOT, Talk(), **options)
    assert told in str(caught.value)


@in_virtual_time
async def test_a_second_run_takes_what_was_spoken_before(tmp_path: Path) -> None:
    steps = [
        Step(at_s=2, say=SayText(text="table", voice="one")),
        Step(at_s=4, say=SayText(text="table", voice="one")),
    ]
    reports = []
    speller = Speller()
    for _ in range(2):
        engines = talk(voices=speller, cache=tmp_path / "deep" / "cache")
        reports.append(await called(BOT, engines, steps=steps, transcribe=True))
    assert speller.said == ["table"]
    assert said(reports[0]) == said(reports[1])
    await called(BOT, engines, steps=[Step(at_s=2, say=SayText(text="table", voice="other"))])
    assert speller.said == ["table", "table"]
    assert len(list((tmp_path / "deep" / "cache").iterdir())) == 2


@in_virtual_time
async def test_speech_of_another_rate_is_resampled() -> None:
    speller = Speller(sample_rate=8000, pcm=lambda text: spelled(text)[::1])
    report = await called(BOT, talk(voices=speller), steps=[Step(at_s=2, say=say("table"))], transcribe=True)
    [line] = [line for line in report.transcript if line.who == "participant"]
    assert line.for_s == pytest.approx(0.2, abs=0.021)
