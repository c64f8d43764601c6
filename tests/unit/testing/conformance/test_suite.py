# SPDX-License-Identifier: Apache-2.0
"""Which checks there are, how they are chosen, and how they are run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from audio_connector.errors import DialError, UsageError
from audio_connector.testing.conformance import CHECKS, Check, Result, Timing, select
from audio_connector.testing.conformance.check import check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.session import Session
from audio_connector.testing.conformance.suite import Runner

DOCS = Path(__file__).parents[4] / "docs"


def test_names_are_unique_and_groups_are_together() -> None:
    names = [each.full_name for each in CHECKS]
    assert len(set(names)) == len(names)
    groups = list(dict.fromkeys(each.group for each in CHECKS))
    assert groups == ["upgrade", "framing", "pacing", "clear", "events", "odd-inputs", "closing", "gate"]
    assert [each.group for each in CHECKS] == sorted((each.group for each in CHECKS), key=groups.index)


@pytest.mark.parametrize("each", CHECKS, ids=lambda each: each.full_name)
def test_each_says_what_it_does_and_why_by_rows_that_exist(each: Check) -> None:
    text = (DOCS / "protocol.md").read_text(encoding="utf-8")
    for sentence in (each.does, each.why):
        assert sentence.endswith(".")
        assert not sentence[0].islower()
    for row in each.rows:
        section, _, event = row.partition(" ")
        pattern = rf"^\| .*{re.escape(event)}" if event else rf"^\| {re.escape(section)} \|"
        assert re.search(pattern, text, flags=re.MULTILINE), row


def test_the_page_has_every_check_as_it_is() -> None:
    page = (DOCS / "testing" / "check.md").read_text(encoding="utf-8")
    rows = [f"| `{each.full_name}` | {each.does} | {', '.join(each.rows)} |" for each in CHECKS]
    assert [row for row in rows if row not in page] == []
    assert page.count("\n| `") - page.count("\n| `--") == len(CHECKS)


def test_checks_are_chosen_by_name_or_group() -> None:
    assert [each.full_name for each in select(["clear/stale", "framing/tail"])] == [
        "framing/tail",
        "clear/stale",
    ]
    assert {each.group for each in select(["pacing"])} == {"pacing"}
    assert select([]) == ()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("barge-in", "did you mean 'clear/barge-in'"),
        ("framing/tial", "did you mean 'framing/tail'"),
        ("evnets", "did you mean 'events'"),
        ("dtfm", "did you mean 'events/dtmf'"),
        ("quite another thing", "--list shows them all"),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)):
        select([name])


class NoCalls:
    """A session whose server may be gone."""

    timing = Timing(check_s=0.05)

    def __init__(self, is_gone: bool = False) -> None:
        self.is_gone = is_gone

    def line(self) -> NoCalls:
        return self

    async def __aenter__(self) -> None:
        if self.is_gone:
            raise DialError("refused")

    async def __aexit__(self, *error: object) -> None:
        pass


def make(name: str, *outcomes: Callable[[], str]) -> Check:
    """A check that does one thing the first time, and the next the second time."""
    left = list(outcomes)

    @check(f"a/{name}", does="Does it.", why="It matters.", rows=())
    async def run(session: Session) -> str:
        return left.pop(0)()

    return run


def passes() -> str:
    return "seen"


def fails() -> str:
    raise Failed("got nothing")


def skips() -> str:
    raise Skipped("nothing to see")


def cannot_dial() -> str:
    raise DialError("ws://x cannot be reached")


async def run(*checks: Check, at_once: int = 2, is_gone: bool = False) -> dict[str, tuple[str, str]]:
    told: list[Result] = []
    session = cast("Session", NoCalls(is_gone))
    results = await Runner(session, lambda check: None, told.append).run_all(checks, at_once)
    assert sorted(result.check.full_name for result in told) == sorted(results)
    return {name.partition("/")[2]: (result.status, result.reason) for name, result in results.items()}


async def test_what_comes_of_a_check_is_a_result() -> None:
    checks = make("passes", passes), make("fails", fails, fails), make("skips", skips)
    assert await run(*checks) == {
        "passes": ("pass", "seen"),
        "fails": ("fail", "got nothing"),
        "skips": ("skip", "nothing to see"),
    }


async def test_what_a_server_said_cannot_act_on_a_terminal() -> None:
    def quotes() -> str:
        raise Failed("it sent \x1b[2J\u202e\x9b" + "x" * 10_000)

    status, reason = (await run(make("quotes", quotes)))["quotes"]
    assert status == "fail"
    assert reason.startswith("it sent \\x1b[2J\\u202e\\x9bxxx")
    assert len(reason) < 2100


async def test_what_fails_beside_others_is_tried_again_alone() -> None:
    found = await run(make("flaky", fails, passes), make("other", passes))
    assert found["flaky"] == ("pass", "seen (but beside other calls it failed: got nothing)")


async def test_what_fails_alone_has_failed() -> None:
    assert await run(make("one", fails)) == {"one": ("fail", "got nothing")}
    assert (await run(make("one", fails), make("other", passes), at_once=1))["one"] == ("fail", "got nothing")


async def test_nothing_is_tried_on_a_server_that_is_gone() -> None:
    checks = make("first", cannot_dial), make("second", passes)
    found = await run(*checks, at_once=1, is_gone=True)
    assert found["first"][0] == "fail"
    assert found["first"][1].startswith("ws://x cannot be reached; expected")
    assert found["second"] == ("skip", "not tried: the server cannot be reached any more")


async def test_a_server_that_refuses_one_call_is_not_gone() -> None:
    checks = make("first", cannot_dial), make("second", passes)
    found = await run(*checks, at_once=1)
    assert [status for status, _ in found.values()] == ["fail", "pass"]


async def test_a_check_has_a_deadline() -> None:
    @check("a/slow", does="Does it.", why="It matters.", rows=())
    async def slow(session: Session) -> str:
        raise TimeoutError

    status, reason = (await run(slow))["slow"]
    assert (status, reason.startswith("not done after 0.05 s")) == ("fail", True)
