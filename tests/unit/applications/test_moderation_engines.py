# SPDX-License-Identifier: Apache-2.0
"""Recognisers and judges of one's own that fail, at each of their methods: what is known is judged all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from moderation.app import Moderation, Settings
from moderation.audit import AuditLog
from moderation.policy import Category, Finding, Policy
from support.failing import Failing, Page

from audio_connector.live import LivePage
from audio_connector.testing import in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedVoice

POLICY = Policy([Category("place", words=["shop"])])


class Judge:
    """Knows nothing, and says so by an error of its own."""

    async def warm(self) -> None: ...

    async def close(self) -> None: ...

    async def judge(self, text: str) -> list[Finding]:
        raise LookupError("no judgement")


def moderation_of(folder: Path, page: Page | LivePage, failing: str, *judges: Judge) -> Moderation:
    return Moderation(
        Failing(failing), POLICY, voice=ScriptedVoice(), judges=judges,
        settings=Settings.from_values({"server": {}}), audit=AuditLog(folder / "audit.jsonl"), folder=folder,
        sessions=dict, show=page.show,
    )  # fmt: skip


async def moderated(folder: Path, failing: str, *judges: Judge) -> tuple[list[dict[str, str]], list[str]]:
    """What the audit log has of an utterance, and what is said to be wrong."""
    page = Page()
    app = moderation_of(folder, page, failing, *judges)
    async with serve(app.on_connect) as server, server.call() as call:
        await call.say("sample:he-was-not")
    await app.close()
    return [json.loads(line) for line in app.audit.path.read_text().splitlines()], page.texts


@in_virtual_time
@pytest.mark.parametrize("failing", ["hear", "enter", "write", "partials", "exit"])
async def test_what_was_said_is_judged_though_the_recogniser_fails_while_it_is_said(
    failing: str, tmp_path: Path
) -> None:
    noted, problems = await moderated(tmp_path, failing)
    assert [each["event"] for each in noted] == ["certain", "clip"]
    (problem,) = problems
    assert f"LookupError: no {failing}" in problem


@in_virtual_time
async def test_what_was_not_understood_is_in_the_audit_log(tmp_path: Path) -> None:
    (noted,), (problem,) = await moderated(tmp_path, "finish")
    assert (noted["event"], noted["why"]) == ("not moderated", "LookupError: no finish")
    assert "not moderated: LookupError: no finish" in problem


@in_virtual_time
async def test_a_judge_that_fails_takes_nothing_from_what_the_words_have_found(tmp_path: Path) -> None:
    noted, problems = await moderated(tmp_path, "", Judge(), Judge())
    assert [each["event"] for each in noted] == ["certain", "clip"]
    assert all("judged by words alone: LookupError: no judgement" in each for each in problems)
    assert len(problems) == 2


@in_virtual_time
async def test_an_engine_that_is_down_all_day_leaves_the_flags_on_the_page(tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    html.write_text("")
    page = LivePage(html, max_events=10)
    app = moderation_of(tmp_path, page, "")
    async with serve(app.on_connect) as server, server.call() as call:
        await call.say("sample:he-was-not")
    for _ in range(100):
        app.complain("Ann: not moderated: the recogniser is down")
    await app.close()
    assert any('"kind": "flag"' in each.text for each in page._history.since(0))
