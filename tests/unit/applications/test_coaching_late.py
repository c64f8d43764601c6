# SPDX-License-Identifier: Apache-2.0
"""Whoever opens the agent's page late sees what is still to be said, however much was shown since the call began."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import coaching
from coaching.app import Coach
from coaching.settings import Settings

from audio_connector.live import LivePage
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, WordEmbedder

SETTINGS = {
    "recogniser": {},
    "embedder": {},
    "checklist": [
        {"name": "order number", "phrases": ["Could you tell me the number of your order?"]},
        {"name": "apology", "phrases": ["I am sorry about that."]},
    ],
}


@in_virtual_time
async def test_the_checklist_stays_on_the_page_in_a_long_call(tmp_path: Path) -> None:
    page = LivePage(Path(coaching.__file__ or "").with_name("page.html"), max_events=20)
    server: Server
    coach = Coach(
        Settings.from_values(SETTINGS), recogniser=ScriptedEars(lambda *_: "Well, you know."),
        embedder=WordEmbedder(), output=tmp_path, sessions=lambda: server.handle.sessions, show=page.show,
    )  # fmt: skip
    speech = Audio.of("sample:unless-to-be").between(0.4, 1.8)
    async with serve(coach.on_connect) as server:
        async with server.call("/agent", session_id="a") as agent:
            for _ in range(18):
                await agent.say(speech)
                await asyncio.sleep(1)
            assert page._history.dropped > 10
            kept = [json.loads(shown.text) for shown in page._history.since(0)]
        await coach.settle()
    await coach.close()
    assert [each["data"]["name"] for each in kept if each["kind"] == "item"] == ["order number", "apology"]
    assert [each["data"]["is_over"] for each in kept if each["kind"] == "call"] == [False]
