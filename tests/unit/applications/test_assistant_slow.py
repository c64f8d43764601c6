# SPDX-License-Identifier: Apache-2.0
"""Calls to the assistant while its engines are slow: a caller who waits is told, and is answered to everything."""

from __future__ import annotations

from typing import Any

from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner
from assistant.memory import Turn, median_ms
from support.failing import Page

from audio_connector.engines.retrieval import Entry
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedAnswerer, ScriptedEars, ScriptedVoice, WordEmbedder

HOURS = Entry(("when are you open",), "From nine to six.")
SPEECH = Audio(Audio.of("sample:he-was-not").trimmed().pcm[: 16000 * 2 * 12 // 10], 16000)


def sound(text: str) -> Audio:
    return Audio(ScriptedVoice.audio_of(text), 16_000)


MOMENT, SORRY = sound(Manner().phrases.moment), sound(Manner().phrases.sorry)


def assistant_of(
    *hears: str, takes_s: float, chat: ScriptedAnswerer | None = None, **manner: Any
) -> Assistant:
    brain = Brain([HOURS], WordEmbedder(), chat=chat)
    ears = ScriptedEars(hears, takes_s=takes_s)
    return Assistant(ears, ScriptedVoice(), brain, page=Page(), manner=Manner(**manner))


@in_virtual_time
async def test_who_waits_to_be_understood_is_told_to() -> None:
    app = assistant_of("when are you open?", takes_s=6)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        moment = await call.reply()
        assert moment.matches(MOMENT)
        assert (await call.reply(within_s=10)).matches(sound(HOURS.answer))
        (heard,) = call.report().turns
        assert heard.latency_ms < 3000
    (turn,) = app.turns
    assert (turn.caller, turn.heard, turn.unheard) == ("when are you open?", HOURS.answer, "")
    assert 6000 < (turn.latency_ms or 0) < 7000  # to the answer: that somebody is to wait is none


@in_virtual_time
async def test_a_noise_that_takes_long_to_be_understood_is_asked_for_again() -> None:
    app = assistant_of("", takes_s=6)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(MOMENT)
        assert (await call.reply(within_s=10)).matches(SORRY)


@in_virtual_time
async def test_who_goes_on_while_they_wait_is_answered_to_all_of_it() -> None:
    chat = ScriptedAnswerer(["We are closed."])
    app = assistant_of("when are you open", "on Sundays?", takes_s=5, chat=chat)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
        await call.interrupt(SPEECH, after_s=0.3)  # over "one moment"
        while not (heard := await call.reply(within_s=15)).matches(sound("We are closed.")):
            assert heard.matches(MOMENT)
    assert [turn.caller for turn in app.turns] == ["when are you open on Sundays?"]


@in_virtual_time
async def test_who_hangs_up_while_they_wait_leaves_nothing_behind() -> None:
    app = assistant_of("when are you open?", takes_s=60)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        await call.until_speaking()
    assert app.turns == ()


def test_to_say_that_nothing_was_understood_is_no_quick_answer() -> None:
    reached = {"pause": 0.5, "text": 2.0, "voice": 2.5}
    slow = Turn(1, 0.0, dict(reached), caller="when are you open?")
    sorry = Turn(2, 0.0, {"pause": 0.5, "text": 0.5, "voice": 0.5})
    assert median_ms([sorry, slow, sorry]) == 2500
    assert median_ms([sorry]) is None
