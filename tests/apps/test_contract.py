# SPDX-License-Identifier: Apache-2.0
"""The engines that run here keep what their ports promise, interrupted, cancelled, and used twice at once."""

from __future__ import annotations

import pytest
from support.spoken import sample

from audio_connector.engines.espeak import Espeak
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.engines.piper import Piper
from audio_connector.engines.retrieval import Retrieval, parse_knowledge
from audio_connector.testing.engines import check_answerer, check_recogniser, check_synthesiser

pytestmark = pytest.mark.apps

KNOWLEDGE = (
    "## What is two and two?\n\nIt is four. That is sure. It was so yesterday. It will be so tomorrow."
)


# A check closes its engine at the end: those of the fixtures are only there to skip where something is missing.


async def test_piper_does(piper: Piper) -> None:
    await check_synthesiser(Piper())


async def test_espeak_does(espeak: Espeak) -> None:
    await check_synthesiser(Espeak())


async def test_whisper_does(tiny: FasterWhisper) -> None:
    audio, rate_hz = sample("unless-to-be.wav")
    other, _ = sample("he-was-not.wav")
    await check_recogniser(FasterWhisper(), audio=audio, other=other, sample_rate=rate_hz, pace=0.25)


async def test_answers_out_of_a_file_do(minilm: MiniLm) -> None:
    await check_answerer(Retrieval(parse_knowledge(KNOWLEDGE), minilm))
