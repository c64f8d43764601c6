# SPDX-License-Identifier: Apache-2.0
"""The scenarios in examples/ hold their own conditions with the parrot; in virtual time, so it takes seconds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from audio_connector import AudioConnectorConnection
from audio_connector.playground.parrot import parrot
from audio_connector.simulator import CallReport, Scenario, failures, load_scenario, run_calls
from audio_connector.testing import in_virtual_time, run_in_virtual_time, serve
from audio_connector.testing.network import dial

pytestmark = pytest.mark.programs

SCENARIOS = sorted((Path(__file__).parents[2] / "examples" / "scenarios").glob("*.yaml"))


def example(name: str) -> Path:
    return next(path for path in SCENARIOS if path.stem == name)


async def run(scenario: Scenario, url: str) -> list[CallReport]:
    return await run_calls(scenario.calls(url), dial=dial, clock=asyncio.get_running_loop().time)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
@in_virtual_time
async def test_the_parrot_holds_the_conditions_of_an_example(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.conditions
    async with serve(parrot) as server:
        reports = await run(scenario, server.url)
    assert failures(scenario.conditions, reports) == []
    assert [report.problems for report in reports] == [()] * len(reports)


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
