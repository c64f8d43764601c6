# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from audio_connector.audio.wav import read_wav
from audio_connector.cli import main
from audio_connector.simulator import sample_speech

pytestmark = pytest.mark.programs

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """One word per sentence: the demo runs in real time."""

    def words(names: Sequence[str], *, rate_hz: int, pauses_s: Sequence[float]) -> bytes:
        del pauses_s
        word = sample_speech(names[:1], rate_hz=rate_hz)[: rate_hz // 2 * 2]
        return (word + bytes(2 * 2 * rate_hz)) * len(names)

    monkeypatch.setattr("audio_connector.cli.demo.sample_speech", words)
    monkeypatch.setattr("audio_connector.cli.demo.TAIL_S", 3.0)


def test_every_sample_comes_back_and_both_sides_are_written(tmp_path: Path, capsys: Capture) -> None:
    assert main(["demo", "--quick", "--rate", "24000", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "samples came back bit for bit" in shown
    assert "the parrot understood sentence 1" in shown
    assert "the session has heard answer 1" in shown
    for name in ("spoken.wav", "heard.wav"):
        pcm, rate_hz = read_wav(str(tmp_path / name))
        assert rate_hz == 24000
        assert any(pcm)


def test_a_changed_sample_is_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("audio_connector.cli.demo.compare", lambda *_: ["sentence 1: one sample differs"])
    assert main(["demo", "--quick", "--out", str(tmp_path)]) == 1
    assert "one sample differs" in capsys.readouterr().out


def test_on_a_terminal_the_picture_is_shown_and_the_plot_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    plot = tmp_path / "plot.png"
    assert main(["demo", "--quick", "--out", str(tmp_path), "--save-plot", str(plot)]) == 0
    assert "session hears" in capsys.readouterr().out
    assert plot.stat().st_size > 10_000
