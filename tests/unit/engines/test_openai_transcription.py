# SPDX-License-Identifier: Apache-2.0
"""What is its own; what all engines in clouds do alike is in base/test_remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.cloud_engines import recogniser
from support.clouds import Cloud, cloud_server, heard_in, utterance_of

from audio_connector.engines import EngineError, Recogniser, Transcript, Word
from audio_connector.engines.openai_transcription import MAX_BYTES, OpenAIRecogniser
from audio_connector.errors import AudioDataError, AudioFormatError, UsageError
from audio_connector.testing import in_virtual_time

pytestmark = pytest.mark.programs  # with the vendors' real clients, which take seconds to be loaded

RATE_HZ = 16000


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        yield cloud


async def test_a_whole_utterance_is_sent_as_a_wav_file(cloud: Cloud) -> None:
    engine = recogniser("openai", cloud, options={"prompt": "Vonage"})
    assert isinstance(engine, Recogniser)
    got = await engine.transcribe(utterance_of(5, 6), sample_rate=RATE_HZ, language="en")
    assert got == Transcript("w5 w6", language="en", audio_s=0.2)
    asked = cloud.asked[-1].body
    assert asked.pop("pcm") == utterance_of(5, 6)
    assert asked == {
        "model": "gpt-transcribe",
        "language": "en",
        "response_format": "json",
        "prompt": "Vonage",
    }
    await engine.close()


async def test_the_times_of_words_are_given_where_they_are_asked_for(cloud: Cloud) -> None:
    engine = recogniser("openai", cloud, model="whisper-1", with_words=True)
    got = await engine.transcribe(utterance_of(5, 6), sample_rate=RATE_HZ)
    assert got.words == (Word("w5", 0.0, 0.1), Word("w6", 0.1, 0.2))
    assert got.details == {"language": "english", "duration": 1.0}
    assert cloud.asked[-1].body["timestamp_granularities[]"] == "word"
    await engine.close()


async def test_what_is_no_transcript_is_no_words(cloud: Cloud) -> None:
    engine = recogniser("openai", cloud)
    cloud.page = "<html>Welcome</html>"
    with pytest.raises(EngineError, match="gave '<html>Welcome</html>' and no transcript; check base_url"):
        await engine.transcribe(utterance_of(1), sample_rate=RATE_HZ)
    await engine.close()


async def test_wrong_audio_is_refused_without_a_request(cloud: Cloud) -> None:
    engine = recogniser("openai", cloud)
    with pytest.raises(AudioDataError, match="3 bytes"):
        await engine.transcribe(b"abc", sample_rate=RATE_HZ)
    with pytest.raises(AudioFormatError):
        engine.hear(sample_rate=1)
    with pytest.raises(UsageError, match="expected 25165824 at most"):
        await engine.transcribe(bytes(MAX_BYTES + 2), sample_rate=RATE_HZ)
    assert await engine.transcribe(b"", sample_rate=RATE_HZ) == Transcript("")
    with pytest.raises(UsageError, match="partial_every_s=0"):
        recogniser("openai", cloud, partial_every_s=0)
    assert cloud.asked == []


class Deaf(OpenAIRecogniser):
    """Transcribes by itself, and takes a while for it; the network is left out, so that time can be virtual."""

    def __init__(self, *, takes_s: float = 0.3) -> None:
        super().__init__(partial_every_s=1)
        self.takes_s = takes_s
        self.asked: list[tuple[float, int]] = []
        self.fails = False

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        loop = asyncio.get_running_loop()
        self.asked.append((round(loop.time() - self.began, 2), len(audio)))
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise EngineError("the service failed; try again")
        return Transcript(" ".join(heard_in(audio)), True, language, audio_s=len(audio) / 2 / sample_rate)

    began = 0.0


@in_virtual_time
async def test_what_was_said_so_far_is_sent_for_each_partial_and_all_of_it_for_the_final() -> None:
    engine = Deaf()
    engine.began = asyncio.get_running_loop().time()
    words = [utterance_of(number) for number in range(1, 5)]
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await hearing.write(words[0] + bytes(2 * RATE_HZ))
        partials = hearing.partials()
        first = await anext(partials)
        assert (first.text, first.is_final) == ("w1", False)
        await hearing.write(b"".join(words[1:]))
        final = await hearing.finish()
    assert (final.text, final.is_final) == ("w1 w2 w3 w4", True)
    assert len(engine.asked) == 2


@in_virtual_time
async def test_a_failed_partial_is_told_to_who_reads() -> None:
    engine = Deaf()
    engine.fails = True
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        await hearing.write(utterance_of(1) + bytes(2 * RATE_HZ))
        with pytest.raises(EngineError, match="the service failed"):
            await anext(hearing.partials())
        engine.fails = False
        assert (await hearing.finish()).text == "w1"
