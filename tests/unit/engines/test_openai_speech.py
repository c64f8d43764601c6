# SPDX-License-Identifier: Apache-2.0
"""What is its own; what all engines in clouds do alike is in base/test_remote."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.cloud_engines import say, synthesiser
from support.clouds import Cloud, cloud_server

from audio_connector.engines import Synthesiser
from audio_connector.engines.openai_speech import OpenAISynthesiser
from audio_connector.errors import AudioFormatError

pytestmark = pytest.mark.programs  # with the vendors' real clients, which take seconds to be loaded


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


async def test_what_is_asked_for(cloud: Cloud) -> None:
    engine = synthesiser("openai", cloud, model="a-model", voice="a-voice", options={"speed": 1.1})
    assert isinstance(engine, Synthesiser)
    assert engine.sample_rate == 24000
    await say(engine, "Hello.")
    assert cloud.asked[-1].path == "/v1/audio/speech"
    assert cloud.asked[-1].body == {
        "model": "a-model",
        "voice": "a-voice",
        "input": "Hello.",
        "response_format": "pcm",
        "speed": 1.1,
    }
    await engine.close()


def test_a_server_of_ones_own_may_have_another_rate() -> None:
    assert OpenAISynthesiser(sample_rate=16000).sample_rate == 16000
    with pytest.raises(AudioFormatError):
        OpenAISynthesiser(sample_rate=0)
