# SPDX-License-Identifier: Apache-2.0
"""Notes with engines that do as they are told, in virtual time: no model, no network, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from audio_connector.audio.wav import read_wav
from audio_connector.engines import EngineError, Message, Transcript
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedAnswerer, ScriptedEars, WordEmbedder
from notes.app import Notes
from notes.chat import Chat
from notes.minutes import Minutes, Said, Summariser
from notes.rules import Rules

SPEECH = "sample:he-was-not"
DECISION = "We have decided to use the blue design."
ACTION = "Bob, can you please call the customer tomorrow?"


class Page:
    """What was shown, in order."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        """Note it."""
        self.shown.append((kind, {"key": key, **data}))

    def all(self, kind: str) -> list[dict[str, Any]]:
        """What was shown of one kind."""
        return [data for each, data in self.shown if each == kind]


class Deaf(ScriptedEars):
    """Fails in every utterance."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Fail."""
        raise EngineError("the service is down")


@asynccontextmanager
async def noted(
    folder: Path, ears: ScriptedEars | Iterable[str], summariser: Summariser | None = None
) -> AsyncIterator[tuple[Notes, Server, Page]]:
    """The application, served."""
    page = Page()
    app = Notes(
        ears if isinstance(ears, ScriptedEars) else ScriptedEars(ears, takes_s=0.5),
        summariser or Rules(WordEmbedder()),
        sessions=lambda: server.handle.sessions,
        output=folder,
        page=page,
    )
    async with serve(app.on_connect) as server:
        yield app, server, page
        await app.settle()
    await app.close()


def markdown(app: Notes, number: int = -1) -> str:
    """The notes of a session."""
    return (app.taken[number].folder / "notes.md").read_text(encoding="utf-8")


@in_virtual_time
async def test_a_decision_and_an_action_item_with_its_owner_are_found(tmp_path: Path) -> None:
    async with (
        noted(tmp_path, [DECISION, ACTION, "Sure."]) as (app, server, page),
        server.call(session_id="a", headers={"name": "Ann"}) as ann,
        server.call(session_id="a", headers={"name": "Bob"}) as bob,
    ):
        await ann.say(SPEECH)
        await asyncio.sleep(1)
        await ann.say(SPEECH)
        await bob.say(SPEECH)
    (taken,) = app.taken
    assert [(each.text, each.said.speaker) for each in taken.minutes.decisions] == [(DECISION, "Ann")]
    (action,) = taken.minutes.actions
    assert (action.owner, action.task, action.due) == ("Bob", "Call the customer", "tomorrow")
    assert action.due_on == taken.began.date() + timedelta(days=1)
    text = markdown(app)
    assert f"**Bob**: Call the customer, tomorrow ({action.due_on})" in text
    assert text.count("](audio.wav#t=") == 5
    assert [each["speaker"] for each in page.all("line")] == ["Ann", "Ann", "Bob"]
    assert len(page.all("minutes")) > 1  # while it lasted as well
    assert [each["is_over"] for each in page.all("session")] == [False, True]


@in_virtual_time
async def test_the_recording_has_each_line_at_its_time(tmp_path: Path) -> None:
    async with noted(tmp_path, ["one", "two"]) as (app, server, _), server.call(session_id="a") as ann:
        await asyncio.sleep(2)
        await ann.say(SPEECH)
        async with server.call(session_id="a") as bob:
            await bob.say("sample:unless-to-be")
    audio, rate_hz = read_wav(app.taken[0].folder / "audio.wav")
    recorded = Audio.of(audio, rate_hz=rate_hz)
    for line, speech in zip(app.taken[0].said, (SPEECH, "sample:unless-to-be"), strict=True):
        assert recorded.between(max(0.0, line.start_s - 0.5), line.end_s + 0.5).contains(speech)


@in_virtual_time
async def test_a_chat_model_is_believed_where_it_points_at_what_was_said(tmp_path: Path) -> None:
    def answer(messages: Sequence[Message]) -> str:
        assert messages[-1].text.splitlines()[0].endswith(DECISION)
        told = {
            "summary": "Blue it is.",
            "decisions": [{"line": 1, "text": "Blue"}, {"line": 99, "text": "Red"}],
            "actions": [{"line": 1, "owner": "Eve", "task": "Paint it", "due": "today"}],
        }
        return f"```json\n{json.dumps(told)}\n```"

    async with (
        noted(tmp_path, [DECISION], Chat(ScriptedAnswerer(answer))) as (app, server, _),
        server.call() as call,
    ):
        await call.say(SPEECH)
    found = app.taken[0].minutes
    assert [each.text for each in found.decisions] == ["Blue"]
    assert [(each.owner, each.due_on) for each in found.actions] == [(None, app.taken[0].began.date())]
    assert "Blue it is." in markdown(app)


@in_virtual_time
async def test_two_sessions_at_once_have_notes_of_their_own_and_names_make_no_links(tmp_path: Path) -> None:
    async with (
        noted(tmp_path, ["one", "two"]) as (app, server, _),
        server.call(session_id="a", headers={"name": "[Eve](http://x)"}) as eve,
        server.call(session_id="b") as bob,
    ):
        await eve.say(SPEECH)
        await bob.say(SPEECH)
    assert [[line.text for line in taken.said] for taken in app.taken] == [["one"], ["two"]]
    assert len({taken.folder for taken in app.taken}) == 2
    assert "(http" not in markdown(app, 0)


@in_virtual_time
async def test_what_is_said_as_the_call_ends_is_noted(tmp_path: Path) -> None:
    async with noted(tmp_path, [DECISION]) as (app, server, _), server.call() as call:
        call.live.say(Audio.of("sample:unless-to-be").pcm)
        await asyncio.sleep(2)  # and hangs up in the middle
    assert DECISION in markdown(app)


@in_virtual_time
async def test_engines_that_fail_are_told_of_and_the_call_goes_on(tmp_path: Path) -> None:
    async with noted(tmp_path, Deaf([])) as (app, server, page), server.call() as call:
        await call.say(SPEECH)
        await asyncio.sleep(1)
        await call.say(SPEECH)
    assert page.all("problem")[-1]["text"].endswith("the service is down")
    assert "None." in markdown(app)
    assert "- Not complete: an utterance was not understood: the service is down (2x)" in markdown(app)
    async with (
        noted(tmp_path, ["Hello."], Chat(ScriptedAnswerer(["I cannot do that."]))) as (
            app,
            server,
            page,
        ),
        server.call() as call,
    ):
        await call.say(SPEECH)
    assert "expected JSON" in page.all("problem")[-1]["text"]
    assert "Hello." in markdown(app)


class Broken(Rules):
    """One of one's own, with a mistake."""

    async def summarise(self, said: Sequence[Said], *, today: date) -> Minutes:
        """Fail."""
        raise LookupError("no such key")


@in_virtual_time
async def test_a_summariser_of_ones_own_that_fails_leaves_the_transcript(tmp_path: Path) -> None:
    async with noted(tmp_path, [DECISION], Broken(WordEmbedder())) as (app, server, _), server.call() as call:
        await call.say(SPEECH)
    assert DECISION in markdown(app)
    assert "- Not complete: the minutes are as they were: LookupError: no such key (" in markdown(app)


@in_virtual_time
async def test_a_call_that_is_in_no_session_has_notes_and_a_recording_too(tmp_path: Path) -> None:
    async with noted(tmp_path, [DECISION]) as (app, server, _), server.call(profile="voice") as call:
        await asyncio.sleep(1)
        await call.say(SPEECH)
    (taken,) = app.taken
    assert [each.text for each in taken.minutes.decisions] == [DECISION]
    audio, rate_hz = read_wav(taken.folder / "audio.wav")
    (line,) = taken.said
    caller = 2 * np.frombuffer(audio, "<i2")  # mixed with our own side, which is silent
    recorded = Audio.of(caller, rate_hz=rate_hz)
    assert recorded.between(line.start_s - 0.5, line.end_s + 0.5).contains(SPEECH)


@in_virtual_time
async def test_who_hangs_up_in_the_middle_of_a_word_and_calls_again_is_the_same(tmp_path: Path) -> None:
    lines = ["Good morning.", "One more", "Here I am again.", ACTION]
    async with (
        noted(tmp_path, lines) as (app, server, _),
        server.call(session_id="a", headers={"name": "Ann"}) as ann,
    ):
        await ann.say(SPEECH)
        async with server.call(session_id="a", headers={"name": "Bob"}) as bob:
            bob.live.say(Audio.of("sample:unless-to-be").pcm)
            await asyncio.sleep(1.5)
        async with server.call(session_id="a", headers={"name": "Bob"}) as bob:
            await bob.say(SPEECH)
            await ann.say(SPEECH)
    (taken,) = app.taken
    assert [line.speaker for line in taken.said] == ["Ann", "Bob", "Bob", "Ann"]
    assert [action.owner for action in taken.minutes.actions] == ["Bob"]
