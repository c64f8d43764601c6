# SPDX-License-Identifier: Apache-2.0
"""What the adapter asks of faster-whisper, with a stand-in for it: windows, options, repetitions, languages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audio_connector.engines.base.faults import EngineMissing
from audio_connector.engines.faster_whisper import FILES, RATE_HZ, FasterWhisper

SECOND = np.full(RATE_HZ, 1_000, "<i2").tobytes()


@dataclass
class Heard:
    """What the stand-in was asked, and what it understands."""

    windows: list[int] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    loaded: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[int, float] = field(default_factory=dict)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()

    class WhisperModel:
        def __init__(self, folder: str, **options: Any) -> None:
            heard.loaded.append({"folder": folder, **options})

        def encode(self, features: Any) -> None:
            heard.windows.append(features.shape[-1])

        def transcribe(self, samples: Any, **options: Any) -> tuple[Iterator[Any], Any]:
            heard.options.append(options)
            if 1 + options["max_new_tokens"] > 448:  # the real one does so too
                raise ValueError("This exceeds the `max_length` of the Whisper model: 448.")
            word = SimpleNamespace(
                word=" yes", start=np.float64(0.1), end=np.float64(0.4), probability=np.float64(0.9)
            )
            words = [word] if options["word_timestamps"] else None

            def segments() -> Iterator[Any]:
                self.encode(np.zeros((80, 3_000), np.float32))
                window = heard.windows[-1]
                ratio = heard.ratios.get(window, 1.0)
                yield SimpleNamespace(text=f" yes {window}", words=words, compression_ratio=ratio)

            return segments(), SimpleNamespace(language=options["language"] or "es")

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=WhisperModel))
    monkeypatch.setattr("audio_connector.engines.faster_whisper.find_spec", lambda _: object())
    return heard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("seconds", "window"), [(1, 1_500), (10, 1_500), (12, 1_700), (24, 2_900), (25, 3_000), (60, 3_000)]
)
async def test_short_audio_is_looked_at_in_a_short_window(
    heard: Heard, folder: Path, seconds: int, window: int
) -> None:
    engine = FasterWhisper(folder)
    transcript = await engine.transcribe(SECOND * seconds, sample_rate=RATE_HZ)
    assert transcript.text == f"yes {window}"
    assert heard.windows == [window]
    assert transcript.audio_s == seconds
    await engine.close()


async def test_what_repeats_itself_is_decoded_in_full(heard: Heard, folder: Path) -> None:
    heard.ratios[1_500] = 9.0
    engine = FasterWhisper(folder)
    assert (await engine.transcribe(SECOND, sample_rate=RATE_HZ)).text == "yes 3000"
    heard.ratios[3_000] = 9.0  # then so be it
    assert (await engine.transcribe(SECOND, sample_rate=RATE_HZ)).text == "yes 3000"
    assert heard.windows == [1_500, 3_000] * 2
    await engine.close()


async def test_a_partial_is_quick_and_a_final_as_good_as_it_was_told(heard: Heard, folder: Path) -> None:
    engine = FasterWhisper(folder, beam_size=5, words=True, language="en", threads=3)
    async with engine.hear(sample_rate=RATE_HZ, language="fr") as hearing:
        await hearing.write(SECOND)
        async for partial in hearing.partials():
            assert (partial.is_final, partial.words) == (False, ())
            break
        final = await hearing.finish()
    assert [(each["beam_size"], each["word_timestamps"]) for each in heard.options] == [(1, False), (5, True)]
    assert {each["language"] for each in heard.options} == {"fr"}
    assert {each["temperature"] for each in heard.options} == {0.0}
    assert {each["max_new_tokens"] for each in heard.options} == {30}
    (word,) = final.words
    assert (word.text, word.start_s, word.end_s, type(word.start_s)) == ("yes", 0.1, 0.4, float)
    (loaded,) = heard.loaded
    assert (loaded["folder"], loaded["cpu_threads"], loaded["local_files_only"]) == (str(folder), 3, True)
    await engine.close()


async def test_a_language_is_told_or_guessed(heard: Heard, folder: Path) -> None:
    engine = FasterWhisper(folder)
    assert (await engine.transcribe(SECOND, sample_rate=RATE_HZ)).language == "es"
    english = await engine.translate("hola", source="es", target="en", audio=SECOND, sample_rate=RATE_HZ)
    assert english == "yes 1500"
    assert [(each["language"], each["task"]) for each in heard.options] == [
        (None, "transcribe"),
        ("es", "translate"),
    ]
    await engine.close()


@pytest.mark.parametrize("audio", [b"", bytes(200), bytes(3 * RATE_HZ * 2), SECOND[: RATE_HZ // 10]])
async def test_silence_and_a_click_are_not_decoded(heard: Heard, folder: Path, audio: bytes) -> None:
    engine = FasterWhisper(folder)
    assert (await engine.transcribe(audio, sample_rate=RATE_HZ)).text == ""
    assert heard.windows == []
    await engine.close()


@pytest.mark.parametrize("name", FILES)
async def test_a_folder_that_is_not_whole_is_refused_before_anything_is_fetched(
    heard: Heard, folder: Path, name: str
) -> None:
    (folder / name).unlink()
    engine = FasterWhisper(folder)
    with pytest.raises(EngineMissing, match=f"it has no {name}; mend it with"):
        await engine.warm()
    assert not heard.loaded
    await engine.close()


async def test_the_vocabulary_may_be_json(heard: Heard, folder: Path) -> None:
    (folder / "vocabulary.txt").rename(folder / "vocabulary.json")
    engine = FasterWhisper(folder)
    await engine.warm()
    assert len(heard.loaded) == 1
    await engine.close()
