# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from importlib.resources import files

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator.samples import SAMPLES, is_sample, sample_named


def test_the_sentences_are_there() -> None:
    folder = files("audio_connector") / "samples"
    assert {name for name in SAMPLES if (folder / name).is_file()} == set(SAMPLES)


@pytest.mark.parametrize("name", ["sample:he-was-not", "sample:he-was-not.wav"])
def test_a_name_may_have_its_ending(name: str) -> None:
    assert is_sample(name)
    assert sample_named(name) == "he-was-not.wav"


def test_a_path_is_no_sample() -> None:
    assert not is_sample("samples/he-was-not.wav")
    assert not is_sample("")


@pytest.mark.parametrize("name", ["sample:", "sample:he-was", "sample:../he-was-not.wav"])
def test_an_unknown_name_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        sample_named(name)
    assert str(caught.value) == (
        f"there is no packaged sentence {name!r}; expected one of sample:he-was-not, sample:unless-to-be"
    )
