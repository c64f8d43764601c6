# SPDX-License-Identifier: Apache-2.0
"""``audio-connector report``: what a recording is shown as, and what is said of a file that is none."""

from __future__ import annotations

import asyncio
import wave
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from support.html_page import parse_page

from audio_connector import AudioConnectorConnection, Recorder
from audio_connector.audio.riff import append_chunk
from audio_connector.audio.wav import WavWriter
from audio_connector.cli import main
from audio_connector.cli.report import read_recording
from audio_connector.recording.notes import CHUNK, Note, Notes, write_notes
from audio_connector.simulator.samples import SAMPLES
from audio_connector.simulator.speech import sample_speech
from audio_connector.testing import Audio, run_in_virtual_time, serve

Capture = pytest.CaptureFixture[str]


def conversation(path: Path) -> Path:
    """A caller asks, is answered, and barges in."""

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, path):
            await asyncio.sleep(2.5)
            await client.send_audio_buffer(Audio.tone(300, 4.0).pcm)
            await asyncio.sleep(2.0)
            await client.flush_buffer()
            await asyncio.sleep(1.5)

    async def call() -> None:
        async with serve(bot, allow_errors=True) as server, server.call() as caller:
            await asyncio.sleep(0.5)
            await caller.say(Audio.tone(440, 1.5))
            caller.press("5")
            await asyncio.sleep(2.0)
            await caller.say(Audio.tone(440, 1.0))
            await asyncio.sleep(1.0)

    run_in_virtual_time(call())
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return conversation(tmp_path_factory.mktemp("recordings") / "call.wav")


def short(path: Path, *, channels: int = 2) -> Path:
    with WavWriter(path, 8000, channels=channels) as writer:
        writer.write(b"\1\0" * channels * 800)
    return path


def test_a_recording_becomes_a_page_beside_it(recording: Path, capsys: Capture) -> None:
    assert main(["report", str(recording)]) == 0
    page = recording.with_suffix(".html")
    assert capsys.readouterr().out == f"6.0 s, 1 answer, 1 barge-in; report: {page}\n"
    document = parse_page(page.read_text(encoding="utf-8"))
    [answers, barge_ins, events] = document.all("details")
    assert answers.first("td").text in ("2.00 s", "2.02 s")
    cells = [cell.text for cell in barge_ins.all("td")]
    assert cells[0].startswith("4.0")
    assert cells[1] == "4.50 s"
    assert len(cells) == len(barge_ins.all("th")) == 5
    assert {"flush", "websocket:dtmf", "format"} <= {row.all("td")[2].text for row in events.all("tr")[1:]}
    assert document.first("audio").attributes["src"].startswith("data:audio/wav;base64,UklGR")
    assert any("media-src data:" in meta.attributes.get("content", "") for meta in document.all("meta"))


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_answer_is_timed_from_the_last_word_and_not_from_the_noise_of_the_room(
    sample: str, tmp_path: Path
) -> None:
    """The sentence of a file ends with 180 ms of its room, or more; the call goes on in silence."""
    sentence = np.frombuffer(sample_speech([sample]), "<i2")
    begin, pause = 16000 * 2, 16000
    stereo = np.zeros((begin + len(sentence) + pause + 16000, 2), "<i2")
    stereo[begin : begin + len(sentence), 0] = sentence
    stereo[begin + len(sentence) + pause :, 1] = 8000
    with WavWriter(tmp_path / "call.wav", 16000, channels=2) as writer:
        writer.write(stereo.tobytes())
    [turn] = read_recording(tmp_path / "call.wav").turns
    assert 1150 <= turn.latency_ms <= 1350


def test_it_goes_where_it_is_told_and_is_opened(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    page = tmp_path / "page.html"
    assert main(["report", str(recording), "-o", str(page), "--open"]) == 0
    assert opened == [page.as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert main(["report", str(recording), "-o", str(page), "--open"]) == 0
    assert "no browser was found" in capsys.readouterr().out


def test_a_flight_record_says_why(tmp_path: Path) -> None:
    path = short(tmp_path / "a.wav")
    events = (
        Note(0.05, "server", "underrun", "", 0.02),
        Note(0.09, "evil", "<b>", "<script>alert(1)</script>"),
    )
    write_notes(
        path,
        Notes(
            kind="flight record", why="underrun: 1", events=events, gaps=2, gap_ms=300, slips=1, lost_ms=20
        ),
    )
    assert main(["report", str(path)]) == 0
    text = path.with_suffix(".html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    document = parse_page(text)
    assert "flight record underrun: 1" in document.first("header").text
    assert "0.3 s in 2 gaps" in document.first("header").text
    assert len(document.all("g", "fault")) == 2  # across the audio, and in the lane of the server


def test_one_of_a_program_that_was_killed_is_shown_and_said_to_be(tmp_path: Path) -> None:
    path = short(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes() + b"\1\0" * 33)  # what came after the header was written last
    assert main(["report", str(path)]) == 0
    assert "does not say what happened" in path.with_suffix(".html").read_text(encoding="utf-8")


def test_a_long_one_is_not_in_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.cli.report.MAX_AUDIO_BYTES", 1000)
    path = short(tmp_path / "a.wav")
    assert main(["report", str(path)]) == 0
    assert not parse_page(path.with_suffix(".html").read_text(encoding="utf-8")).all("audio")


def test_what_is_no_recording_is_refused_with_a_reason(tmp_path: Path, capsys: Capture) -> None:
    empty, text, mono, odd = (tmp_path / name for name in ("empty.wav", "text.wav", "mono.wav", "odd.wav"))
    empty.write_bytes(b"")
    text.write_text("hello")
    short(mono, channels=1)
    short(odd)
    with odd.open("r+b") as file:
        append_chunk(file, CHUNK, b"{")
    for arguments, told in (
        ([tmp_path / "no.wav"], "no.wav"),
        ([tmp_path], "Is a directory"),
        ([empty], "is empty"),
        ([text], "RIFF"),
        ([mono], "has 1 channel; expected a recording with two, the caller left"),
        ([odd], "are not understood"),
        ([mono, "-o", mono], "is the recording itself"),
        ([mono, "-o", tmp_path / "no" / "a.html"], "there is no folder"),
    ):
        assert main(["report", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_any_player_can_read_what_is_shown(recording: Path) -> None:
    with wave.open(str(recording)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(6.0, abs=0.03)
