# SPDX-License-Identifier: Apache-2.0
"""``audio-connector engines --measure`` on real engines."""

from __future__ import annotations

import json

import pytest
from support.engines import need

from audio_connector.cli import main

pytestmark = pytest.mark.apps


@pytest.mark.parametrize("name", ["espeak-ng", "minilm", "piper", "speaker"])
def test_an_engine_is_measured(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    need(name)
    assert main(["engines", name, "--measure", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["engines"]
    assert shown["is_here"]
    costs = shown["costs"]
    assert 0 < costs["work_ms"] < 10_000
    assert 0 <= costs["load_s"] < 60
    assert costs["memory_mb"] < 2_000
    assert costs["work"]
