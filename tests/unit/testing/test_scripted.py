# SPDX-License-Identifier: Apache-2.0
"""Scripted engines have the ports, and do as they are told."""

from __future__ import annotations

import numpy as np
import pytest

from audio_connector import UsageError
from audio_connector.engines import (
    Answerer,
    Embedder,
    Message,
    Recogniser,
    SpeakerEncoder,
    Synthesiser,
)
from audio_connector.testing import Audio, in_virtual_time
from audio_connector.testing.engines import check_answerer, check_recogniser, check_synthesiser
from audio_connector.testing.scripted import (
    ScriptedAnswerer,
    ScriptedEars,
    ScriptedVoice,
    SpectrumEncoder,
    WordEmbedder,
)

SECOND = bytes(32000)


def test_they_have_the_ports() -> None:
    assert isinstance(ScriptedEars([]), Recogniser)
    assert isinstance(ScriptedVoice(), Synthesiser)
    assert isinstance(WordEmbedder(), Embedder)
    assert isinstance(ScriptedAnswerer(["yes"]), Answerer)
    assert isinstance(SpectrumEncoder(), SpeakerEncoder)


@in_virtual_time
async def test_they_keep_the_contract_of_their_ports() -> None:
    one, other = (ScriptedVoice.audio_of(text) for text in ("one two three four", "five six seven eight"))
    ears = ScriptedEars(lambda audio, _: "one two three four" if audio == one else "five six seven eight")
    await check_recogniser(ears, audio=one, other=other, sample_rate=ScriptedVoice.sample_rate)
    await check_synthesiser(ScriptedVoice(takes_s=0.1))
    await check_answerer(ScriptedAnswerer(["It is four."], takes_s=0.1))


@in_virtual_time
async def test_ears_hear_the_next_sentence_and_its_words_as_they_are_said() -> None:
    ears = ScriptedEars(["one two three four", "five"], words_per_s=2.0)
    partials: list[str] = []
    async with ears.hear(sample_rate=16000) as hearing:
        await hearing.write(SECOND)
        async for partial in hearing.partials():
            partials.append(partial.text)
            assert not partial.is_final
            await hearing.write(SECOND)
            if len(partials) == 2:
                break
        final = await hearing.finish()
    assert partials == ["one two", "one two three four"]
    assert (final.text, final.is_final, final.audio_s) == ("one two three four", True, 3.0)
    assert [(word.text, word.start_s) for word in final.words][:2] == [("one", 0.0), ("two", 0.75)]
    assert (await ears.transcribe(SECOND, sample_rate=16000)).text == "five"
    assert (await ears.transcribe(SECOND, sample_rate=16000)).text == ""
    assert ears.heard == [3.0, 1.0, 1.0]


@in_virtual_time
async def test_a_voice_says_each_word_with_a_sound_of_its_own() -> None:
    voice = ScriptedVoice()
    pieces = [piece async for piece in voice.say("hello there hello")]
    audio = b"".join(pieces)
    assert audio == ScriptedVoice.audio_of("hello there hello")
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert Audio(audio, 16000).duration_s == pytest.approx(ScriptedVoice.duration_s("hello there hello"))
    word = len(audio) // 3
    assert audio[:word] == audio[2 * word :] != audio[word : 2 * word]
    assert voice.said == ["hello there hello"]


@in_virtual_time
async def test_texts_that_share_words_mean_the_same() -> None:
    rows = await WordEmbedder().embed(["When do you open?", "opening hours", "my parcel is lost", ""])
    likeness = rows @ rows.T
    assert np.allclose(np.diag(likeness), 1.0)
    assert likeness[0, 1] > likeness[0, 2]
    assert (await WordEmbedder().embed([])).shape[0] == 0


@in_virtual_time
async def test_an_answerer_answers_in_turn_by_words_or_by_a_function() -> None:
    async def answer(answerer: ScriptedAnswerer, text: str) -> str:
        return "".join([piece async for piece in answerer.answer([Message("user", text)])])

    in_turn = ScriptedAnswerer(["first one", "then this"])
    assert [await answer(in_turn, "") for _ in range(3)] == ["first one", "then this", "then this"]
    by_words = ScriptedAnswerer({"hours": "nine to five"})
    assert await answer(by_words, "Your HOURS, please") == "nine to five"
    assert await answer(by_words, "hello") == "I do not know."
    assert await answer(ScriptedAnswerer(lambda messages: messages[-1].text.upper()), "loud") == "LOUD"
    with pytest.raises(UsageError, match="no answers"):
        ScriptedAnswerer([])


@in_virtual_time
async def test_voices_of_different_pitch_are_apart_and_the_same_pitch_is_one() -> None:
    low, low_again, high = [
        await SpectrumEncoder().encode(Audio.tone(hz, seconds).pcm, sample_rate=16000)
        for hz, seconds in ((200, 1.0), (200, 1.7), (900, 1.0))
    ]
    assert low @ low_again > 0.9
    assert low @ high < 0.5


def test_one_text_is_not_taken_for_its_letters() -> None:
    for scripted in (ScriptedEars, ScriptedAnswerer):
        with pytest.raises(UsageError, match=r"expected a list of them, such as \['hello there'\]"):
            scripted("hello there")
