# SPDX-License-Identifier: Apache-2.0
"""Engines for the tests that need them: each loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.engines import ready

from audio_connector.engines.espeak import Espeak
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.engines.piper import Piper
from audio_connector.engines.speaker import Speaker


@pytest.fixture(autouse=True, scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is put together is put into a folder of the tests; what a user has is not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIO_CONNECTOR_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture(scope="session")
def tiny(models: None) -> Iterator[FasterWhisper]:
    with ready("whisper-tiny.en", FasterWhisper("tiny.en")) as engine:
        yield engine


@pytest.fixture(scope="session")
def base(models: None) -> Iterator[FasterWhisper]:
    with ready("whisper-base", FasterWhisper("base", language="en", words=True)) as engine:
        yield engine


@pytest.fixture(scope="session")
def piper(models: None) -> Iterator[Piper]:
    with ready("piper", Piper()) as engine:
        yield engine


@pytest.fixture(scope="session")
def espeak(models: None) -> Iterator[Espeak]:
    with ready("espeak-ng", Espeak()) as engine:
        yield engine


@pytest.fixture(scope="session")
def minilm(models: None) -> Iterator[MiniLm]:
    with ready("minilm", MiniLm()) as engine:
        yield engine


@pytest.fixture(scope="session")
def speaker(models: None) -> Iterator[Speaker]:
    with ready("speaker", Speaker()) as engine:
        yield engine
