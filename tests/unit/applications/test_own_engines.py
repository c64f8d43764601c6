# SPDX-License-Identifier: Apache-2.0
"""Engines of one's own that fail with an error that is none of theirs, at each of their methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from assistant.app import Assistant
from assistant.brain import Brain
from assistant.manner import Manner
from captions.app import Captions
from captions.interpreter import Interpreter
from support.failing import Failing, Page

from audio_connector import AudioConnectorConnection
from audio_connector.engines.retrieval import Entry
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, ScriptedVoice, WordEmbedder
from audio_connector.turns import BargeIn

SPEECH = "sample:he-was-not"


def assistant_of(ears: Failing, page: Page, **manner: Any) -> Assistant:
    brain = Brain([Entry(("where is the shop",), "At twelve Mill Street.")], WordEmbedder())
    return Assistant(ears, ScriptedVoice(), brain, page=page, manner=Manner(partials=True, **manner))


@in_virtual_time
@pytest.mark.parametrize("failing", ["hear", "enter", "write", "partials", "finish", "exit"])
async def test_the_assistant_tells_it_and_the_call_goes_on(failing: str) -> None:
    page = Page()
    async with serve(assistant_of(Failing(failing), page).on_connect) as server, server.call() as call:
        await call.reply()
        text = Manner().phrases.sorry if failing == "finish" else "At twelve Mill Street."
        for _ in range(2):
            await call.say(SPEECH)
            assert (await call.reply()).matches(Audio(ScriptedVoice.audio_of(text), 16_000))
    assert page.texts == [f"LookupError: no {failing}"] * 2


@in_virtual_time
async def test_an_engine_that_fails_at_its_end_as_well_ends_no_call_of_the_assistant() -> None:
    page = Page()
    ears = Failing("write and exit")
    async with serve(assistant_of(ears, page).on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        assert (await call.reply()).matches(Audio(ScriptedVoice.audio_of("At twelve Mill Street."), 16_000))
    assert page.texts == ["LookupError: no write", "LookupError: no exit"]


@in_virtual_time
async def test_words_that_cannot_be_understood_interrupt_nothing_and_end_no_call() -> None:
    page = Page()
    app = assistant_of(Failing("finish"), page, barge_in=BargeIn(min_words=3, resume_after_ms=100))
    async with serve(app.on_connect) as server, server.call() as call:
        await call.until_speaking()
        await call.say(SPEECH)
        await call.until_silent(within_s=10)
        assert not call.is_over
    assert "LookupError: no finish" in page.texts


@in_virtual_time
@pytest.mark.parametrize("failing", ["hear", "enter", "write", "partials", "finish", "exit"])
async def test_captions_tell_it_and_have_the_final(failing: str, tmp_path: Path) -> None:
    page = Page()
    app = Captions(
        ScriptedEars(["where is the shop?"] * 9),
        partials=Failing(failing),
        sessions=lambda: server.handle.sessions,
        output=tmp_path,
        page=page,
    )
    async with serve(app.on_connect) as server, server.call() as call:
        await call.say(SPEECH)
    await app.close()
    assert [each.text for each in app.captions] == ["where is the shop?"]
    if failing != "finish":  # the finals are another engine's
        assert any(f"LookupError: no {failing}" in text for text in page.texts)


class Hoarse(ScriptedVoice):
    """Fails at the first sentence."""

    has_failed = False

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        if not self.has_failed:
            self.has_failed = True
            raise LookupError("no voice")
        async for piece in super().say(text, language=language):
            yield piece


@in_virtual_time
async def test_an_interpreter_goes_on_with_the_next_sentence(caplog: pytest.LogCaptureFixture) -> None:
    interpreter = Interpreter(Hoarse(), "en", asyncio.get_running_loop().time)

    async def on_connect(client: AudioConnectorConnection) -> None:
        for text in ("Good morning.", "Good evening."):
            interpreter.say(text, [client])

    running = asyncio.ensure_future(interpreter.run())
    async with serve(on_connect) as server, server.call() as call:
        assert (await call.reply()).matches(Audio(ScriptedVoice.audio_of("Good evening."), 16_000))
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    [record] = caplog.records
    assert record.getMessage() == "a translation is not said"
    caplog.clear()


@asynccontextmanager
async def never() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


class Endless(ScriptedEars):
    """Never begins to hear."""

    def hear(self, **options: Any) -> Any:
        del options
        return never()


@in_virtual_time
async def test_captions_give_up_who_never_begins_and_have_the_final(tmp_path: Path) -> None:
    page = Page()
    app = Captions(
        ScriptedEars(["where is the shop?"] * 9),
        partials=Endless([]),
        sessions=lambda: server.handle.sessions,
        output=tmp_path,
        page=page,
    )
    async with serve(app.on_connect) as server, server.call() as call:
        await call.say(SPEECH)
        await asyncio.sleep(6)
    await app.close()
    assert [each.text for each in app.captions] == ["where is the shop?"]
    assert page.texts[0].startswith("no partials: no answer within 5 s")


class Pondering(Brain):
    async def is_goodbye(self, text: str) -> bool:
        del text
        await asyncio.Event().wait()
        return False


@in_virtual_time
async def test_a_brain_that_never_knows_whether_it_is_goodbye_is_given_up() -> None:
    page = Page()
    brain = Pondering([Entry(("where is the shop",), "At twelve Mill Street.")], WordEmbedder())
    app = Assistant(Failing(""), ScriptedVoice(), brain, page=page)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.reply()
        await call.say(SPEECH)
        moment, sorry = await call.reply(), await call.reply(within_s=40)
        assert moment.matches(Audio(ScriptedVoice.audio_of(Manner().phrases.moment), 16_000))
        assert sorry.matches(Audio(ScriptedVoice.audio_of(Manner().phrases.sorry), 16_000))
    assert page.texts[0].startswith("no answer within 30 s")
