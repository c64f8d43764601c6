# SPDX-License-Identifier: Apache-2.0
"""Calls that are moderated and end in the middle of something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from moderation.app import Announcement, Moderation, OnFlag, Settings
from moderation.audit import AuditLog
from moderation.call import KEEP_S, MAX_AT_WORK, Flag
from moderation.policy import Category, Policy

from audio_connector.engines import EngineError
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, ScriptedVoice

SPEECH = "sample:unless-to-be"
POLICY = Policy([Category("threat", 3, "mute", "partial", ["hurt you"])])


class Bench:
    def __init__(self, app: Moderation, server: Server, shown: list[tuple[str, dict[str, Any]]]) -> None:
        self.app, self.server, self.shown = app, server, shown

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.shown if each == kind]

    def noted(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.app.audit.path.read_text().splitlines()]


@asynccontextmanager
async def bench(folder: Path, ears: ScriptedEars, *, on_flag: OnFlag | None = None) -> AsyncIterator[Bench]:
    shown: list[tuple[str, dict[str, Any]]] = []
    server: Server
    app = Moderation(
        ears, POLICY, voice=ScriptedVoice(), settings=Settings.from_values({"server": {}}),
        audit=AuditLog(folder / "audit.jsonl"), folder=folder, sessions=lambda: server.handle.sessions,
        show=lambda kind, *, key=None, **data: shown.append((kind, data)), on_flag=on_flag,
    )  # fmt: skip
    async with serve(app.on_connect) as server:
        yield Bench(app, server, shown)
    await app.close()


@in_virtual_time
async def test_who_was_muted_and_comes_back_while_the_last_words_are_understood(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedEars(["I will hurt you"], takes_s=3)) as on:
        async with on.server.call(session_id="a") as call:
            await call.say(SPEECH)
            await asyncio.sleep(0.6)
        async with on.server.call(session_id="a"):
            await asyncio.sleep(6)
    assert on.noted() == ["suspected", "muted", "clip", "certain", "unmuted"]


@in_virtual_time
async def test_evidence_that_is_there_no_longer_is_said_to_be(tmp_path: Path) -> None:
    late = ScriptedEars(lambda *_: "I will hurt you", takes_s=KEEP_S + 10)
    async with bench(tmp_path, late) as on, on.server.call(session_id="a") as call:
        await call.say(Audio.of(SPEECH))
        await asyncio.sleep(KEEP_S + 15)
    assert on.noted()[0] == "certain"
    assert "clip" not in on.noted()
    (problem,) = on.of("problem")
    assert "flagged too late" in problem["text"]


@in_virtual_time
async def test_what_was_said_last_is_moderated_however_long_it_takes_to_be_understood(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedEars(lambda *_: "I will hurt you", takes_s=20)) as on:
        async with on.server.call(session_id="a") as call:
            call.live.say(Audio.of(SPEECH).pcm)
            await asyncio.sleep(3)  # and hangs up in the middle of a word
        await asyncio.sleep(25)
    assert on.noted() == ["certain", "clip"]
    assert on.of("problem") == []


@in_virtual_time
async def test_what_is_never_understood_is_said_not_to_be_moderated(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedEars(lambda *_: "I will hurt you", takes_s=1e6)) as on:
        async with on.server.call(session_id="a") as call:
            await call.say(SPEECH)
        await asyncio.sleep(60)
        assert "the last words are not moderated" in on.of("problem")[0]["text"]
    assert on.noted() == ["not moderated"]


@in_virtual_time
async def test_a_hook_that_never_returns_is_ended_with_the_call(tmp_path: Path) -> None:
    before = asyncio.all_tasks()

    async def never(flag: Flag) -> None:
        await asyncio.sleep(1e6)

    async with bench(tmp_path, ScriptedEars(["I will hurt you"]), on_flag=never) as on:
        async with on.server.call(session_id="a") as call:
            await call.say(SPEECH)
        await asyncio.sleep(15)
        assert not on.server.connections
    assert asyncio.all_tasks() == before


class Hanging(ScriptedEars):
    """Never understands the first so many utterances: what it never returns from is one of their methods."""

    def __init__(self, hanging: int, sentences: list[str], *, at: str = "finish") -> None:
        super().__init__(sentences)
        self.hanging, self.at = hanging, at

    def hear(self, *, sample_rate: int, language: str | None = None) -> Any:
        hearing = super().hear(sample_rate=sample_rate, language=language)
        self.hanging -= 1
        if self.hanging < 0:
            return hearing
        if self.at == "begin":
            return never()
        setattr(hearing, self.at, endless if self.at == "partials" else asyncio.Event().wait)
        return hearing


@asynccontextmanager
async def never() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


async def endless() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


@in_virtual_time
@pytest.mark.parametrize("at", ["begin", "partials", "finish"])
async def test_a_recogniser_that_never_answers_does_not_end_the_moderation(at: str, tmp_path: Path) -> None:
    ears = Hanging(MAX_AT_WORK, [*["so what"] * MAX_AT_WORK, *["I will hurt you"] * 30], at=at)
    async with bench(tmp_path, ears) as on, on.server.call(session_id="a") as call:
        for _ in range(30):
            await call.say(SPEECH)
        assert "certain" in on.noted()
        is_told = any("no answer within " in each["text"] for each in on.of("problem"))
        assert is_told == (at != "partials")  # without which the final is judged, and nothing is missing


class Silent(ScriptedVoice):
    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        async for _ in super().say(text, language=language):
            yield b""


@in_virtual_time
async def test_a_warning_that_nobody_would_hear_is_refused_before_it_is_given() -> None:
    with pytest.raises(EngineError, match="made nothing of the warning 'be polite'"):
        await Announcement(Silent(), "be polite").warm()


@in_virtual_time
async def test_a_log_that_is_removed_during_a_call_is_missed(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedEars(["I will hurt you"])) as on, on.server.call() as call:
        on.app.audit.path.unlink()
        await call.say(SPEECH)
        await asyncio.sleep(1)
        assert any("it was removed" in each["text"] for each in on.of("problem"))
