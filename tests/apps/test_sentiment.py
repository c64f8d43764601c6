# SPDX-License-Identifier: Apache-2.0
"""The mood of a real voice, end to end; and how often words and meaning are right about sentences new to them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sentiment.app import Sentiment, Settings
from sentiment.mood import SIGN
from sentiment.words import Vader, Valence
from support.spoken import folded

from audio_connector.engines import EngineMissing
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.live.settings import read_settings
from audio_connector.simulator import Participant, SayText, Scenario, Step, Talk, run_calls
from audio_connector.testing import serve
from audio_connector.testing.talk import EngineVoices

pytestmark = [pytest.mark.apps, pytest.mark.timeout(120)]

SETTINGS = Path(__file__).parents[2] / "examples" / "sentiment" / "settings.toml"

# None of them is an example of the settings.
GOOD = [
    "Great, thank you very much for your help.",
    "Oh, that's good news, I am glad.",
    "Lovely. You made my day.",
    "It arrived early and it looks beautiful.",
    "Brilliant, that fixed it.",
    "I really appreciate what you did.",
]
BAD = [
    "I ordered a lamp three weeks ago, and nobody answers my letters.",
    "Still no parcel, and I wrote to you five times.",
    "The screen is cracked and it will not turn on.",
    "I want to speak to your manager.",
    "This is not good at all.",
    "You charged me twice and nobody gives the money back.",
    "I am fed up with this.",
    "It is a shame how you treat people.",
]
NEUTRAL = [
    "Hello, I am calling about a parcel.",
    "It is four seven one one.",
    "Could I have an appointment on Tuesday?",
    "My address is twelve Station Road.",
    "He was not an ill disposed young man.",
    "What is the size of the large one?",
    "Let me get a pen.",
    "Yes, I will hold.",
]

SAID = [
    (0.3, "sample:he-was-not"),
    (4.0, "I ordered it three weeks ago, and nobody answers my letters."),
    (9.0, "Oh, that is wonderful. Thank you very much for your help."),
]


@pytest.fixture
def vader() -> Vader:
    try:
        return Vader()
    except EngineMissing as error:
        pytest.skip(str(error))


async def test_sentences_that_nobody_has_shown_it(vader: Vader, minilm: MiniLm) -> None:
    settings = read_settings(SETTINGS, Settings)
    assert not {*GOOD, *BAD, *NEUTRAL} & {text for _, texts in settings.examples for text in texts}
    valence = Valence(vader, minilm, **dict(settings.examples))

    async def signs(texts: list[str]) -> list[int]:
        values = [await valence.of(text) for text in texts]
        return [0 if abs(value) < SIGN else (1 if value > 0 else -1) for value in values]

    good, bad, neutral = await signs(GOOD), await signs(BAD), await signs(NEUTRAL)
    assert (good.count(1), bad.count(-1), neutral.count(0)) == (6, 7, 6), (good, bad, neutral)
    assert good.count(-1) == bad.count(1) == 0
    # The list of words alone has nothing to say about most complaints: what the embedder is for.
    assert sum(vader.score(text) <= -SIGN for text in BAD) <= 2
    assert vader.score(BAD[0]) == 0.0


async def test_a_call_that_ends_well(
    vader: Vader, tiny: FasterWhisper, minilm: MiniLm, tmp_path: Path
) -> None:
    app = Sentiment(
        read_settings(SETTINGS, Settings), recogniser=tiny, embedder=minilm, words=vader, output=tmp_path
    )
    steps = [
        Step(at_s=at_s, say=text if text.startswith("sample:") else SayText(text=text)) for at_s, text in SAID
    ]
    scenario = Scenario(participants=[Participant(steps=steps)], tail_s=2, allow_silence=True)
    voices = EngineVoices()
    async with serve(app.on_connect) as server:
        talk = Talk(voices=voices, cache=tmp_path / "spoken")
        outcome = await app.outcome(await run_calls(scenario.calls(server.url), talk=talk))
    await asyncio.gather(app.close(), voices.close())
    assert outcome.problems == ()
    [call] = app.calls
    said = list(call.utterances)
    assert [each.label for each in said][:2] == ["neutral", "unhappy"]
    assert said[2].label in ("content", "delighted")
    assert said[1].curve < 0 < said[2].curve
    assert {"not", "young", "man"} <= set(folded(said[0].text))
    assert {"weeks", "nobody", "letters"} <= set(folded(said[1].text))
    for each, (at_s, _) in zip(said, SAID, strict=True):
        assert each.start_s == pytest.approx(at_s, abs=0.3)
        assert each.tone.pitch_hz is not None
        assert 70 < each.tone.pitch_hz < 160  # a man's voice
        assert 100 < each.pace < 300
    picture, data = call.files
    assert "nobody answers my letters" in picture.read_text()
    assert len(json.loads(data.read_text())["utterances"]) == len(SAID)
