# SPDX-License-Identifier: Apache-2.0
"""What is its own; what all engines in clouds do alike is in base/test_remote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
from support.cloud_engines import OLD_WEBSOCKETS, recogniser, say, synthesiser
from support.clouds import KEY, Cloud, cloud_server, until, utterance_of

from audio_connector.engines import EngineError, Recogniser, Synthesiser, Transcript, Word, deepgram
from audio_connector.errors import AudioDataError

pytestmark = [OLD_WEBSOCKETS, pytest.mark.programs]  # the real clients take seconds to be loaded

RATE_HZ = 16000


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


async def test_what_is_asked_for_by_who_speaks(cloud: Cloud) -> None:
    engine = synthesiser("deepgram", cloud, voice="a-voice", sample_rate=16000, options={"speed": 1.1})
    assert isinstance(engine, Synthesiser)
    assert engine.sample_rate == 16000
    await say(engine, "Hello.")
    asked = cloud.asked[-1]
    assert (asked.path, asked.body) == ("/v1/speak", {"text": "Hello."})
    assert asked.query == {
        "model": "a-voice",
        "encoding": "linear16",
        "container": "none",
        "sample_rate": "16000",
        "speed": "1.1",
    }
    assert asked.headers["Authorization"] == f"Token {KEY}"
    await engine.close()


async def test_a_whole_utterance_is_one_request(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud, options={"keyterm": "Vonage"})
    assert isinstance(engine, Recogniser)
    got = await engine.transcribe(utterance_of(5, 6), sample_rate=RATE_HZ, language="en")
    assert got == Transcript("w5 w6", True, "en", (Word("w5", 0.0, 0.1, 0.9), Word("w6", 0.1, 0.2, 0.9)), 0.2)
    assert cloud.asked[-1].query == {
        "model": "nova-3",
        "language": "en",
        "smart_format": "true",
        "keyterm": "Vonage",
    }
    assert await engine.transcribe(b"", sample_rate=RATE_HZ) == Transcript("")
    with pytest.raises(AudioDataError):
        await engine.transcribe(b"a", sample_rate=RATE_HZ)
    assert len(cloud.asked) == 1
    await engine.close()


async def test_an_utterance_of_several_finals_is_one_transcript(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud, options={"keyterm": "Vonage"})
    async with engine.hear(sample_rate=RATE_HZ, language="en") as hearing:
        partials: list[Transcript] = []

        async def read() -> None:
            async for each in hearing.partials():
                partials.append(each)  # noqa: PERF401 - looked at meanwhile

        reader = asyncio.ensure_future(read())
        for word in range(1, 6):
            await hearing.write(utterance_of(word))
            await until(partial(has, partials, word))
        final = await hearing.finish()
        await reader
    assert [each.text for each in partials] == [
        "w1",
        "w1 w2",
        "w1 w2 w3",
        "w1 w2 w3 w4",
        "w1 w2 w3 w4 w5",
    ]
    assert not any(each.is_final for each in partials)
    assert (final.text, final.is_final, final.audio_s) == ("w1 w2 w3 w4 w5", True, 0.5)
    assert [round(word.start_s, 1) for word in final.words] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert cloud.asked[-1].query == {
        "model": "nova-3", "language": "en", "encoding": "linear16", "sample_rate": "16000",
        "interim_results": "true", "smart_format": "true", "keyterm": "Vonage",
    }  # fmt: skip
    await engine.close()


def has(partials: list[Transcript], count: int) -> bool:
    return len(partials) == count


async def test_an_utterance_ends_with_the_word_that_makes_it_answer(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud)
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        assert (await hearing.finish()).text == ""
    assert [json.loads(message) for message in cloud.messages] == [{"type": "CloseStream"}]
    await engine.close()


async def test_silence_keeps_the_connection_alive(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram, "KEEP_ALIVE_S", 0.01)
    engine = recogniser("deepgram", cloud)
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await until(lambda: len(cloud.messages) >= 3)
        assert set(cloud.messages) == {'{"type": "KeepAlive"}'}
        await hearing.write(utterance_of(7))
        assert (await hearing.finish()).text == "w7"
    await engine.close()


async def test_its_own_words_of_an_error_are_quoted(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud)
    cloud.body = {"type": "Error", "variant": "SchemaError", "description": "cannot be parsed"}
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        with pytest.raises(
            EngineError, match=r"Deepgram \(nova-3 at .*\) failed: 'cannot be parsed'; try again"
        ):
            await hearing.finish()
    await engine.close()


async def test_an_end_without_its_last_message_is_no_transcript(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud)
    cloud.cut_after, cloud.close_code = 1, 1000  # at the end of the utterance, politely
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await hearing.write(utterance_of(1))
        with pytest.raises(EngineError, match="closed the connection before all was understood"):
            await hearing.finish()
    await engine.close()


async def test_an_abandoned_utterance_is_cut_and_waits_for_no_handshake(cloud: Cloud) -> None:
    engine = recogniser("deepgram", cloud)
    cloud.stall_after = 1  # the server reads nothing any more, nor a close frame
    loop = asyncio.get_running_loop()
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await hearing.write(utterance_of(1, 2, 3))
        await cloud.until_open()
        await until(lambda: cloud.messages)
        began = loop.time()
    assert loop.time() - began < 1
    await cloud.until_free()
    await engine.close()
