# SPDX-License-Identifier: Apache-2.0
"""Voices as vectors: the same one is near, others are far, through a telephone as well."""

from __future__ import annotations

import numpy as np
import pytest
from support.spoken import sample, whole

from audio_connector.audio.resample import resample
from audio_connector.engines import EngineError
from audio_connector.engines.espeak import Espeak
from audio_connector.engines.piper import Piper
from audio_connector.engines.speaker import Speaker

pytestmark = pytest.mark.apps

TEXT = "I would like to know when my parcel arrives, because I am not at home on Friday."


async def test_one_voice_is_near_and_another_is_far(speaker: Speaker, piper: Piper, espeak: Espeak) -> None:
    samples = [sample(name) for name in ("unless-to-be.wav", "he-was-not.wav")]
    reader = [await speaker.encode(audio, sample_rate=rate_hz) for audio, rate_hz in samples]
    others = [
        await speaker.encode(await whole(voice.say(TEXT)), sample_rate=voice.sample_rate)
        for voice in (piper, espeak)
    ]
    assert reader[0].shape == (256,)
    assert np.linalg.norm(reader[0]) == pytest.approx(1, abs=1e-5)
    assert reader[0] @ reader[1] > 0.7
    assert max(voice @ other for voice in reader for other in others) < 0.6
    assert others[0] @ others[1] < 0.6


async def test_voices_on_the_telephone_are_compared_with_others_on_it(
    speaker: Speaker, piper: Piper, espeak: Espeak
) -> None:
    clips = [sample(name) for name in ("unless-to-be.wav", "he-was-not.wav")]
    clips += [(await whole(voice.say(TEXT)), voice.sample_rate) for voice in (piper, espeak)]
    one, same, *others = [
        await speaker.encode(resample(audio, rate_hz, 8_000), sample_rate=8_000) for audio, rate_hz in clips
    ]
    assert one @ same > 0.8
    assert max(one @ other for other in others) < 0.8
    assert one @ await speaker.encode(clips[0][0], sample_rate=clips[0][1]) > 0.5


async def test_silence_around_speech_changes_little_and_silence_alone_is_no_voice(speaker: Speaker) -> None:
    audio, rate_hz = sample("unless-to-be.wav")
    quiet = bytes(rate_hz * 6)
    alone = await speaker.encode(audio, sample_rate=rate_hz)
    assert alone @ await speaker.encode(quiet + audio + quiet, sample_rate=rate_hz) > 0.95
    short = await speaker.encode(audio[: rate_hz // 2 * 2], sample_rate=rate_hz)
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-5)
    for silence in (b"", quiet):
        with pytest.raises(EngineError, match="of silence; expected a second of speech"):
            await speaker.encode(silence, sample_rate=rate_hz)
