# SPDX-License-Identifier: Apache-2.0
"""``simulate`` with a scenario, conditions and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli_peer import Peer

from audio_connector.cli import main

Capture = pytest.CaptureFixture[str]
Write = Callable[[str], str]

SCENARIO = """
name: Two of them
headers: {{ tenant: acme }}
participants:
  - name: Ann
    path: /burst
    say: {wav}
  - name: Bob
    path: /burst
    joins_at_s: 0.1
    headers: {{ language: en }}
    steps: [{{ at_s: 0.05, dtmf: 5 }}]
tail_s: 0.2
"""


@pytest.fixture
def scenario(tmp_path: Path, wav: str) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "calls.yaml"
        path.write_text(text.format(wav=Path(wav).name), encoding="utf-8")
        return str(path)

    return write


def run(peer: Peer, *options: str) -> int:
    return main(["simulate", peer.url, *options])


def test_a_scenario_makes_its_calls(peer: Peer, scenario: Write, capsys: Capture) -> None:
    file = scenario(SCENARIO)
    assert run(peer, "--scenario", file, "--header", "extra=1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [call["name"] for call in shown["calls"]] == ["Ann", "Bob"]
    assert [call["events_sent"][1:] for call in shown["calls"]] == [
        ["Disconnected"],
        ["Dtmf", "Disconnected"],
    ]
    assert len({call["session_id"] for call in shown["calls"]}) == 1
    assert len({call["connection_id"] for call in shown["calls"]}) == 2
    assert [(each.get("tenant"), each.get("language"), each["extra"]) for each in peer.headers] == [
        ("acme", None, "1"),
        ("acme", "en", "1"),
    ]
    assert shown["calls"][0]["trace"]["events"][0]["name"] == "connected"
    assert shown["in_sum"]["audio_received_ms"] == 200.0
    assert [call["figures"]["audio_received_ms"] for call in shown["calls"]] == [100.0, 100.0]


def test_a_scenario_may_name_the_server_itself(peer: Peer, scenario: Write) -> None:
    assert main(["simulate", "--scenario", scenario(f"url: {peer.url}" + SCENARIO)]) == 0


def test_a_condition_decides_alone(peer: Peer, wav: str, capsys: Capture) -> None:
    sloppy = ["simulate", peer.url + "/sloppy", "--wav", wav, "--tail", "0.2"]
    assert main([*sloppy, "--fail-on", "overflow_ms>0"]) == 0
    assert "passed: the condition held" in capsys.readouterr().out
    assert main([*sloppy, "--fail-on", "wrong_sizes>0", "--fail-on", "turns<1", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], shown["conditions"]) == (False, ["wrong_sizes>0", "turns<1"])
    assert len(shown["conditions_failed"]) == 2


def test_the_conditions_of_a_scenario_count_as_well(peer: Peer, scenario: Write, capsys: Capture) -> None:
    file = scenario(SCENARIO + "fail_on: ['audio_received_ms>=100']\n")
    assert run(peer, "--scenario", file, "--fail-on", "sum.clears>5") == 1
    assert "audio_received_ms>=100" in capsys.readouterr().out


def test_the_page_is_written_and_tells_of_the_conditions(
    peer: Peer, scenario: Write, tmp_path: Path, capsys: Capture
) -> None:
    page = tmp_path / "report.html"
    assert run(peer, "--scenario", scenario(SCENARIO), "--html", str(page), "--fail-on", "turns<1") == 1
    html = page.read_text(encoding="utf-8")
    assert "Two of them" in html
    assert "turns&lt;1" in html
    assert str(page) in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "which server? expected ws://host:port/path, or --scenario FILE with a url in it"),
        (
            ("ws://127.0.0.1:1", "--fail-on", "underuns>0"),
            "'underuns>0': there is no figure 'underuns'; did you mean 'underruns'?",
        ),
        (
            ("ws://127.0.0.1:1", "--fail-on", "underruns"),
            "'underruns' is no condition: expected NAME SIGN NUMBER, for example 'underrun_ms>0'",
        ),
        (
            ("ws://127.0.0.1:1", "--profile", "voce"),
            "--profile is 'voce'; expected one of video, wsbridge, voice",
        ),
        (
            ("ws://127.0.0.1:1", "--html", "/nowhere/report.html"),
            "--html /nowhere/report.html: there is no folder /nowhere",
        ),
        (
            ("ws://127.0.0.1:1", "--record", "x.mp3"),
            "--record x.mp3: expected a file that ends in .wav, or a folder",
        ),
        (("ws://127.0.0.1:1", "--scenario", "nowhere.yaml"), "nowhere.yaml: No such file or directory"),
        (
            ("ws://127.0.0.1:1", "--scenario", "x.yaml", "--wav", "y.wav"),
            "--wav does not go with --scenario; its file says it: say",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(options: tuple[str, ...], line: str, capsys: Capture) -> None:
    assert main(["simulate", *options]) == 2
    assert capsys.readouterr() == ("", f"audio-connector: {line}\n")


def test_a_typo_in_a_scenario_is_one_line_with_its_place(
    peer: Peer, scenario: Write, capsys: Capture
) -> None:
    file = scenario(SCENARIO.replace("dtmf", "dmtf"))
    assert run(peer, "--scenario", file) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"audio-connector: {file}, line 12: participants.1.steps.0: dmtf is not a field; did you mean 'dtmf'?\n"
    )
    assert peer.headers == []


def test_a_wav_that_a_scenario_names_is_looked_for_beside_it(
    peer: Peer, scenario: Write, tmp_path: Path, capsys: Capture
) -> None:
    file = scenario(SCENARIO.replace("{wav}", "gone.wav"))
    assert run(peer, "--scenario", file) == 2
    assert str(tmp_path / "gone.wav") in capsys.readouterr().err
