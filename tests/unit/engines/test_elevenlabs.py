# SPDX-License-Identifier: Apache-2.0
"""What is its own; what all engines in clouds do alike is in base/test_remote."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import pytest
from support.cloud_engines import hear, recogniser, synthesiser
from support.clouds import KEY, Cloud, cloud_server, until, utterance_of

from audio_connector.engines import EngineError, Recogniser, Synthesiser, elevenlabs
from audio_connector.engines.elevenlabs import ElevenLabsSynthesiser
from audio_connector.errors import UsageError

pytestmark = pytest.mark.programs  # with the vendors' real clients, which take seconds to be loaded

RATE_HZ = 16000


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


async def test_what_is_asked_for_by_who_speaks(cloud: Cloud) -> None:
    options = {"voice_settings": {"speed": 1.1}}
    engine = synthesiser("elevenlabs", cloud, voice="v1", model="m1", sample_rate=16000, options=options)
    assert isinstance(engine, Synthesiser)
    assert engine.sample_rate == 16000
    assert b"".join([piece async for piece in engine.say("Hola.", language="es")])
    asked = cloud.asked[-1]
    assert asked.path == "/v1/text-to-speech/v1/stream"
    assert asked.query == {"output_format": "pcm_16000"}
    assert asked.body == {"text": "Hola.", "model_id": "m1", "language_code": "es", **options}
    assert asked.headers["xi-api-key"] == KEY
    await engine.close()


async def test_the_first_piece_is_no_longer_than_what_is_looked_at_first(cloud: Cloud) -> None:
    engine = synthesiser("elevenlabs", cloud)
    pieces = [len(piece) async for piece in engine.say("Good morning, caller.")]
    assert pieces[0] == 1920
    assert set(pieces[1:-1]) == {960}
    await engine.close()


def test_a_rate_that_is_not_offered_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="got sample_rate=11025; expected one of 8000, 16000"):
        ElevenLabsSynthesiser(sample_rate=11025)


async def test_a_whole_utterance_is_one_request(cloud: Cloud) -> None:
    engine = recogniser("elevenlabs", cloud)
    assert isinstance(engine, Recogniser)
    got = await engine.transcribe(utterance_of(5, 6), sample_rate=RATE_HZ, language="en")
    assert (got.text, got.language, got.audio_s) == ("w5 w6", "en", 0.2)
    assert [(word.text, word.probability) for word in got.words] == [("w5", 1.0), ("w6", 1.0)]
    assert cloud.asked[-1].body["model_id"] == "scribe_v2"
    assert (await engine.transcribe(b"", sample_rate=RATE_HZ)).text == ""
    assert len(cloud.asked) == 1
    await engine.close()


async def test_an_utterance_comes_piece_by_piece_and_is_committed(cloud: Cloud) -> None:
    engine = recogniser("elevenlabs", cloud)
    async with engine.hear(sample_rate=RATE_HZ, language="en") as hearing:
        for word in range(1, 7):
            await hearing.write(utterance_of(word))
        final = await hearing.finish()
    assert (final.text, final.is_final, final.audio_s) == ("w1 w2 w3 w4 w5 w6", True, 0.6)
    assert cloud.asked[-1].query["language_code"] == "en"
    assert cloud.asked[-1].query["commit_strategy"] == "manual"
    assert [json.loads(message)["commit"] for message in cloud.messages] == [False] * 6 + [True]
    await engine.close()


async def test_a_short_word_is_filled_up_with_silence(cloud: Cloud) -> None:
    engine = recogniser("elevenlabs", cloud)
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await hearing.write(utterance_of(3))
        assert (await hearing.finish()).text == "w3"
    audio = b"".join(base64.b64decode(json.loads(message)["audio_base_64"]) for message in cloud.messages)
    assert audio == utterance_of(3, 0, 0, 0, 0)
    await engine.close()


async def test_silence_keeps_the_connection_alive(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elevenlabs, "KEEP_ALIVE_S", 0.01)
    engine = recogniser("elevenlabs", cloud)
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await until(lambda: len(cloud.messages) >= 2)
        assert json.loads(cloud.messages[0])["audio_base_64"]
        await hearing.write(utterance_of(7))
        assert (await hearing.finish()).text == "w7"
    await engine.close()


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("auth_error", "check ELEVENLABS_API_KEY or the argument api_key"),
        ("quota_exceeded", "look into the account"),
        ("rate_limited", "try again later, or raise the limits of the account"),
        ("transcriber_error", "try again"),
    ],
)
async def test_what_it_refuses_is_told_with_what_to_do(kind: str, remedy: str, cloud: Cloud) -> None:
    engine = recogniser("elevenlabs", cloud)
    cloud.body = {"message_type": kind, "error": "You cannot."}
    with pytest.raises(EngineError, match=f"failed: '{kind}: You cannot.'; {remedy}$"):
        await hear(engine)
    await engine.close()
