# SPDX-License-Identifier: Apache-2.0
"""Engines that are down for good, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner
from support.failing import Page

from audio_connector.engines import EngineError, Transcript
from audio_connector.engines.retrieval import Entry
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedAnswerer, ScriptedEars, ScriptedVoice, WordEmbedder

HOURS = Entry(("when are you open",), "From nine to six.")
SPEECH = Audio(Audio.of("sample:he-was-not").trimmed().pcm[: 16000 * 2 * 12 // 10], 16000)
PHRASES = Manner().phrases


def sound(text: str) -> Audio:
    return Audio(ScriptedVoice.audio_of(text), 16_000)


def assistant_of(
    ears: ScriptedEars,
    manner: Manner,
    *,
    chat: ScriptedAnswerer | None = None,
    voice: ScriptedVoice | None = None,
) -> Assistant:
    brain = Brain([HOURS], WordEmbedder(), chat=chat)
    return Assistant(ears, voice or ScriptedVoice(), brain, page=Page(), manner=manner)


class Down(ScriptedEars):
    """Fail until they are up."""

    def __init__(self) -> None:
        super().__init__(["when are you open?"] * 10)
        self.is_up, self.failed = False, 0

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        if not self.is_up:
            self.failed += 1
            raise EngineError("the recogniser is down")
        return await super().transcribe(audio, sample_rate=sample_rate, language=language)


@in_virtual_time
async def test_ears_that_are_down_for_good_end_the_call_with_a_word() -> None:
    ears = Down()
    app = assistant_of(ears, Manner())
    sorry, give_up = PHRASES.sorry, PHRASES.cannot_help
    async with serve(app.on_connect, allow_errors=True) as server, server.call() as call:
        await call.reply()
        for expected in (sorry, sorry, HOURS.answer, sorry, sorry, give_up):
            ears.is_up = expected == HOURS.answer
            await call.say(SPEECH)
            assert (await call.reply(within_s=10)).matches(sound(expected)), expected
        await asyncio.sleep(5)
        assert call.is_over


@in_virtual_time
async def test_a_brain_that_is_down_for_good_ends_the_call_with_a_word() -> None:
    chat = ScriptedAnswerer(["Forty two."], takes_s=3600)
    manner = Manner(give_up_after=2, hang_up_after_s=300.0, ask_after_s=200.0)
    app = assistant_of(ScriptedEars(["tell me", "tell me"]), manner, chat=chat)
    async with serve(app.on_connect, allow_errors=True) as server, server.call() as call:
        await call.reply()
        for expected in (PHRASES.sorry, PHRASES.cannot_help):
            await call.say(SPEECH)
            assert (await call.reply(pause_s=0.3)).matches(sound("One moment, please."))
            assert (await call.reply(within_s=40)).matches(sound(expected)), expected
        await asyncio.sleep(5)
        assert call.is_over


@in_virtual_time
async def test_what_fails_in_a_pause_after_which_the_caller_goes_on_does_not_count() -> None:
    ears = Down()
    app = assistant_of(ears, Manner(give_up_after=2))
    async with serve(app.on_connect, allow_errors=True) as server, server.call() as call:
        await call.reply()
        for _ in range(5):
            await call.say(SPEECH)
            await asyncio.sleep(0.2)  # it begins to understand, and the caller goes on
        assert ears.failed >= 4
        assert (await call.reply(within_s=10)).matches(sound(PHRASES.sorry))


class Mute(ScriptedVoice):
    """Fails with an error that is none of the library's."""

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        del text, language
        raise LookupError("no voice")
        yield b""


@in_virtual_time
async def test_a_voice_that_is_down_for_good_ends_the_call_without_a_word() -> None:
    app = assistant_of(ScriptedEars(["when are you open?"] * 9), Manner(give_up_after=3), voice=Mute())
    async with serve(app.on_connect, allow_errors=True) as server, server.call() as call:
        for _ in range(2):  # the greeting was the first that failed
            await call.say(SPEECH)
            await asyncio.sleep(3)
        assert call.is_over
