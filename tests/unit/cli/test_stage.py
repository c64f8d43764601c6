# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from audio_connector.audio.wav import WavWriter
from audio_connector.cli.plot import check_plot, save_plot
from audio_connector.cli.stage import SILENCE_DB, Stage, Tap, compare, find_samples
from audio_connector.cli.view import show_summary, stage_view
from audio_connector.errors import UsageError
from audio_connector.simulator import CallReport

ONE = b"\x01\x10\x02\x20\x03\x30"
TWO = b"\x04\x40\x05\x50"
QUIET = bytes(100)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with (
        WavWriter(str(tmp_path / "spoken.wav"), 16000) as spoken,
        WavWriter(str(tmp_path / "heard.wav"), 16000) as heard,
    ):
        yield Stage(Tap(spoken, 16000), Tap(heard, 16000), address="ws://127.0.0.1:1", planned_s=2.0)


def test_every_sample_back_is_no_problem() -> None:
    spoken = QUIET + ONE + QUIET + TWO + QUIET
    assert compare(spoken, QUIET * 3 + ONE + TWO + QUIET, [ONE, TWO], 2) == []
    assert compare(QUIET, QUIET, [], 0) == []


@pytest.mark.parametrize(
    ("spoken", "heard", "sentences", "problem"),
    [
        (ONE, ONE, [ONE], "the parrot understood 1 sentences; 2 were spoken"),
        (
            QUIET + TWO,
            ONE + TWO,
            [ONE, TWO],
            "sentence 1: what the parrot received is not what the caller said",
        ),
        (
            ONE + TWO,
            ONE[:-2] + TWO,
            [ONE, TWO],
            "sentence 1: what the session heard is not what the parrot said",
        ),
        (
            ONE + TWO,
            ONE + QUIET,
            [ONE, TWO],
            "sentence 2: what the session heard is not what the parrot said",
        ),
        (ONE + TWO, TWO + ONE, [ONE, TWO], "before sentence 1 the session heard what the parrot did not say"),
        (
            ONE + TWO,
            ONE + b"\1\1" + TWO,
            [ONE, TWO],
            "before sentence 2 the session heard what the parrot did not say",
        ),
        (
            ONE + TWO,
            ONE + TWO + b"\1\1",
            [ONE, TWO],
            "at the end the session heard what the parrot did not say",
        ),
        (ONE + TWO, ONE[:2] + QUIET + ONE[2:] + TWO, [ONE, TWO], "sentence 1: what the session heard"),
    ],
)
def test_one_sample_lost_or_changed_is_told(
    spoken: bytes, heard: bytes, sentences: list[bytes], problem: str
) -> None:
    assert any(found.startswith(problem) for found in compare(spoken, heard, sentences, 2))


def test_samples_are_only_found_at_whole_samples() -> None:
    assert find_samples(b"\0\1\2\3\4\5", b"\2\3") == 2
    assert find_samples(b"\0\0\1\2\3\4", b"\1\2") == 2
    assert find_samples(b"\0\1\2\3", b"\1\2") == -1
    assert find_samples(b"\0\1\2\0\1\2", b"\1\2") == 4
    assert find_samples(b"", b"\1\2") == -1


def test_levels_are_peaks_of_equal_parts(stage: Stage) -> None:
    stage.spoken.write(b"\x00\x40" * 16000)
    stage.spoken.write(bytes(16000))
    levels = stage.spoken.levels_db(4, 2.0)
    assert levels == pytest.approx([-6.02, -6.02, SILENCE_DB], abs=0.01)
    assert stage.heard.levels_db(4, 2.0) == []


def test_the_picture_shows_both_sides_the_buffer_and_the_events(stage: Stage) -> None:
    console = Console(width=110, record=True, file=None, quiet=False)
    told: list[str] = []
    stage.tell = lambda _, text: told.append(text)
    with console.capture() as capture:
        console.print(stage_view(stage))
    assert "caller says" in capture.get()
    stage.spoken.write(b"\x00\x40" * 16000)
    stage.depths.append((1.0, 180.0))
    stage.hear(b"\x00\x40" * 8000)
    for number in range(20):
        stage.note(f"event {number}")
    with console.capture() as capture:
        console.print(stage_view(stage))
    shown = capture.get()
    assert "█" in shown
    assert "180 ms" in shown
    assert "event 19" in shown
    assert "event 3 " not in shown
    assert told[0] == "the parrot understood sentence 1, 0.50 s, and says it back"


def test_a_drawing_is_made(stage: Stage, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.png"
    check_plot(path)
    save_plot(path, stage)
    stage.spoken.write(ONE * 4000)
    stage.heard.write(bytes(4000) + ONE)
    stage.sentences += [ONE, b"\7\7"]
    stage.depths += [(0.0, 0.0), (0.1, 200.0)]
    save_plot(path, stage)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("audio_connector.cli.plot.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'audio-connector\[plot\]'"):
        check_plot(tmp_path / "plot.png")


def test_the_summary_of_many_failed_calls_stays_short() -> None:
    console = Console(width=110)
    reports = [CallReport(url="ws://x", error=f"failure {number}") for number in range(20)]
    with console.capture() as capture:
        console.print()
        show_summary(console, [*reports, CallReport(url="ws://x", duration_s=1.0, latest_tick_ms=50.0)])
    shown = capture.get()
    assert "1 of 21" in shown
    assert "and 14 more" in shown
    assert "50 ms late itself" in shown
