# SPDX-License-Identifier: Apache-2.0
"""The demo of notes, a spoken meeting, with the engines of its settings; and what the rules take sentences for."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from notes.__main__ import COMMAND, Settings
from notes.minutes import Said
from notes.rules import Rules
from support.engines import need
from support.spoken import folded

from audio_connector.audio.wav import read_wav
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.live.settings import read_settings

pytestmark = [pytest.mark.apps, pytest.mark.timeout(300)]

FOLDER = Path(__file__).parents[2] / "examples" / "notes"

# None of them was looked at while the rules were written.
DECISIONS = [
    "Alright, we have agreed on the smaller office.",
    "Let's go with the vendor from Madrid then.",
    "The board approved the new budget.",
    "We are going to hire two more engineers.",
    "So it is decided, the conference takes place in Oslo.",
    "From next month on we will bill every customer by email.",
]
ACTIONS = [
    "I'll draft the agreement and mail it to you by Tuesday.",
    "Bob, could you ask the lawyers about the clause?",
    "You have to renew the licence before the end of the month.",
    "Bob will translate the manual into French.",
    "Please upload the recordings to the shared folder.",
    "I can prepare the invoices tomorrow.",
    "Let me set up a meeting with the designers next week.",
]
NEITHER = [
    "Did everybody have a good weekend?",
    "The train was late again this morning.",
    "I will never understand these forms.",
    "That would be very nice indeed.",
    "Can you see the second chart?",
    "Revenue grew more slowly than we expected.",
    "I must admit that I am surprised.",
    "Maybe we should discuss that another time.",
    "You could hear a pin drop.",
    "Thanks everyone, see you next week.",
]


def tomorrow_here() -> date:
    """As a calendar on the wall says it."""
    return (datetime.now().astimezone() + timedelta(days=1)).date()


async def test_a_spoken_meeting_becomes_notes(models: None, tiny: FasterWhisper, tmp_path: Path) -> None:
    for name in ("whisper-base", "minilm", "piper"):
        need(name)
    settings = read_settings(FOLDER / "settings.toml", Settings).model_copy(update={"output": tmp_path})
    lines: list[str] = []
    tomorrow = tomorrow_here()
    status = await COMMAND.run(settings, FOLDER, demo=True, port=0, page_port=0, say=lines.append)
    assert (status, [line for line in lines if line.startswith("✗")]) == (0, [])
    (folder,) = [path.parent for path in tmp_path.glob("demo/*/notes.md")]  # noqa: ASYNC240 - a folder of the test
    notes = (folder / "notes.md").read_text(encoding="utf-8")
    decided, actions, transcript = notes.split("## ")[1:]
    assert {"blue", "design", "website"} <= set(folded(decided))
    assert "**Bob**" in actions
    # Midnight may have passed meanwhile.
    assert any(f"({day})" in actions for day in (tomorrow, tomorrow_here()))
    assert transcript.count("](audio.wav#t=") == 5
    # What a line links to is what was said there.
    audio, rate_hz = read_wav(folder / "audio.wav")
    start_s = next(
        float(line.split("#t=")[1].split(")")[0]) for line in transcript.splitlines() if "decided" in line
    )
    heard = await tiny.transcribe(
        audio[2 * int(start_s * rate_hz) : 2 * int((start_s + 4) * rate_hz)], sample_rate=rate_hz
    )
    assert {"blue", "design"} <= set(folded(heard.text))


async def test_sentences_that_the_rules_have_not_seen(minilm: MiniLm) -> None:
    rules = Rules(minilm)
    wrong = []
    for wanted, sentences in (("decision", DECISIONS), ("action", ACTIONS), ("neither", NEITHER)):
        for sentence in sentences:
            said = [Said(1, "Bob", 0.0, 1.0, "Hello."), Said(2, "Ann", 1.0, 2.0, sentence)]
            found = await rules.summarise(said, today=date(2026, 12, 2))
            got = "decision" if found.decisions else "action" if found.actions else "neither"
            if got != wanted:
                wrong.append((wanted, got, sentence))
    assert len(wrong) <= 2, wrong  # of 23
