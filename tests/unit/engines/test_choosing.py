# SPDX-License-Identifier: Apache-2.0
"""Settings name an engine, and what they may say of it is what its adapter takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audio_connector import UsageError
from audio_connector.engines import (
    Answerer,
    Embedder,
    EngineMissing,
    Recogniser,
    SpeakerEncoder,
    Synthesiser,
    Translator,
    engine_of,
)
from audio_connector.engines.base.catalogue import OFFERS, Offer
from audio_connector.engines.choosing import ADAPTERS

PORTS = {
    "recogniser": Recogniser,
    "synthesiser": Synthesiser,
    "answerer": Answerer,
    "embedder": Embedder,
    "translator": Translator,
    "speaker-encoder": SpeakerEncoder,
}
NEEDED = {"answerer": {"model": "some"}}


@pytest.mark.parametrize(("job", "name"), [(job, name) for job in PORTS for name in ADAPTERS[job]])
def test_every_name_gives_an_engine_of_its_port(job: str, name: str) -> None:
    try:
        assert isinstance(engine_of(job, {"engine": name, **NEEDED.get(job, {})}), PORTS[job])
    except EngineMissing as error:
        assert "pip install" in error.mend  # noqa: PT017 - it depends on what is installed here


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_what_is_listed_says_how_settings_name_it(offer: Offer) -> None:
    job, _, table = offer.setting.partition(": ")
    told = dict(each.split(" = ") for each in table.split(", "))
    module, _, name = offer.adapter.partition(".")
    try:
        engine = engine_of(job, {key: value.strip('"') for key, value in told.items()})
    except EngineMissing as error:
        assert "pip install" in error.mend  # noqa: PT017 - it depends on what is installed here
    else:
        assert (type(engine).__module__, type(engine).__name__) == (f"audio_connector.engines.{module}", name)


def test_without_a_name_it_is_the_one_that_needs_no_network() -> None:
    assert type(engine_of("recogniser", {})).__name__ == "FasterWhisper"
    assert type(engine_of("embedder", {"threads": 2})).__name__ == "MiniLm"


def test_a_number_may_be_written_as_an_int() -> None:
    assert engine_of("recogniser", {"partial_every_s": 1, "language": "en"}).name == "whisper tiny.en"


@pytest.mark.parametrize(
    ("job", "table", "said"),
    [
        ("ears", {}, "got job 'ears'; expected one of recogniser, synth"),
        ("recogniser", {"engine": "wisper"}, "expected one of faster-whisper, openai"),
        ("recogniser", {"engine": "deepgramm"}, "did you mean 'deepgram'"),
        (
            "synthesiser",
            {"engine": "piper", "sped": 1.0},
            "got 'sped' for synthesiser 'piper'.*did you mean 'speed'",
        ),
        ("synthesiser", {"engine": "piper", "speed": 9.0}, "speed"),
        ("answerer", {"engine": "openai"}, "got no model for answerer 'openai'"),
        ("recogniser", {"model": 7}, r"got model = 7 for recogniser 'faster-whisper'; expected str \| Path"),
        ("recogniser", {"beam_size": "5"}, "got beam_size = '5' .*; expected int"),
        ("recogniser", {"beam_size": 0}, "got beam_size=0, .*; expected 1 or more"),
        ("recogniser", {"threads": True}, "got threads = True .*; expected int"),
        ("recogniser", {"partial_every_s": "a"}, "expected float"),
        ("recogniser", {"words": "yes"}, "expected bool"),
        ("synthesiser", {"speed": "fast"}, "got speed = 'fast' for synthesiser 'piper'; expected float"),
        ("recogniser", {"engine": "deepgram", "options": 3}, "got options = 3"),
    ],
)
def test_what_is_wrong_is_said(job: str, table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        engine_of(job, table)


def test_to_import_the_chooser_loads_no_adapter() -> None:
    program = (
        "import sys, audio_connector.engines;"
        "print([name for name in sys.modules if name.startswith('audio_connector.engines.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name.split(".")[2] for name in eval(done.stdout)} == {"base", "choosing"}
