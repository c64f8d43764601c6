# SPDX-License-Identifier: Apache-2.0
"""The scenarios in examples/ hold their own conditions with the parrot; in virtual time, so it takes seconds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from support.talking import called, talk, talking_bot

from audio_connector import AudioConnectorConnection
from audio_connector.playground.parrot import parrot
from audio_connector.simulator import (
    CallReport,
    Impairments,
    Scenario,
    failures,
    load_persona,
    load_scenario,
    run_calls,
)
from audio_connector.testing import in_virtual_time, router, run_in_virtual_time, serve
from audio_connector.testing.network import dial

pytestmark = pytest.mark.programs

SCENARIOS = sorted((Path(__file__).parents[2] / "examples" / "scenarios").glob("*.yaml"))


def example(name: str) -> Path:
    return next(path for path in SCENARIOS if path.stem == name)


async def run(scenario: Scenario, url: str) -> list[CallReport]:
    return await run_calls(scenario.calls(url), dial=dial, clock=asyncio.get_running_loop().time)


@pytest.mark.parametrize(
    "path", [path for path in SCENARIOS if path.stem != "booking"], ids=lambda path: path.stem
)
@in_virtual_time
async def test_the_parrot_holds_the_conditions_of_an_example(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.conditions
    async with serve(parrot) as server:
        reports = await run(scenario, server.url)
    assert failures(scenario.conditions, reports) == []
    assert [report.problems for report in reports] == [()] * len(reports)


def waiter(text: str) -> str:
    """A bot that takes bookings."""
    for word, answer in WAITER.items():
        if word in text:
            return answer
    return "Pardon?"


WAITER = {
    "table": "For how many people?",
    "four": "For when?",
    "Friday": "It is booked for Friday. Anything else?",
    "No": "Goodbye.",
    "Bye": "Bye.",
}
BOOKING = talking_bot(waiter, greeting="How can I help you?", thinks_s=0.6)


@in_virtual_time
async def test_the_caller_of_an_example_books_a_table() -> None:
    scenario = load_scenario(example("booking"))
    async with serve(BOOKING) as server, router(talk=talk()) as phone:
        [call] = scenario.calls(server.url)
        report = await phone.run(call)
    assert failures(scenario.conditions, [report]) == []
    assert len(report.transcript) == 9
    assert report.problems == ()


@pytest.mark.parametrize("seed", range(4))
@in_virtual_time
async def test_the_guest_of_an_example_reaches_her_goal(seed: int) -> None:
    guest = load_persona(SCENARIOS[0].parents[1] / "personas" / "guest.yaml")
    report = await called(BOOKING, persona=guest, tail_s=None, impairments=Impairments(seed=seed))
    assert report.outcome is not None
    assert report.outcome.reached, report.transcript
    assert report.problems == ()


@pytest.mark.parametrize("name", ["barge-in", "bad-network", "two-speakers"])
@in_virtual_time
async def test_a_bot_that_only_listens_fails_an_example_that_wants_answers(name: str) -> None:
    scenario = load_scenario(example(name))

    async def listen(client: AudioConnectorConnection) -> None:
        async for _ in client.audio():
            pass

    async with serve(listen) as server:
        reports = await run(scenario, server.url)
    assert any(line.startswith("turns<") for line in failures(scenario.conditions, reports))


def test_one_seed_is_one_call() -> None:
    async def once() -> CallReport:
        async with serve(parrot) as server:
            [report] = await run(load_scenario(example("bad-network")), server.url)
        return report

    first, second = run_in_virtual_time(once()), run_in_virtual_time(once())
    assert first.trace == second.trace
    assert replace(first, session_id=second.session_id, connection_id=second.connection_id) == second
    assert first.jitter_peak_ms > 5


def test_there_are_examples() -> None:
    assert {path.stem for path in SCENARIOS} >= {"barge-in", "bad-network", "two-speakers", "many-calls"}
