# SPDX-License-Identifier: Apache-2.0
"""Somebody calls, in virtual time, with engines that do as they are told; and tones whose pitch is known."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from audio_connector.engines import EngineError, EngineMissing, Transcript
from audio_connector.testing import Audio, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, WordEmbedder
from sentiment.app import MAX_WAITING, FollowedCall, Sentiment, Settings
from sentiment.mood import KEPT, Moods, Utterance
from sentiment.plot import plot
from sentiment.tone import HIGHEST_HZ, LOWEST_HZ, Tone, pitches_of, tone_of
from sentiment.words import Vader, Valence

RATE_HZ = 16_000
EXAMPLES = {
    "good": ["Thank you for your help."],
    "bad": ["Nobody answers my letters."],
    "neutral": ["Where is the parcel?"],
}
LINES = ["Where is my parcel?", "Nobody answers my letters, this is bad.", "Thank you, that is a great help."]


class FewWords:
    """A list of words."""

    def score(self, text: str) -> float:
        """Return -1 to 1."""
        return ("great" in text) * 0.6 - ("bad" in text) * 0.6


class Page:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        del key
        self.shown.append((kind, json.loads(json.dumps(data))))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.shown if each == kind]


@asynccontextmanager
async def followed(ears: Any, folder: Path) -> AsyncIterator[tuple[Sentiment, Server, Page]]:
    page = Page()
    settings = Settings.from_values({"recogniser": {}, "embedder": {}, "examples": EXAMPLES})
    app = Sentiment(
        settings, recogniser=ears, embedder=WordEmbedder(), words=FewWords(), output=folder, show=page.show
    )
    async with serve(app.on_connect) as server:
        yield app, server, page
    await app.close()


def louder(by: float) -> bytes:
    """The packaged sentence, at another level."""
    samples = np.frombuffer(Audio.of("sample:he-was-not").at_rate(RATE_HZ).pcm, "<i2")
    return np.clip(samples * by, -32768, 32767).astype("<i2").tobytes()


@in_virtual_time
async def test_a_call_becomes_a_curve_and_two_files(tmp_path: Path) -> None:
    async with followed(ScriptedEars(LINES, takes_s=0.6), tmp_path) as (app, server, page):
        async with server.call() as call:
            for by in (1.0, 1.0, 2.5):
                await call.say(louder(by))
                await asyncio.sleep(1.5)
        await app.settle()
    [followed_call] = app.calls
    said = list(followed_call.utterances)
    assert [each.text for each in said] == LINES
    assert [each.label for each in said] == ["neutral", "unhappy", "delighted"]
    assert said[2].arousal > 0.4  # the louder one
    assert said[2].curve > said[1].curve < said[0].curve
    assert [data["label"] for data in page.of("utterance")] == [each.label for each in said]
    assert page.of("call")[-1]["is_over"]
    picture, data = followed_call.files
    told = json.loads(data.read_text())
    assert [each["mood"] for each in told["utterances"]] == [each.mood for each in said]
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")


class Deaf(ScriptedEars):
    """Fails once."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        if not self.heard:
            self.heard.append(0.0)
            raise EngineError("the model is gone")
        return await super().transcribe(audio, sample_rate=sample_rate, language=language)


@in_virtual_time
async def test_a_recogniser_that_fails_is_told_and_the_call_goes_on(tmp_path: Path) -> None:
    async with followed(Deaf(LINES), tmp_path) as (app, server, page):
        async with server.call() as call:
            for _ in range(2):
                await call.say("sample:he-was-not")
                await asyncio.sleep(1)
        await app.settle()
    assert "the model is gone" in page.of("trouble")[0]["text"]
    assert len(app.calls[0].utterances) == 1


@in_virtual_time
async def test_a_recogniser_that_is_too_slow_is_told(tmp_path: Path) -> None:
    async with followed(ScriptedEars(lambda *_: "word", takes_s=90), tmp_path) as (app, server, page):
        async with server.call() as call:
            for _ in range(MAX_WAITING + 5):
                await call.say("sample:he-was-not")
                await asyncio.sleep(0.6)
        await app.settle()
    told = [each["text"] for each in page.of("trouble")]
    assert len(told) == 2, told  # once each
    assert "too slow" in told[0]
    assert "behind at the end" in told[1]
    assert json.loads(app.calls[0].files[1].read_text())["troubles"][told[0]] > 1


@in_virtual_time
async def test_two_calls_at_once_one_of_which_breaks_off_in_a_word(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with followed(ScriptedEars(lambda *_: "Thank you."), tmp_path) as (app, server, _):
        async with server.call() as one, server.call() as two:
            speaking = asyncio.ensure_future(two.say("sample:unless-to-be"))
            await one.say("sample:he-was-not")
            one.live.abort()
            await speaking
        await app.settle()
    assert sorted(len(call.utterances) for call in app.calls) == [1, 1]
    assert len({call.id for call in app.calls}) == 2
    assert asyncio.all_tasks() == before


def tone(
    hz: float, *, seconds: float = 0.5, rate_hz: int = RATE_HZ, harmonics: tuple[int, ...] = (1,)
) -> bytes:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = [np.sin(2 * np.pi * hz * number * times) / number for number in harmonics]
    wave = np.asarray(waves).sum(axis=0) * 6000
    return bytes(wave.astype("<i2").tobytes())


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
@pytest.mark.parametrize("harmonics", [(1,), (1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("hz", [LOWEST_HZ + 1, 120, 220, HIGHEST_HZ - 1])
def test_a_tone_has_its_pitch_and_not_the_octave_of_it(
    hz: float, harmonics: tuple[int, ...], rate_hz: int
) -> None:
    pitches = pitches_of(tone(hz, rate_hz=rate_hz, harmonics=harmonics), rate_hz)
    assert not np.isnan(pitches).any()
    assert pitches == pytest.approx(hz, rel=0.01)  # a sixth of a semitone, in every single frame


def test_what_has_no_pitch_has_none() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, 2 * RATE_HZ).astype("<i2").tobytes()
    for audio in (noise, bytes(2 * RATE_HZ), b"", bytes(2), tone(120, seconds=0.02), tone(900), tone(40)):
        assert tone_of(audio, RATE_HZ).pitch_hz is None
    full = (np.ones(RATE_HZ) * 32767).astype("<i2").tobytes()
    assert tone_of(full, RATE_HZ).pitch_hz is None


def test_level_and_spread() -> None:
    steady, half = tone_of(tone(120), RATE_HZ), tone_of(_half(tone(120)), RATE_HZ)
    assert steady.level_db == pytest.approx(20 * np.log10(6000 / 32768 / np.sqrt(2)), abs=0.3)
    assert steady.level_db - half.level_db == pytest.approx(6.0, abs=0.2)
    assert steady.spread_st < 0.1
    octave = tone_of(tone(120) + tone(240), RATE_HZ)
    assert octave.spread_st == pytest.approx(12, abs=0.2)
    assert octave.speech_s == 1.0


def _half(audio: bytes) -> bytes:
    return (np.frombuffer(audio, "<i2") // 2).astype("<i2").tobytes()


@pytest.mark.parametrize("name", ["he-was-not", "unless-to-be"])
def test_real_speech_has_a_pitch_that_follows_the_speed_of_the_tape(name: str) -> None:
    audio = Audio.of(f"sample:{name}").at_rate(RATE_HZ).pcm
    usual, faster = tone_of(audio, RATE_HZ), tone_of(audio, RATE_HZ * 5 // 4)
    assert usual.pitch_hz is not None
    assert faster.pitch_hz is not None
    assert 75 < usual.pitch_hz < 130  # a man reads
    assert faster.pitch_hz / usual.pitch_hz == pytest.approx(1.25, abs=0.06)
    assert usual.voiced_s > 0.5


def test_noise_beside_a_voice_does_not_move_its_pitch_by_an_octave() -> None:
    audio = np.frombuffer(Audio.of("sample:unless-to-be").at_rate(RATE_HZ).pcm, "<i2")
    noise = np.random.default_rng(2).normal(0, 60, len(audio))
    clean = tone_of(audio.astype("<i2").tobytes(), RATE_HZ)
    noisy = tone_of((audio + noise).astype("<i2").tobytes(), RATE_HZ)
    assert clean.pitch_hz is not None
    assert noisy.pitch_hz == pytest.approx(clean.pitch_hz, rel=0.12)


def said(moods: Moods, level_db: float, pitch_hz: float | None, valence: float, words: int = 5) -> Utterance:
    how = Tone(level_db, pitch_hz, 3.0, 1.0, 2.0)
    return moods.take(0.0, 2.0, text="word " * words, tone=how, valence=valence)


def test_tone_makes_a_mood_more_and_never_another_one() -> None:
    for valence, calm, moved in (
        (-0.5, "unhappy", "angry"),
        (0.5, "content", "delighted"),
        (0.0, "neutral", "neutral"),
    ):
        moods = Moods()
        assert said(moods, -20, 100, valence).arousal == 0  # nobody knows yet what is usual
        said(moods, -20, 100, valence)
        usual = said(moods, -20, 100, valence)
        loud = said(moods, -14, 130, valence, words=7)
        assert (usual.label, loud.label) == (calm, moved)
        assert abs(loud.mood) >= abs(usual.mood)
        assert np.sign(loud.mood) == np.sign(valence)


def test_what_has_no_pitch_or_no_length_is_told_by_the_rest() -> None:
    moods = Moods()
    for _ in range(KEPT + 5):
        assert said(moods, -20, None, 0.1).arousal == 0
    assert said(moods, -10, None, 0.1).arousal == pytest.approx(0.5)  # as loud as can be, and as fast as ever
    assert moods.take(1.0, 1.0, text="word", tone=Tone(-20, None, 0, 0, 0), valence=0.0).pace == 0


@in_virtual_time
async def test_words_and_meaning_are_both_asked() -> None:
    valence = Valence(FewWords(), WordEmbedder(), **EXAMPLES)
    assert await valence.of("Nobody answers.") < -0.4  # no bad word
    assert await valence.of("A great day.") == pytest.approx(0.3, abs=0.1)  # no such example
    assert abs(await valence.of("Where is it, the parcel?")) < 0.1
    assert await valence.of("  ") == 0
    assert await Valence(FewWords(), WordEmbedder(), good=[], bad=[], neutral=[]).of("bad") == -0.3


def test_a_list_of_words_that_is_not_there_says_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(EngineMissing, match="pip install vaderSentiment"):
        Vader()


def test_a_plot_of_anything_is_a_picture() -> None:
    moods = Moods()
    texts = ['<script>alert("x")</script> & so on', "é" * 500]
    how = Tone(-20, 100, 3.0, 1.0, 2.0)
    many = [
        moods.take(float(at), at + 2.0, text=texts[at % 2], tone=how, valence=(-1) ** at)
        for at in range(0, 7200, 7)
    ]
    for utterances in ([], many[:1], many):
        root = ET.fromstring(plot(utterances, title="a <title> & more"))
        marks = [each for each in root if each.tag.endswith("}g")]
        assert len(marks) == len(utterances)
        places = [float(value) for each in root.iter() for name, value in each.items() if name in ("x", "y")]
        assert all(0 <= place <= 1000 for place in places)
        assert len([each for each in root if each.get("text-anchor") == "middle"]) <= 13


def test_a_call_has_a_name_that_is_a_file_name(tmp_path: Path) -> None:
    app = Sentiment(
        Settings.from_values({"recogniser": {}, "embedder": {}}),
        recogniser=ScriptedEars([]),
        embedder=WordEmbedder(),
        words=FewWords(),
        output=tmp_path,
    )

    class Client:
        id = "../../etc/passwd\n"

    client: Any = Client()
    call = FollowedCall(app, client)
    assert [path.parent for path in call.files] == [tmp_path, tmp_path]
    assert call.id.endswith("-etcpasswd")
