# SPDX-License-Identifier: Apache-2.0
"""The demo of captions, with the engines of its settings: words, times, files, and the translation heard again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from captions.__main__ import COMMAND, Settings
from captions.demo import LATEST_S
from support.engines import need
from support.spoken import folded

from audio_connector.audio.wav import read_wav
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.live.settings import read_settings

pytestmark = [pytest.mark.apps, pytest.mark.timeout(300)]

FOLDER = Path(__file__).parents[2] / "examples" / "captions"
ROUNDS = 3
"""Of 25 s; times are those of a machine that others use as well, the words are those of each round."""


@dataclass
class Shown:
    """What the demo has said."""

    output: Path
    status: int = -1
    lines: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [line for line in self.lines if line.startswith("✗")]


async def shown(output: Path) -> Shown:
    settings = read_settings(FOLDER / "settings.toml", Settings).model_copy(update={"output": output})
    demo = Shown(output)
    demo.status = await COMMAND.run(settings, FOLDER, demo=True, port=0, page_port=0, say=demo.lines.append)
    return demo


async def test_two_speakers_are_captioned_and_one_is_translated(
    models: None, tiny: FasterWhisper, tmp_path: Path
) -> None:
    for name in ("whisper-base", "piper", "espeak-ng"):
        need(name)
    for number in range(ROUNDS):
        demo = await shown(tmp_path / str(number))
        if not any("words on the page after" in line for line in demo.problems):
            break
    assert (demo.status, demo.problems) == (0, []), f"a word within {LATEST_S} s, in none of {ROUNDS} rounds"
    (folder,) = [path.parent for path in demo.output.glob("*/captions.vtt")]
    vtt = (folder / "captions.vtt").read_text(encoding="utf-8")
    assert vtt.startswith("WEBVTT\n\n")
    assert set(re.findall("<v ([^>]*)>", vtt)) == {"Ann", "Luis"}
    starts = re.findall(r"^([\d:.]+) -->", vtt, flags=re.MULTILINE)
    assert starts == sorted(starts)
    english = (folder / "captions.en.vtt").read_text(encoding="utf-8")
    assert {"table", "people", "disposed"} <= set(folded(english))
    lines = [
        json.loads(line) for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["language"] for line in lines if "text" in line].count("es") == 1
    # Into the session, over the connection of who spoke; and not captioned as somebody's speech.
    audio, rate_hz = read_wav(demo.output / "demo" / "2-heard.wav")
    heard = await tiny.transcribe(audio, sample_rate=rate_hz)
    assert "table" in folded(heard.text)
