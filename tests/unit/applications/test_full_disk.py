# SPDX-License-Identifier: Apache-2.0
"""Applications that write files, where the disk is full or the folder cannot be made: what they show goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from captions.app import Captions
from captions.session import _append
from coaching.app import Coach
from coaching.settings import Settings as CoachSettings
from notes.app import Notes
from notes.rules import Rules
from sentiment.app import Sentiment
from sentiment.app import Settings as SentimentSettings
from support.disk import full_disk

from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, WordEmbedder

SPEECH = "sample:he-was-not"
ENGINES: dict[str, Any] = {"recogniser": {}, "embedder": {}}


class Page:
    """What was shown, in order."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        self.shown.append((kind, json.loads(json.dumps({"key": key, **data}))))

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.shown if each == kind]


def test_half_a_cue_is_taken_back_so_that_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    _append(path, '{"number": 1}\n')
    with full_disk(left_bytes=20), pytest.raises(OSError, match="No space left"):
        _append(path, '{"number": 2}\n')
    _append(path, '{"number": 3}\n')
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [1, 3]


@pytest.mark.parametrize("disk", ["full", "no folder"])
@in_virtual_time
async def test_captions_stand_on_the_page_although_they_are_not_kept(tmp_path: Path, disk: str) -> None:
    page = Page()
    (tmp_path / "file").touch()
    server: Server
    app = Captions(
        ScriptedEars(["one", "two"]), sessions=lambda: server.handle.sessions, page=page,
        output=tmp_path / "file" if disk == "no folder" else tmp_path,
    )  # fmt: skip
    with full_disk(0):
        async with serve(app.on_connect) as server:
            async with server.call(session_id="a") as ann:
                await ann.say(SPEECH)
                async with server.call(session_id="a") as bob:
                    await bob.say(SPEECH)
            await app.settle()
        await app.close()
    assert [each["text"] for each in page.all("caption") if each["is_final"]] == ["one", "two"]
    assert [each["is_over"] for each in page.all("session")] == [False, True]
    assert "cannot be written: " in page.all("problem")[0]["text"]


@pytest.mark.parametrize("session_id", ["a", None])
@pytest.mark.parametrize("disk", ["full", "no folder"])
@in_virtual_time
async def test_notes_stand_on_the_page_and_a_recording_that_failed_is_told_while_the_meeting_lasts(
    tmp_path: Path, disk: str, session_id: str | None
) -> None:
    page = Page()
    (tmp_path / "file").touch()
    server: Server
    app = Notes(
        ScriptedEars(["We have decided to use the blue design."]), Rules(WordEmbedder()), page=page,
        sessions=lambda: server.handle.sessions, output=tmp_path / "file" if disk == "no folder" else tmp_path,
    )  # fmt: skip
    told: dict[str, Any] = {"profile": "voice"} if session_id is None else {"session_id": session_id}
    with full_disk(0):
        async with serve(app.on_connect, allow_errors=True) as server:
            async with server.call(**told) as call:
                await call.say(SPEECH)
                await asyncio.sleep(3)
                problems = [each["text"] for each in page.all("problem")]
            await app.settle()
        await app.close()
    if session_id is not None:
        assert any("the recording is not complete: " in each for each in problems), problems
    assert any("notes.md cannot be written: " in each for each in problems), problems
    assert any("the recording is not complete: " in each["text"] for each in page.all("problem"))
    assert page.all("minutes")[-1]["decisions"]
    assert page.all("session")[-1]["is_over"]


def written(folder: Path, name: str) -> str:
    (path,) = folder.rglob(name)
    return path.read_text(encoding="utf-8")


@in_virtual_time
async def test_what_a_recogniser_makes_of_nothing_is_written_all_the_same(tmp_path: Path) -> None:
    page = Page()
    server: Server
    odd = ScriptedEars(["half \ud83d", "half \ud83d"])
    captions = Captions(odd, sessions=lambda: server.handle.sessions, page=page, output=tmp_path / "captions")
    notes = Notes(
        ScriptedEars(["half \ud83d"]), Rules(WordEmbedder()), page=page, sessions=lambda: server.handle.sessions,
        output=tmp_path / "notes",
    )  # fmt: skip
    for app in (captions, notes):
        async with serve(app.on_connect) as server:
            async with server.call(session_id="s\u00e9ance") as call:
                await call.say(SPEECH)
            await app.settle()
        await app.close()
    assert page.all("problem") == []
    assert {each["session"] for each in page.all("session")} == {"sance"}  # a folder in any locale
    for name in ("captions.vtt", "captions.jsonl", "notes.md"):
        assert "half ?" in written(tmp_path, name)


@in_virtual_time
async def test_no_page_has_a_link_to_a_summary_that_was_not_written(tmp_path: Path) -> None:
    server: Server
    page = Page()
    voice = Audio.of(SPEECH)
    sentiment = Sentiment(
        SentimentSettings.from_values(ENGINES), recogniser=ScriptedEars(["words"]), embedder=WordEmbedder(),
        words=type("NoWords", (), {"score": lambda *_: 0.0})(), output=tmp_path, show=page.show,
    )  # fmt: skip
    coach = Coach(
        CoachSettings.from_values(ENGINES), recogniser=ScriptedEars(["words"]), embedder=WordEmbedder(),
        output=tmp_path, sessions=lambda: server.handle.sessions, show=page.show,
    )  # fmt: skip
    for app in (sentiment, coach):
        with full_disk():
            async with serve(app.on_connect) as server:
                async with server.call("/agent", session_id="a") as call:
                    await call.say(voice)
                await app.settle()
            await app.close()
        assert "cannot be written" in page.all("trouble")[-1]["text"]
    ends = [each for each in page.all("call") if each["is_over"]]
    assert (ends[0]["files"], ends[1]["file"]) == ([], None)
