# SPDX-License-Identifier: Apache-2.0
"""Which engines a run loads, and what it says where they are missing; with engines that only spell."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.cli_peer import Peer
from support.talking import Reader, Speller

from audio_connector.cli import main
from audio_connector.engines import EngineMissing
from audio_connector.engines.choosing import ADAPTERS
from audio_connector.errors import UsageError
from audio_connector.simulator import Persona, RouterCall, Rule, SayText
from audio_connector.simulator.talk.persona import ChatModel
from audio_connector.testing import talk as testing_talk
from audio_connector.testing.talk import EngineVoices, key_of, open_talk, spoken_folder, table_of

Capture = pytest.CaptureFixture[str]

URL = "ws://127.0.0.1:1"
NO_PIPER = EngineMissing("Piper is not there", mend="pip install piper")
NO_ESPEAK = EngineMissing("espeak-ng is not there", mend="apt install espeak-ng")


class Machine:
    """A machine with engines that spell; notes which were made, and of what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, missing: Mapping[str, Exception]) -> None:
        self.made: list[tuple[str, str, Any]] = []

        def make(job: str, table: Mapping[str, Any]) -> Any:
            kind = table["engine"]
            made = Speller(missing=missing.get(kind)) if job == "synthesiser" else Reader()
            self.made.append((kind, table.get("voice") or table.get("model", ""), made))
            return made

        monkeypatch.setattr(testing_talk, "engine_of", make)

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(kind, name) for kind, name, _ in self.made]

    @property
    def are_closed(self) -> bool:
        return not any(engine.is_open for _, _, engine in self.made)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Machine(monkeypatch, {})


async def test_piper_speaks_where_it_is_there(machine: Machine) -> None:
    voices = EngineVoices()
    assert await voices.named(None) == ("piper", machine.made[0][2])
    assert await voices.named(None) == await voices.named("piper")
    assert (await voices.named("espeak:de"))[0] == "espeak:de"
    assert machine.names == [("piper", ""), ("espeak-ng", "de")]
    await voices.close()
    assert machine.are_closed


async def test_espeak_speaks_where_piper_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, {"piper": NO_PIPER})
    assert (await EngineVoices().named(None))[0] == "espeak"
    with pytest.raises(EngineMissing, match="mend it with: pip install piper"):
        await EngineVoices("piper").named(None)


async def test_where_no_voice_is_there_it_says_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, {"piper": NO_PIPER, "espeak-ng": NO_ESPEAK})
    with pytest.raises(
        EngineMissing, match="no voice is there to speak the texts with; mend it with: pip install piper"
    ):
        await EngineVoices().named(None)


async def test_a_voice_that_nobody_knows_is_refused_before_it_is_needed() -> None:
    with pytest.raises(
        UsageError, match=r"there is no voice 'alexa'; expected one of piper, espeak-ng, openai"
    ):
        EngineVoices("alexa")


def persona(**values: Any) -> Persona:
    return Persona(goal="x", rules=[Rule(when="a", say="b", then="hang_up")], **values)


@pytest.mark.parametrize(
    ("call", "recogniser", "names"),
    [
        (RouterCall(url=URL), None, []),
        (RouterCall(url=URL, transcribe=True), None, [("faster-whisper", "tiny.en")]),
        (RouterCall(url=URL, transcribe=True), "whisper:small", [("faster-whisper", "small")]),
        (RouterCall(url=URL, persona=persona(language="en")), None, [("faster-whisper", "tiny.en")]),
        (RouterCall(url=URL, persona=persona(language="de")), None, [("faster-whisper", "base")]),
        (
            RouterCall(url=URL, transcribe=True, speech=SayText(text="ja", language="de")),
            None,
            [("faster-whisper", "base")],
        ),
        (RouterCall(url=URL, transcribe=True), "deepgram", [("deepgram", "")]),
        (RouterCall(url=URL, transcribe=True), "openai:whisper-1", [("openai", "whisper-1")]),
    ],
)
async def test_only_what_is_needed_is_loaded(
    machine: Machine, call: RouterCall, recogniser: str | None, names: list[tuple[str, str]]
) -> None:
    told: list[str] = []
    async with open_talk([call], voice=None, recogniser=recogniser, tell=told.append) as talk:
        assert machine.names == names
        assert (talk.recogniser is not None) == bool(names)
        assert talk.cache == spoken_folder()
    assert machine.are_closed
    assert len(told) == len(names)


@pytest.mark.parametrize(("job", "own"), [("recogniser", "model"), ("synthesiser", "voice")])
def test_what_stands_behind_the_colon_is_a_setting_of_every_engine(job: str, own: str) -> None:
    for name, adapter in ADAPTERS[job].items():
        assert table_of(job, f"{name}:x:y") == {"engine": name, own: "x:y"}
        assert own in inspect.signature(adapter()).parameters


async def test_personas_of_several_chat_models_are_refused(machine: Machine) -> None:
    calls = [RouterCall(url=URL, persona=persona(model=ChatModel(model=name))) for name in "aba"]
    with pytest.raises(UsageError, match="name several chat models; expected one for all calls"):
        async with open_talk(calls, voice=None, recogniser=None, tell=print):
            pass


def test_words_are_a_gate(machine: Machine, peer: Peer, wav: str, capsys: Capture) -> None:
    options = ["simulate", f"{peer.url}/welcomes", "--wav", wav, "--tail", "0.6"]
    assert main([*options, "--said", "welcome", "--never-said", "sorry", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["conditions"] == ["said 'welcome'", "never_said 'sorry'"]
    [call] = report["calls"]
    assert [line["text"] for line in call["transcript"] if line["who"] == "bot"] == ["welcome goodbye"]
    assert main([*options, "--never-said", "goodbye"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "call 1: never_said 'goodbye': the bot said 'welcome goodbye'" in shown
    assert "bot welcome goodbye" in shown
    assert machine.are_closed


def test_a_persona_calls(machine: Machine, peer: Peer, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "guest.yaml"
    path.write_text("goal: leave\npause_s: 0.3\nrules: [{when: goodbye, say: ok, then: hang_up}]\n")
    assert (
        main(["simulate", f"{peer.url}/welcomes", "--persona", str(path), "--html", str(tmp_path / "r.html")])
        == 0
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert "goal reached after 1 turn, by rules: leave" in shown
    assert "caller ok" in shown
    page = (tmp_path / "r.html").read_text()
    assert "goal reached after 1 turn" in page
    assert "welcome goodbye" in page
    assert (
        len(list(spoken_folder().iterdir())) == 2
    )  # what it says, and what it says where it understands nothing


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--wav", "x.wav"], "--wav does not go with --persona; its file says it: opening and rules"),
        (["--tail", "3"], "--tail does not go with --persona; its file says it: patience_s"),
        (["--rate", "1"], "--rate is 1; expected one of 8000, 16000, 24000"),
        (["--profile", "x"], "--profile is 'x'; expected one of"),
        (
            ["--scenario", "s.yaml"],
            "--persona does not go with --scenario; its file says it: participants, each of which may have a persona",
        ),
        (["--seed", "1", "--scenario", "s.yaml"], "--persona does not go with --scenario"),
        (["--said", "?"], "--said '?': it has no word in it"),
        (["--never-said", ""], "--never-said '': it has no word in it"),
        (["--voice", "alexa"], "there is no voice 'alexa'; expected one of piper, espeak-ng,"),
        (
            ["--recogniser", "ears"],
            "there is no recogniser 'ears'; expected one of faster-whisper, openai, deepgram,",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(
    machine: Machine, tmp_path: Path, capsys: Capture, options: list[str], told: str
) -> None:
    path = tmp_path / "guest.yaml"
    path.write_text("goal: leave\nrules: [{when: goodbye, then: hang_up}]\n")
    assert main(["simulate", URL, "--persona", str(path), *options]) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


def test_a_scenario_of_personas_tells_of_each_whether_it_reached_its_goal(
    machine: Machine, peer: Peer, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "guest.yaml").write_text("name: Ann\ngoal: leave\nrules: [{when: goodbye, then: hang_up}]\n")
    path = tmp_path / "two.yaml"
    path.write_text(
        "participants:\n- {persona: guest.yaml}\n"
        "- name: Bob\n  persona: {goal: eat, patience_s: 1, rules: [{when: dinner, then: hang_up}]}\n"
    )
    assert main(["simulate", f"{peer.url}/welcomes", "--scenario", str(path), "--json"]) == 1
    calls = json.loads(capsys.readouterr().out)["calls"]
    told = [(call["name"], call["outcome"]["reached"], call["outcome"]["ended"]) for call in calls]
    assert told == [("Ann", True, "rule"), ("Bob", False, "patience")]
    assert machine.are_closed


def test_calls_of_a_persona_have_seeds_of_their_own(
    machine: Machine, peer: Peer, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "guest.yaml"
    path.write_text("goal: leave\npause_s: 0.3\nrules: [{when: goodbye, then: hang_up}]\n")
    options = ["--persona", str(path), "--calls", "2", "--seed", "7", "--json"]
    assert main(["simulate", f"{peer.url}/welcomes", *options]) == 0
    calls = json.loads(capsys.readouterr().out)["calls"]
    assert [call["name"] for call in calls] == ["caller, seed 7", "caller, seed 8"]


def test_a_seed_without_a_persona_is_refused(capsys: Capture) -> None:
    assert main(["simulate", URL, "--seed", "1"]) == 2
    assert "--seed goes with --persona; a scenario has impairments.seed" in capsys.readouterr().err


def test_a_server_that_a_file_names_gets_no_key_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the vendor's")
    monkeypatch.setenv("MY_KEY", "mine")
    other = "http://localhost:1/v1"
    assert key_of(ChatModel(model="m")) is None  # the client takes the vendor's
    assert key_of(ChatModel(model="m", base_url=other)) == "none"
    assert key_of(ChatModel(model="m", base_url=other, key_env="MY_KEY")) == "mine"
    with pytest.raises(
        EngineMissing, match=r"takes its key from NO_KEY_HERE, which is not set; mend it with: export"
    ):
        key_of(ChatModel(model="m", key_env="NO_KEY_HERE"))
