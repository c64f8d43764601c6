# SPDX-License-Identifier: Apache-2.0
"""Calls to the assistant in virtual time, with engines that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assistant
from assistant.__main__ import Settings, make
from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner
from assistant.memory import Said, Turn, median_ms
from audio_connector.engines import EngineError, Message, Transcript
from audio_connector.engines.retrieval import Entry, read_knowledge
from audio_connector.live import LivePage
from audio_connector.live.command import Environment
from audio_connector.live.settings import read_settings
from audio_connector.simulator import load_persona, load_scenario
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedAnswerer, ScriptedEars, ScriptedVoice, WordEmbedder
from audio_connector.turns import BargeIn

HOURS = Entry(
    ("when are you open", "opening hours"), "We are open from nine to six. On Sundays we are closed."
)
PLACE = Entry(("where is the shop",), "At twelve Mill Street.")
GREETING = "Hello! How can I help you?"
SPEECH = Audio(Audio.of("sample:he-was-not").trimmed().pcm[: 16000 * 2 * 12 // 10], 16000)
"""The first 1.2 s of a sentence."""
LONG = "The first sentence is short. The second one has many more words than it."
COUGH = (np.random.default_rng(1).normal(0, 6000, 16000 * 14 // 100)).astype("<i2").tobytes()
"""0.14 s of noise: speech by its length, and too short to interrupt."""


class Shown:
    """Takes the place of the page."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        self.shown.append((kind, {"key": key, **data}))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.shown if name == kind]


class Case:
    """An assistant, and what it is made of."""

    def __init__(
        self,
        *hears: str,
        chat: ScriptedAnswerer | None = None,
        ears: Any = None,
        voice: ScriptedVoice | None = None,
        **manner: Any,
    ) -> None:
        self.voice = voice or ScriptedVoice(takes_s=0.15)
        self.ears = ears or ScriptedEars(hears, takes_s=0.6)
        self.page = Shown()
        brain = Brain([HOURS, PLACE], WordEmbedder(), chat=chat)
        self.app = Assistant(self.ears, self.voice, brain, page=self.page, manner=Manner(**manner))

    @property
    def turns(self) -> list[Turn]:
        return list(self.app.turns)

    def audio(self, text: str) -> Audio:
        return Audio(self.voice.audio_of(text), self.voice.sample_rate)


@in_virtual_time
async def test_it_greets_and_answers() -> None:
    case = Case("when are you open?")
    async with serve(case.app.on_connect) as server, server.call() as call:
        assert (await call.reply()).matches(case.audio(GREETING))
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(HOURS.answer))
    (turn,) = case.turns
    assert (turn.caller, turn.heard, turn.unheard) == ("when are you open?", HOURS.answer, "")


@in_virtual_time
async def test_what_an_answer_took_is_known_by_stage() -> None:
    case = Case("when are you open?", chat=ScriptedAnswerer(["We are open from nine to six."]))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.reply()
        (heard,) = call.report().turns
    stages = case.turns[0].stages_ms
    # It is transcribed from 200 ms of the pause on: 800 ms after the end of speech, of which the pause has 500.
    assert abs(stages["pause"] - 500) < 40
    assert abs(stages["text"] - 300) < 40
    assert abs(stages["voice"] - 150) < 40
    assert abs(sum(stages.values()) - heard.latency_ms) < 150
    assert median_ms(case.turns) == sum(stages.values())
    shown = case.page.of("turn")[-1]
    assert (shown["stages_ms"], shown["heard"]) == (stages, "We are open from nine to six.")


@in_virtual_time
async def test_the_beginning_of_an_answer_that_is_known_is_made_before_anybody_calls() -> None:
    case = Case("when are you open?")
    for engine in case.app.engines:
        await engine.warm()
    assert case.voice.said[-2:] == ["We are open from nine to six.", "At twelve Mill Street."]
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(HOURS.answer))
    assert case.turns[0].stages_ms["voice"] < 20
    assert case.voice.said[-1] == "On Sundays we are closed."


@in_virtual_time
async def test_who_interrupts_is_heard_and_only_what_they_heard_is_remembered() -> None:
    chat = ScriptedAnswerer([LONG, "Of course."])
    case = Case("tell me something", "stop, something else", chat=chat)
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        barge_in = await call.interrupt(SPEECH, after_s=2.5)
        assert (barge_in.speech_to_silence_ms or 0) < 400
        assert (await call.reply()).matches(case.audio("Of course."))
    first, second = case.turns
    assert (first.heard + " " + first.unheard).split() == LONG.split()
    assert first.heard.startswith("The first sentence is short. The second")
    assert second.caller == "stop, something else"
    assert chat.asked[0][0].role == "system"
    assert PLACE.answer in chat.asked[0][0].text
    assert chat.asked[1][1:] == [
        Message("assistant", GREETING),
        Message("user", "tell me something"),
        Message("assistant", f"{first.heard}—"),
        Message("user", "stop, something else"),
    ]


@in_virtual_time
async def test_a_cough_interrupts_nothing() -> None:
    case = Case("when are you open?")
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
        await call.say(COUGH, rate_hz=16000)
        await call.until_silent(within_s=15, pause_s=1)
    assert [turn.unheard for turn in case.turns] == [""]


@in_virtual_time
async def test_who_goes_on_after_a_pause_is_answered_once() -> None:
    case = Case("when are you open?")
    said = SPEECH
    both = said.pcm + bytes(16000 * 2 * 35 // 100) + said.pcm
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(both, rate_hz=16000)
        await call.reply()
    assert [turn.caller for turn in case.turns] == ["when are you open?"]
    assert case.ears.heard[0] > 2 * said.duration_s


@in_virtual_time
async def test_who_goes_on_after_the_turn_is_answered_to_both() -> None:
    chat = ScriptedAnswerer(["Never mind."], takes_s=1.0)
    case = Case("when are you open", "on Sundays?", chat=chat)
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.say(bytes(16000 * 2 * 9 // 10), rate_hz=16000)
        await call.say(SPEECH)
        await call.reply()
    assert chat.asked[-1][-2:] == [Message("user", "when are you open"), Message("user", "on Sundays?")]
    assert [turn.heard for turn in case.turns] == ["", "Never mind."]


@in_virtual_time
async def test_what_is_not_understood_yet_when_the_caller_goes_on_is_not_lost() -> None:
    case = Case("when are you open", "on Sundays?", chat=ScriptedAnswerer(["We are closed."]))
    case.ears.takes_s = 2.0
    said = SPEECH.pcm
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(said + bytes(16000 * 2 * 7 // 10) + said, rate_hz=16000)
        assert (await call.reply(within_s=10)).matches(case.audio("We are closed."))
    assert [turn.caller for turn in case.turns] == ["when are you open on Sundays?"]


@in_virtual_time
async def test_a_word_that_is_enough_interrupts_though_it_is_understood_late() -> None:
    case = Case(
        "when are you open?", "stop", partials=True, barge_in=BargeIn(min_words=1, resume_after_ms=100)
    )
    case.ears.words_per_s = 0.5  # no partial in time
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
        await call.say(SPEECH.pcm[: 16000 * 2 * 8 // 10], rate_hz=16000)
        await call.until_silent(within_s=15, pause_s=2)
    assert [(turn.caller, bool(turn.unheard)) for turn in case.turns][:2] == [
        ("when are you open?", True),
        ("stop", False),
    ]


@in_virtual_time
async def test_who_takes_leave_is_told_goodbye_before_it_hangs_up() -> None:
    case = Case("goodbye")
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio("Thank you for calling. Goodbye!"))
        report = await call.hang_up()
    assert (report.closed_by, report.close_code) == ("peer", 1000)


@in_virtual_time
async def test_who_is_silent_is_asked_and_then_told_goodbye() -> None:
    case = Case(ask_after_s=3, hang_up_after_s=6)
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        assert (await call.reply(within_s=10)).matches(case.audio("Are you still there?"))
        assert (await call.reply(within_s=10)).matches(case.audio("Thank you for calling. Goodbye!"))
        assert (await call.hang_up()).closed_by == "peer"


@in_virtual_time
async def test_an_answer_that_takes_long_is_announced() -> None:
    case = Case("tell me", chat=ScriptedAnswerer(["Forty two."], takes_s=4))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply(pause_s=0.3)).matches(case.audio("One moment, please."))
        assert (await call.reply(within_s=10)).matches(case.audio("Forty two."))
    assert case.turns[0].heard == "Forty two."


class Slow(ScriptedAnswerer):
    """Thinks for a minute, and notes when it was stopped."""

    stopped_at = 0.0

    async def answer(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        try:
            await asyncio.sleep(60)
            yield "Forty two."
        finally:
            self.stopped_at = asyncio.get_running_loop().time()


@in_virtual_time
async def test_who_interrupts_stops_what_is_still_thought_about() -> None:
    chat = Slow(["never asked"])
    case = Case("tell me", "", chat=chat, moment_after_s=0.1)
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
        began_at = asyncio.get_running_loop().time()
        await call.interrupt(SPEECH, after_s=0.2)
    assert 0 < chat.stopped_at - began_at < 0.2 + 0.6


class Deaf(ScriptedEars):
    """Fails the first time."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        if not self.heard:
            self.heard.append(0.0)
            takes_s, self.takes_s = self.takes_s, 0.0
            await asyncio.sleep(takes_s)
            raise EngineError("the recogniser failed: no reason; try again")
        return await super().transcribe(audio, sample_rate=sample_rate, language=language)


@in_virtual_time
async def test_an_engine_that_fails_is_told_and_the_call_goes_on() -> None:
    case = Case(ears=Deaf(["when are you open?"]))
    async with serve(case.app.on_connect, allow_errors=True) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        sorry = case.audio("I am sorry, I did not get that. Could you say it again?")
        assert (await call.reply()).matches(sorry)
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(HOURS.answer))
    assert case.page.of("trouble") == [
        {"key": None, "call": "1", "text": "the recogniser failed: no reason; try again"}
    ]


@in_virtual_time
async def test_a_recogniser_that_never_answers_is_given_up_and_the_call_goes_on() -> None:
    case = Case(ears=Deaf(["when are you open?"], takes_s=3600))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio("One moment, please."))
        assert (await call.reply(within_s=40)).matches(case.audio(Manner().phrases.sorry))
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(HOURS.answer))
    assert case.page.of("trouble")[0]["text"].startswith("no answer within 30 s")


@in_virtual_time
async def test_a_brain_that_never_answers_is_given_up_behind_one_moment_please() -> None:
    case = Case("tell me", "when are you open?", chat=ScriptedAnswerer(["Forty two."], takes_s=3600))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply(pause_s=0.3)).matches(case.audio("One moment, please."))
        assert (await call.reply(within_s=40)).matches(case.audio(Manner().phrases.sorry))
        assert (await call.reply(within_s=40)).matches(case.audio("Are you still there?"))


class Breaking(ScriptedVoice):
    """Breaks behind so many pieces of whatever has a certain word."""

    def __init__(self, word: str, *, pieces: int) -> None:
        super().__init__()
        self.word, self.pieces = word, pieces

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        left = self.pieces
        async for piece in super().say(text, language=language):
            if self.word in text and left == 0:
                raise EngineError("the voice is gone")
            left -= 1
            yield piece


@in_virtual_time
async def test_an_answer_that_breaks_off_in_the_middle_is_asked_for_again() -> None:
    case = Case("when are you open?", "where is the shop?", voice=Breaking("Sundays", pieces=3))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
        assert (await call.reply()).contains(case.audio(Manner().phrases.sorry))
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(PLACE.answer))
    assert [each["text"] for each in case.page.of("trouble")] == ["the voice is gone"]


@in_virtual_time
async def test_who_is_silent_is_hung_up_on_though_goodbye_cannot_be_said() -> None:
    case = Case(voice=Breaking("", pieces=0), ask_after_s=3, hang_up_after_s=6)
    async with serve(case.app.on_connect) as server, server.call() as call:
        await asyncio.sleep(8)
        assert (await call.hang_up()).closed_by == "peer"
    assert len(case.page.of("trouble")) == 3  # greeting, question, goodbye


@in_virtual_time
async def test_a_brain_of_ones_own_that_fails_is_told_and_the_call_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter([True, False])

    def answer(messages: Sequence[Message]) -> str:
        if next(answers):
            raise LookupError("no such order")
        return "It is on its way."

    case = Case("where is my order?", "where is it?", chat=ScriptedAnswerer(answer))
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio(Manner().phrases.sorry))
        await call.say(SPEECH)
        assert (await call.reply()).matches(case.audio("It is on its way."))
    assert [each["text"] for each in case.page.of("trouble")] == ["LookupError: no such order"]
    assert "no such order" in caplog.text


@in_virtual_time
async def test_noise_that_has_interrupted_is_passed_over() -> None:
    case = Case("when are you open?", "")
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.interrupt(SPEECH, after_s=1.0)
        rest = await call.reply()
    first, second = case.turns
    assert rest.matches(case.audio(first.unheard))
    assert (second.caller, second.heard) == ("", first.unheard)


@in_virtual_time
async def test_a_recogniser_of_a_cloud_interrupts_by_words() -> None:
    case = Case(
        "when are you open?",
        "and where is the shop?",
        partials=True,
        barge_in=BargeIn(min_words=2, resume_after_ms=1500),
    )
    async with serve(case.app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.interrupt(SPEECH, after_s=1.0)
        assert (await call.reply()).matches(case.audio(PLACE.answer))
    assert [turn.caller for turn in case.turns] == ["when are you open?", "and where is the shop?"]
    partials = [each["caller"] for each in case.page.of("turn") if not each["is_final"]]
    assert "when are" in partials


@in_virtual_time
async def test_two_calls_at_once_have_conversations_of_their_own() -> None:
    def answer(messages: Sequence[Message]) -> str:
        return f"This is answer {sum(message.role == 'user' for message in messages)}."

    case = Case("one", "two", chat=ScriptedAnswerer(answer))
    async with serve(case.app.on_connect) as server, server.call() as first, server.call() as second:
        await first.reply()
        await second.reply()
        for call in (first, second):
            await call.say(SPEECH)
            assert (await call.reply()).matches(case.audio("This is answer 1."))


@in_virtual_time
async def test_a_call_may_end_in_the_middle_of_anything() -> None:
    case = Case(*["when are you open?"] * 20)
    async with serve(case.app.on_connect) as server:
        for after_s in (0.0, 0.3, 0.6, 0.9, 1.1, 2.0):
            async with server.call() as call:
                await call.say(bytes(12800), rate_hz=16000)
                if after_s:
                    await call.say(SPEECH)
                await call.say(bytes(round(after_s * 1000) * 32 + 2), rate_hz=16000)
                await call.hang_up()
    assert case.page.of("state")[-1]["state"] == "ended"


@in_virtual_time
async def test_who_asks_something_does_not_take_leave() -> None:
    brain = Brain([HOURS], WordEmbedder(), goodbyes=["goodbye"])
    assert await brain.is_goodbye("goodbye then")
    assert not await brain.is_goodbye("opening hours, goodbye")
    assert not await brain.is_goodbye("something else")


@pytest.mark.parametrize(
    ("played_ms", "heard", "unheard"),
    [
        (0, "", "One two. Three four."),
        (940, "", "One two. Three four."),
        (950, "One", "two. Three four."),
        (1499, "One", "two. Three four."),
        (1500, "One two.", "Three four."),
        (2100, "One two. Three", "four."),
        (9999, "One two. Three four.", ""),
    ],
)
def test_a_word_was_heard_once_all_of_it_was(played_ms: float, heard: str, unheard: str) -> None:
    said = Said()
    for sentence, audio_ms in (("", 500), ("One two.", 400), ("One two.", 600), ("Three four.", 1000)):
        said.add(sentence, audio_ms)  # the first is "one moment", which nobody has to remember
    assert said.text == "One two. Three four."
    assert said.split(played_ms) == (heard, unheard)


def test_a_stage_that_was_ready_before_it_was_wanted_took_nothing() -> None:
    turn = Turn(1, 10.0, {"pause": 10.5, "text": 10.4, "answer": 10.4, "voice": 10.6})
    assert turn.stages_ms == pytest.approx({"pause": 500, "text": 0, "answer": 0, "voice": 100})
    assert turn.latency_ms == pytest.approx(600)


def test_what_lies_beside_it_is_in_order() -> None:
    folder = Path(str(assistant.__file__)).parent
    settings = read_settings(folder / "settings.toml", Settings)
    entries = read_knowledge(folder / settings.knowledge)
    assert len({entry.answer for entry in entries}) == len(entries)
    assert settings.talk.phrases.goodbye.endswith("Goodbye!")
    load_scenario(folder / "scenario.yaml")
    load_persona(folder / "persona.yaml")


def test_a_chat_model_is_one_table_of_the_settings(tmp_path: Path) -> None:
    folder = Path(str(assistant.__file__)).parent
    page = LivePage(folder / "page.html")
    settings = read_settings(folder / "settings.toml", Settings)
    chat = settings.model_copy(update={"answerer": {"engine": "openai", "model": "any"}})
    known, thought_up = (
        [each for each in make(Environment(told, page, folder, tmp_path)).engines if isinstance(each, Brain)]
        for told in (settings, chat)
    )
    assert known[0].openings[1].startswith("We are open")
    assert thought_up[0].openings == []
