# SPDX-License-Identifier: Apache-2.0
"""Captions with engines that do as they are told, in virtual time: no model, no network, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from audio_connector.engines import EngineError
from audio_connector.testing import Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, ScriptedHearing, ScriptedVoice
from captions.app import Captions, Wishes

SPEECH = "sample:he-was-not"
SAID = "He was not an ill-disposed young man."


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


class Dictionary:
    """A translator that knows what it was given."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words

    async def warm(self) -> None:
        """Nothing is needed."""

    async def close(self) -> None:
        """Nothing is held."""

    async def translate(self, text: str, **_: object) -> str:
        """Look it up."""
        return self._words[text]


class Deaf(ScriptedEars):
    """Fails in every utterance."""

    def hear(self, *, sample_rate: int, language: str | None = None) -> ScriptedHearing:
        """Fail."""
        raise EngineError("the service is down")


@asynccontextmanager
async def captioned(
    folder: Path,
    finals: ScriptedEars | Iterable[str],
    partials: Iterable[str] | None = None,
    **parts: Any,
) -> AsyncIterator[tuple[Captions, Server, Page]]:
    """The application, served."""
    page = Page()
    app = Captions(
        finals if isinstance(finals, ScriptedEars) else ScriptedEars(finals, takes_s=0.5),
        sessions=lambda: server.handle.sessions,
        output=folder,
        page=page,
        partials=None if partials is None else ScriptedEars(partials),
        **parts,
    )
    async with serve(app.on_connect) as server:
        yield app, server, page
    await app.close()


def files(app: Captions, name: str) -> list[str]:
    """What each session has in its file of that name."""
    return [(folder / name).read_text(encoding="utf-8") for folder in app.folders]


@in_virtual_time
async def test_partials_come_while_it_is_said_and_a_better_final_replaces_them(tmp_path: Path) -> None:
    async with (
        captioned(tmp_path, [SAID], ["he was not an old sposed man"]) as (app, server, page),
        server.call(headers={"name": "Ann"}) as call,
    ):
        await call.say(SPEECH)
    texts = [(each["text"], each["is_final"]) for each in page.all("caption")]
    assert texts[-1] == (SAID, True)
    partials = [text for text, is_final in texts if not is_final]
    assert len(partials) > 3
    assert all("he was not an old sposed man".startswith(text) for text in partials)
    assert {each["key"] for each in page.all("caption")} == {page.all("caption")[0]["key"]}
    (vtt,), (lines,) = files(app, "captions.vtt"), files(app, "captions.jsonl")
    header, cue, _ = vtt.split("\n\n")
    assert header == "WEBVTT"
    assert cue.endswith(f"<v Ann>{SAID}")
    assert json.loads(lines)["text"] == SAID
    assert [each["is_over"] for each in page.all("session")] == [False, True]


@in_virtual_time
async def test_a_translation_is_spoken_and_not_taken_for_speech_where_it_comes_back(tmp_path: Path) -> None:
    voice = ScriptedVoice()
    english = "I want to reserve a table"
    ears = ScriptedEars(["Quiero reservar una mesa", english.lower()])
    async with (
        captioned(
            tmp_path,
            ears,
            translator=Dictionary({"Quiero reservar una mesa": english}),
            voice=voice,
            wishes=Wishes(language=None, languages=["es"], translate_to="de"),
        ) as (app, server, page),
        server.call(headers={"name": "Luis", "language": "es"}) as call,
    ):
        await call.say(SPEECH)
        heard = await call.reply(within_s=3)
        assert heard.matches(voice.audio_of(english))
        await call.say(heard.at_rate(16000).pcm)  # the session sends it back
    assert [each.text for each in app.captions] == ["Quiero reservar una mesa"]
    assert voice.said == [english]
    assert english in files(app, "captions.de.vtt")[0]
    linked = page.all("session")[-1]["files"]
    assert sorted(linked) == sorted(path.name for path in app.folders[0].iterdir())
    assert page.all("caption")[-1]["text"] == ""


@in_virtual_time
async def test_speakers_of_a_session_are_told_apart_and_sessions_too(tmp_path: Path) -> None:
    async with captioned(tmp_path, ["one", "two", "three"]) as (app, server, page):
        async with (
            server.call(session_id="a", headers={"name": "Ann"}) as ann,
            server.call(session_id="a") as bob,
        ):
            await ann.say(SPEECH)
            await bob.say(SPEECH)
        async with server.call(session_id="b", headers={"name": "<b>Eve"}) as eve:
            await eve.say(SPEECH)
    assert [(each.speaker, each.text) for each in app.captions] == [
        ("Ann", "one"),
        ("speaker 2", "two"),
        ("bEve", "three"),
    ]
    assert [text.count("<v ") for text in files(app, "captions.vtt")] == [2, 1]
    assert len({each["key"] for each in page.all("caption")}) == 3


@in_virtual_time
async def test_sessions_of_an_account_have_names_of_their_own(tmp_path: Path) -> None:
    async with (
        captioned(tmp_path, []) as (_, server, page),
        server.call(session_id="2_MX40NTMyODc3Mn5-MTY2NzkwODc4NDQyMn5WVXo1S0hmZDBRdkN3c2FvVXF5-fg"),
        server.call(session_id="2_MX40NTMyODc3Mn5-MTY2NzkwODc4NzE0NH5kT2pZb0J1Q2RrSGxVZ2JhWmc2-fg"),
    ):
        await asyncio.sleep(1.0)
    assert {each["session"] for each in page.all("session")} == {"N3c2FvVXF5fg", "xVZ2JhWmc2fg"}


@in_virtual_time
async def test_what_is_said_as_the_call_ends_is_captioned(tmp_path: Path) -> None:
    async with captioned(tmp_path, ["He was not"]) as (app, server, _), server.call() as call:
        call.live.say(ScriptedVoice.audio_of("he was not an ill disposed young man"))
        await asyncio.sleep(1.5)  # and hangs up, two seconds too early
    await app.settle()
    assert [each.text for each in app.captions] == ["He was not"]


@in_virtual_time
async def test_a_recogniser_that_fails_is_told_of_and_the_call_goes_on(tmp_path: Path) -> None:
    async with captioned(tmp_path, Deaf([])) as (app, server, page), server.call() as call:
        await call.say(SPEECH)
        await call.expect_silence(2)
        await call.say(SPEECH)
    await app.settle()
    assert page.all("problem")[-1]["text"].endswith("the service is down")
    assert not app.captions


@in_virtual_time
async def test_a_call_that_is_in_no_session_is_captioned_too(tmp_path: Path) -> None:
    async with captioned(tmp_path, [SAID]) as (app, server, _), server.call(profile="voice") as call:
        await asyncio.sleep(1)
        await call.say(SPEECH)
    await app.settle()
    (caption,) = app.captions
    assert caption.text == SAID
    assert 1.0 < caption.start_s < 1.6


@in_virtual_time
async def test_a_language_that_nobody_named_is_not_asked_of_a_recogniser(tmp_path: Path) -> None:
    asked: list[str | None] = []

    class Polyglot(ScriptedEars):
        def hear(self, *, sample_rate: int, language: str | None = None) -> ScriptedHearing:
            asked.append(language)
            return super().hear(sample_rate=sample_rate, language=language)

    wishes = Wishes(language="en", languages=["en", "es"])
    async with captioned(tmp_path, Polyglot([SAID, SAID]), wishes=wishes) as (_, server, _):
        for language in ("es", "xx"):
            async with server.call(headers={"language": language}) as call:
                await call.say(SPEECH)
    assert asked == ["es", "en"]


@in_virtual_time
async def test_who_calls_again_has_their_name_and_place_and_two_at_once_are_told_apart(
    tmp_path: Path,
) -> None:
    async with (
        captioned(tmp_path, [SAID] * 4) as (app, server, page),
        server.call(session_id="a", headers={"name": "Ann"}) as ann,
    ):
        await ann.say(SPEECH)
        for _ in range(2):
            async with server.call(session_id="a", headers={"name": "Bob"}) as bob:
                await bob.say(SPEECH)
        async with server.call(session_id="a", headers={"name": "Ann"}) as other:
            await other.say(SPEECH)
    await app.settle()
    assert [each.speaker for each in app.captions] == ["Ann", "Bob", "Bob", "Ann 3"]
    assert {each["speaker"]: each["place"] for each in page.all("caption")} == {
        "Ann": 0,
        "Bob": 1,
        "Ann 3": 2,
    }
