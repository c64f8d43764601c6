# SPDX-License-Identifier: Apache-2.0
"""The fixtures, in a run of pytest of its own that has the plugin; and what that costs all other runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inner_pytest import run_pytest, run_python

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[3]

TESTS = """
from audio_connector.testing import Audio, in_virtual_time

async def parrot(client):
    async for chunk in client.audio(chunk_ms=200):
        await client.send_audio_buffer(chunk)

@in_virtual_time
async def test_it_answers(audio_connector_server, audio_connector_speech):
    async with audio_connector_server(parrot) as server, server.call() as call:
        await call.say(audio_connector_speech)
        reply = await call.reply()
        assert reply.matches(audio_connector_speech)

@in_virtual_time
async def test_a_router_can_be_had(audio_connector_server, audio_connector_router):
    from audio_connector.simulator import RouterCall
    async with audio_connector_server(parrot) as server, audio_connector_router() as router:
        report = await router.run(RouterCall(url=server.url, speech="sample:he-was-not"))
        assert report.is_clean

@in_virtual_time
async def test_that_fails(audio_connector_server, audio_connector_speech):
    async with audio_connector_server(parrot) as server, server.call() as call:
        await call.say(audio_connector_speech.between(0, 1.5))
        reply = await call.reply()
        assert reply.matches(audio_connector_speech)
"""


def test_the_fixtures_are_found_and_a_failure_says_what_was_heard(tmp_path: Path) -> None:
    (tmp_path / "test_bot.py").write_text(TESTS)
    output = run_pytest("test_bot.py", folder=tmp_path)
    assert "1 failed, 2 passed" in output, output
    assert "assert <heard 1.5" in output
    assert "alike up to 1500 ms, then silence instead of sound;" in output
    assert "(likeness" in output, "pytest has cut the text"


def test_the_plugin_alone_imports_nothing_of_the_library(tmp_path: Path) -> None:
    heavy = {"audio_connector", "numpy", "picows", "asyncio"}
    program = (
        "import sys, pytest; had = set(sys.modules); import pytest_audio_connector; "
        f"print(sorted({heavy} & (set(sys.modules) - had)))"
    )
    result = run_python("-c", program, folder=tmp_path)
    assert result.stdout.strip() == "[]", result.stderr


def test_it_is_an_entry_point_named_as_its_module() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.entry-points.pytest11]\n")[2].partition("\n[")[0]
    assert 'pytest_audio_connector = "pytest_audio_connector"' in section
