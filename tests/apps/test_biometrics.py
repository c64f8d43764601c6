# SPDX-License-Identifier: Apache-2.0
"""Biometrics with the real encoder: the demo, the commands, and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import biometrics
import pytest
from biometrics.__main__ import COMMAND
from biometrics.app import Settings
from biometrics.measure import measure
from support.engines import need
from support.spoken import whole

from audio_connector.engines.espeak import Espeak
from audio_connector.engines.piper import Piper
from audio_connector.engines.speaker import Speaker
from audio_connector.live.settings import read_settings
from audio_connector.testing import Audio

pytestmark = pytest.mark.apps

FOLDER = Path(biometrics.__file__ or "").parent
TEXTS = (
    "I would like to know when my parcel arrives, because I am not at home on Friday.",
    "The weather was so bad that we stayed inside, and played cards until it was dark.",
    "My sister lives in a small town by the sea, and comes to see us twice a year.",
    "Please tell me which of these two trains is the faster one, and what it costs.",
)


@pytest.fixture
def settings(tmp_path: Path, models: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for engine in ("speaker", "piper"):
        need(engine)
    monkeypatch.delenv("BIOMETRICS_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return read_settings(FOLDER / "settings.toml", Settings)


async def test_the_demo_accepts_the_reader_and_nobody_else(settings: Settings, tmp_path: Path) -> None:
    said: list[str] = []
    status = await COMMAND.run(settings, FOLDER, demo=True, port=0, page_port=0, say=said.append)
    assert status == 0, said
    assert b"Reader" not in (tmp_path / "output/biometrics/demo/biometrics.vault").read_bytes()
    assert not settings.vault.exists()  # of real calls
    assert not list((tmp_path / "output").rglob("*.key"))  # which a page would give to anybody
    (accepted,) = [line for line in said if line.startswith("accepted")]
    assert "after 3." in accepted


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = COMMAND.main(list(map(str, words)))
    return status, "".join(capsys.readouterr())


def test_the_commands_enrol_compare_forget_and_rotate(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("unless-to-be", "he-was-not"):
        Audio.of(f"sample:{name}").save(tmp_path / f"{name}.wav")
    clips: Sequence[object] = ("unless-to-be.wav", "he-was-not.wav")
    other = FOLDER / "had-he-married.wav"
    assert run(capsys, "list") == (0, f"nobody is enrolled in {tmp_path / 'biometrics.vault'}\n")
    assert run(capsys, "verify", "Reader", other)[0] == 1
    with pytest.raises(SystemExit):
        COMMAND.main(["enrol", "Reader", "unless-to-be.wav"])
    assert "--consent" in capsys.readouterr().err
    status, said = run(capsys, "enrol", "Reader", clips[1], "--consent", "public domain")
    assert (status, "s of speech; expected 6 s, enrol_s of the settings" in said) == (2, True), said
    status, said = run(capsys, "enrol", "Reader", *clips, "--consent", "public domain")
    assert status == 0, said
    status, said = run(capsys, "verify", "Reader", other)
    assert status == 0, said
    assert said.startswith("accepted: Reader (0.")
    assert run(capsys, "who", other)[1].startswith("recognised: Reader")
    status, said = run(capsys, "verify", "Reader", clips[0])
    assert (status, "the same recording was heard before" in said) == (1, True)
    old = (tmp_path / "biometrics.key").read_bytes()
    assert run(capsys, "rotate")[1].startswith("✓ 1 enrolments")
    assert (tmp_path / "biometrics.key").read_bytes() != old
    assert "Reader: 20" in run(capsys, "list")[1]
    assert run(capsys, "forget", "Reader")[0] == 0
    assert run(capsys, "forget", "Reader") == (1, "✗ nobody is enrolled as 'Reader'\n")
    assert run(capsys, "who", other)[1].startswith("unknown: nobody")
    (tmp_path / "biometrics.key").chmod(0o644)
    status, said = run(capsys, "enrol", "Reader", *clips, "--consent", "public domain")
    assert (status, "chmod 600" in said) == (2, True)


async def test_what_is_measured_on_three_voices_is_what_they_are(
    settings: Settings, speaker: Speaker, piper: Piper, espeak: Espeak, tmp_path: Path
) -> None:
    """Three voices far apart, two of them synthetic: this shows that it counts, and not what it is worth."""
    folder = tmp_path / "voices"
    for name, voice in (("joe", piper), ("espeak", espeak)):
        (folder / name).mkdir(parents=True)
        for number, text in enumerate(TEXTS):
            audio = Audio(await whole(voice.say(text)), voice.sample_rate)
            audio.save(folder / name / f"{number}.wav")
    (folder / "reader").mkdir()
    for clip in ("sample:unless-to-be", "sample:he-was-not", str(FOLDER / "had-he-married.wav")):
        Audio.of(clip).save(folder / "reader" / f"{len(list((folder / 'reader').iterdir()))}.wav")
    measured = await measure(folder, speaker, line_hz=16_000, seconds=2.5, enrol_pieces=1)
    assert measured.speakers == 3
    equal = measured.equal()
    assert (equal.false_accepts + equal.false_rejects) / 2 < 0.1
    (folder / "reader").rename(tmp_path / "reader")
    (folder / "joe").rename(tmp_path / "joe")
    with pytest.raises(ValueError, match=r"got 1 speaker in .*; expected a folder for each, two at least"):
        await measure(folder, speaker, line_hz=16_000, seconds=2.5)
