# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli_peer import FRAME, Peer

from audio_connector.audio.wav import read_wav
from audio_connector.cli import main

Capture = pytest.CaptureFixture[str]


Simulate = Callable[..., int]


@pytest.fixture
def simulate(peer: Peer, wav: str) -> Simulate:
    def run(path: str, *options: str) -> int:
        return main(["simulate", peer.url + path, "--wav", wav, "--tail", "0.2", *options])

    return run


def test_a_clean_call_is_status_0_and_a_table(simulate: Simulate, capsys: Capture) -> None:
    assert simulate("/burst") == 0
    shown = capsys.readouterr().out
    assert "clean: nothing was lost" in shown
    assert "1000 by the router" in shown
    assert "100 ms" in shown


def test_a_log_without_a_screen_says_that_it_goes_on(simulate: Simulate, peer: Peer, capsys: Capture) -> None:
    assert simulate("/burst?token=secret", "--calls", "2", "--allow-silence") == 0
    assert capsys.readouterr().err == f"audio-connector: connected to {peer.url}/burst?…; 2 calls ...\n"


def test_something_lost_is_status_1_and_says_what(simulate: Simulate, capsys: Capture) -> None:
    assert simulate("/sloppy") == 1
    assert "1 message of a wrong size, 638 bytes lost" in capsys.readouterr().out


def test_a_server_that_breaks_off_is_status_1(simulate: Simulate, capsys: Capture) -> None:
    assert simulate("/leaves") == 1
    assert "broke in the middle of the call: 1011 'out of order'" in capsys.readouterr().out


@pytest.mark.parametrize("conditions", [(), ("--fail-on", "underrun_ms>0")])
def test_a_bot_that_says_nothing_or_hangs_up_fails_unless_it_may(
    simulate: Simulate, capsys: Capture, conditions: tuple[str, ...]
) -> None:
    assert simulate("/", *conditions) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "the bot said nothing, though it was spoken to (--allow-silence, where it only listens)" in shown
    assert "clean" not in shown.replace("not clean", "")
    assert simulate("/", "--allow-silence", *conditions) == 0
    assert simulate("/bye", *conditions) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "the server ended the call before it was over: 1000 'bye' (--allow-hangup, where it may)" in shown
    assert simulate("/bye", "--allow-hangup", "--allow-silence", *conditions) == 0


def test_a_scenario_may_allow_it_as_well(peer: Peer, tmp_path: Path) -> None:
    scenario = tmp_path / "listens.yaml"
    scenario.write_text("participants:\n- {say: 'sample:he-was-not', say_for_s: 0.2}\ntail_s: 0.1\n")
    assert main(["simulate", peer.url, "--scenario", str(scenario)]) == 1
    scenario.write_text(scenario.read_text() + "allow_silence: true\n")
    assert main(["simulate", peer.url, "--scenario", str(scenario)]) == 0


def test_a_call_without_length_is_not_clean(peer: Peer, capsys: Capture) -> None:
    assert main(["simulate", peer.url, "--duration", "0", "--tail", "0"]) == 1
    assert "there was no call: it was over before anything was said" in capsys.readouterr().out


@pytest.mark.parametrize("status", [404, 500])
def test_an_http_answer_is_status_2_and_one_line(status: int, simulate: Simulate, capsys: Capture) -> None:
    assert simulate(f"/{status}") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("audio-connector: ws://127.0.0.1:")
    assert f"HTTP {status}" in shown.err
    assert shown.err.count("\n") == 1


def test_nobody_listening_is_status_2_and_one_line(peer: Peer, capsys: Capture) -> None:
    peer.close()
    assert main(["simulate", peer.url, "--calls", "3"]) == 2
    shown = capsys.readouterr()
    assert peer.url in shown.err
    assert shown.err.count("\n") == 1


def test_json_is_the_only_output_and_complete(simulate: Simulate, capsys: Capture) -> None:
    assert simulate("/sloppy", "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["is_clean"] is False
    assert len(shown["calls"]) == 1
    assert shown["calls"][0]["playout"]["wrong_size_messages"] == 1
    assert shown["calls"][0]["problems"] == ["1 message of a wrong size, 638 bytes lost"]


def test_headers_and_rate_arrive(simulate: Simulate, peer: Peer, capsys: Capture) -> None:
    options = ("-H", "caller=Ann", "-H", "note=a=b", "--rate", "8000", "--allow-silence", "--json")
    assert simulate("/", *options) == 0
    assert (peer.headers[-1]["caller"], peer.headers[-1]["note"]) == ("Ann", "a=b")
    assert json.loads(capsys.readouterr().out)["calls"][0]["rate_hz"] == 8000


def test_many_calls_are_summed_and_problems_of_one_kind_are_one_line(
    simulate: Simulate, capsys: Capture
) -> None:
    assert simulate("/sloppy", "--calls", "3") == 1
    shown = capsys.readouterr().out
    assert "3 of 3" in shown
    assert "messages of a wrong size: 3, in 3 of 3 calls" in shown


def test_recording_to_a_file_and_to_a_folder(simulate: Simulate, tmp_path: Path, capsys: Capture) -> None:
    assert simulate("/burst", "--record", str(tmp_path / "answer.wav")) == 0
    heard, rate_hz = read_wav(str(tmp_path / "answer.wav"))
    assert (heard.count(FRAME), rate_hz) == (5, 16000)
    assert simulate("/burst", "--record", str(tmp_path / "one")) == 0
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["heard.wav", "spoken.wav"]
    assert read_wav(str(tmp_path / "one" / "spoken.wav"))[0][: 3 * 640] == FRAME * 3
    assert simulate("/burst", "--record", str(tmp_path / "two"), "--calls", "2") == 0
    assert len(list((tmp_path / "two").iterdir())) == 4
    assert "and 2 more" in capsys.readouterr().out


def test_a_page_tells_of_the_conditions_that_decided(
    simulate: Simulate, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "report.html"
    assert simulate("/sloppy", "--html", str(path), "--fail-on", "underruns>0", "--allow-silence") == 0
    page = path.read_text(encoding="utf-8")
    assert "passed: the condition held" in page
    assert "underruns&gt;0" in page
    assert "1 message of a wrong size" in page
    assert str(path) in capsys.readouterr().out.replace("\n", "")


def test_a_page_that_cannot_be_written_is_status_2(
    simulate: Simulate, tmp_path: Path, capsys: Capture
) -> None:
    assert simulate("/burst", "--html", str(tmp_path)) == 2
    assert f"--html {tmp_path}: cannot be written: Is a directory" in capsys.readouterr().err


def test_on_a_terminal_the_progress_is_shown(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert simulate("/burst", "--insecure") == 0
    shown = capsys.readouterr().out
    assert "calls 1/1" in shown
    assert "clean" in shown


def test_without_a_wav_the_packaged_speech_is_used(peer: Peer, capsys: Capture) -> None:
    assert main(["simulate", peer.url, "--duration", "0.1", "--tail", "0", "--allow-silence", "--json"]) == 0
    call = json.loads(capsys.readouterr().out)["calls"][0]
    assert call["frames_sent"] == 5
    assert call["speech_frames_sent"] > 0
