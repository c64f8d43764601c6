# SPDX-License-Identifier: Apache-2.0
"""The adapter that the documentation shows in whole: it is one, and as short as it says."""

from __future__ import annotations

from pathlib import Path

from own_engine import Hummer

from audio_connector.engines import Synthesiser

SOURCE = Path(__file__).parents[3] / "examples" / "own_engine.py"


async def test_it_hums_each_word_and_stops_when_it_is_interrupted() -> None:
    voice = Hummer()
    assert isinstance(voice, Synthesiser)
    await voice.warm()
    pieces = [piece async for piece in voice.say("one three")]
    assert [len(piece) for piece in pieces] == [6_400, 6_400]
    assert pieces[0] != pieces[1]
    speech = voice.say("much " * 1_000)
    await anext(speech)
    await speech.aclose()
    assert len([piece async for piece in voice.say("next")]) == 1
    await voice.close()


def test_its_class_is_as_short_as_the_documentation_says() -> None:
    body = SOURCE.read_text(encoding="utf-8").partition("class Hummer")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 30
