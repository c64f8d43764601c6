# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from audio_connector import AudioConnectorConnection, PlaybackState
from audio_connector.audio.format import AudioFormat
from audio_connector.playground.parrot import BARGE_IN_MS, HANGOVER_MS, EndOfSpeech, parrot, with_gaps
from audio_connector.simulator import sample_speech
from audio_connector.simulator.speech import cut_to_frames

SILENCE = bytes(640)


def tone(level: float, frames: int, seed: int = 1) -> list[bytes]:
    noise = np.random.default_rng(seed).normal(0, level, (frames, 320)).clip(-32768, 32767)
    return [frame.astype("<i2").tobytes() for frame in noise]


def listen(frames: list[bytes]) -> list[bytes]:
    ear = EndOfSpeech()
    return [sentence for frame in frames if (sentence := ear.push(frame)) is not None]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_it_finds_the_sentences_of_real_speech(rate_hz: int) -> None:
    speech = sample_speech(rate_hz=rate_hz, pauses_s=[1.0]) + bytes(2 * rate_hz)
    sentences = listen(list(cut_to_frames(speech, AudioFormat(rate_hz=rate_hz))))
    assert [len(sentence) / 2 / rate_hz for sentence in sentences] == pytest.approx([2.9, 5.1], abs=0.15)
    assert all(sentence in speech for sentence in sentences)


def test_it_adapts_to_the_noise_of_a_room() -> None:
    room = tone(400, 1000)
    said = tone(4000, 50, seed=2)
    sentences = listen(room + said + room[:100])
    # Until it knows the room, it takes its noise for a voice, once.
    assert len(sentences) == 2
    assert len(sentences[0]) < 3 * 32000
    assert b"".join(said) in sentences[1]


def test_a_click_is_no_sentence_and_a_pause_between_words_is_no_end() -> None:
    quiet = HANGOVER_MS // 20
    word = tone(4000, 20)
    assert listen([*tone(9000, 2), *[SILENCE] * 100]) == []
    assert len(listen([*word, *[SILENCE] * (quiet - 1), *word, *[SILENCE] * quiet])) == 1
    assert len(listen([*word, *[SILENCE] * quiet, *word, *[SILENCE] * quiet])) == 2


def test_a_sentence_that_is_cut_off_can_be_finished() -> None:
    ear = EndOfSpeech()
    word = tone(4000, 20)
    for frame in word:
        assert ear.push(frame) is None
    assert ear.finish() == b"".join(word)
    assert ear.finish() is None


async def test_gaps_become_none_and_the_end_ends_it() -> None:
    go_on = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        yield b"a"
        await go_on.wait()
        yield b"b"

    seen: list[bytes | None] = []
    async for frame in with_gaps(frames(), 0.001):
        seen.append(frame)
        if frame is None:
            go_on.set()
    assert seen[:2] == [b"a", None]
    assert seen[-1] == b"b"


async def test_leaving_early_leaves_nothing_behind() -> None:
    async def frames() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    gaps = with_gaps(frames(), 0.001)
    assert await anext(gaps) is None
    await gaps.aclose()  # type: ignore[attr-defined] # an async generator, told as an iterator
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


class FakeSpeech:
    def __init__(self, said: list[bytes]) -> None:
        self._said = said

    async def __aenter__(self) -> FakeSpeech:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def write(self, audio: bytes) -> None:
        self._said.append(audio)


class FakeClient:
    def __init__(self, frames: list[bytes], *, in_flight_ms: float = 0.0) -> None:
        self._frames = frames
        self.said: list[bytes] = []
        self.flushed_at: list[int] = []
        self.heard_frames = 0
        self.playback = PlaybackState(queued_ms=0.0, in_flight_ms=in_flight_ms, played_ms=0.0, underruns=0)

    async def audio(self) -> AsyncIterator[bytes]:
        for frame in self._frames:
            self.heard_frames += 1
            yield frame

    def speech(self) -> FakeSpeech:
        return FakeSpeech(self.said)

    async def flush_buffer(self) -> None:
        self.flushed_at.append(self.heard_frames)
        self.playback = replace(self.playback, in_flight_ms=0.0)


async def test_the_parrot_says_back_what_it_understood() -> None:
    client = FakeClient([*tone(4000, 30), *[SILENCE] * 40])
    understood: list[bytes] = []
    await parrot(cast(AudioConnectorConnection, client), understood.append)
    assert len(understood) == 1
    assert client.said == understood
    assert client.flushed_at == []


async def test_the_parrot_falls_silent_when_it_is_spoken_over() -> None:
    client = FakeClient([*[SILENCE] * 20, *tone(4000, 30), *[SILENCE] * 40], in_flight_ms=200.0)
    await parrot(cast(AudioConnectorConnection, client))
    assert client.flushed_at == [20 + BARGE_IN_MS // 20]
    assert len(client.said) == 1


async def test_a_cough_does_not_silence_the_parrot() -> None:
    client = FakeClient([*[SILENCE] * 20, *tone(4000, 2), *[SILENCE] * 40], in_flight_ms=200.0)
    await parrot(cast(AudioConnectorConnection, client))
    assert client.flushed_at == []
