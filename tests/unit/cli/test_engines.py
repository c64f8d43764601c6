# SPDX-License-Identifier: Apache-2.0
"""The list of engines in a terminal and for programs, and models that are fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audio_connector.cli import engine_costs, main
from audio_connector.cli import engines as engines_module
from audio_connector.cli.engine_costs import MEASURED, Costs, measure
from audio_connector.engines import EngineError, faster_whisper, piper
from audio_connector.engines.base.catalogue import OFFERS, Offer
from audio_connector.errors import VideoError

Capture = pytest.CaptureFixture[str]
HERE = Offer("here", "a job", "one.One", "MIT", packages=("json",))
GONE = Offer(
    "gone",
    "another job",
    "two.Two",
    "GPL",
    program=("no-such-program", "apt install it"),
    setting='embedder: engine = "two"',
)
COSTS = Costs(load_s=1.5, memory_mb=80, work="20 ms a sentence", work_ms=20)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIO_CONNECTOR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(engines_module, "OFFERS", (HERE, GONE))
    monkeypatch.setattr(engines_module, "MEASURED", {"here", "gone"})


def test_what_is_here_and_what_is_missing_is_listed(capsys: Capture) -> None:
    assert main(["engines"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "here                 here    a job (MIT)",
        "gone                 missing another job (GPL)",
        '                     embedder: engine = "two"',
        "                     no program no-such-program: apt install it",
        "What they cost here: audio-connector engines --measure",
    ]


def test_costs_are_of_what_is_here(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(name: str) -> Costs:
        measured.append(name)
        return COSTS

    monkeypatch.setattr(engines_module, "measure", measure)
    assert main(["engines", "--measure"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "                     20 ms a sentence; loads in 1.5 s, takes 80 MB"
    )
    assert measured == ["here"]


def test_one_that_cannot_be_measured_does_not_stop_the_others(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str) -> Costs:
        raise VideoError("no memory")

    monkeypatch.setattr(engines_module, "measure", fail)
    assert main(["engines", "--measure"]) == 0
    assert "cannot be measured: no memory" in capsys.readouterr().out
    assert main(["engines", "here", "--measure", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["engines"]
    assert shown["error"] == "no memory"


def test_programs_get_all_of_it_as_json(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines_module, "measure", lambda _: COSTS)
    assert main(["engines", "--json", "-m"]) == 0
    shown = json.loads(capsys.readouterr().out)
    here, gone = shown["engines"]
    assert shown["models_folder"] == str(tmp_path / "models")
    assert here == {
        "name": "here",
        "job": "a job",
        "adapter": "audio_connector.engines.one.One",
        "licence": "MIT",
        "setting": "",
        "is_local": True,
        "is_here": True,
        "missing": [],
        "costs": {"load_s": 1.5, "memory_mb": 80, "work": "20 ms a sentence", "work_ms": 20},
    }
    assert gone["missing"] == [{"what": "no program no-such-program", "mend": "apt install it"}]
    assert "costs" not in gone


def test_a_name_that_is_no_engine_is_refused(capsys: Capture) -> None:
    assert main(["engines", "wisper"]) == 2
    assert "no engine wisper; expected some of here, gone" in capsys.readouterr().err


def test_every_engine_that_works_here_can_be_measured() -> None:
    assert {offer.name for offer in OFFERS if offer.is_local} == MEASURED


@pytest.mark.parametrize(
    ("model", "module", "name"),
    [("whisper-small.en", faster_whisper, "small.en"), ("piper-en_GB-x-low", piper, "en_GB-x-low")],
)
def test_a_model_is_fetched_into_the_folder_of_models(
    model: str, module: Any, name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetch(wanted: str, folder: Path) -> None:
        assert wanted == name
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"model")

    monkeypatch.setattr(module, "fetch", fetch)
    assert main(["engines", "--get", model]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"{model} is in {tmp_path / 'models' / model}"
    assert (tmp_path / "models" / model / "inner" / "file").read_bytes() == b"model"


def test_what_is_moved_while_it_is_looked_at_stops_no_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    scan = os.scandir

    def gone(path: Any) -> Any:
        if str(path).endswith("parts"):
            raise FileNotFoundError(path)
        return scan(path)

    def fetch(name: str, folder: Path) -> None:
        (folder / "parts").mkdir()
        (folder / "model.bin").write_bytes(b"model")
        time.sleep(0.5)  # it is looked at each 0.2 s

    monkeypatch.setattr(faster_whisper, "fetch", fetch)
    monkeypatch.setattr(os, "scandir", gone)
    assert main(["engines", "--get", "whisper-own"]) == 0, capsys.readouterr()
    assert (tmp_path / "models" / "whisper-own" / "model.bin").read_bytes() == b"model"


def test_a_fetch_that_fails_leaves_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetch(_name: str, _folder: Path) -> None:
        raise EngineError("no network")

    monkeypatch.setattr(piper, "fetch", fetch)
    assert main(["engines", "--get", "piper-x"]) == 2
    assert "no network" in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("model", ["minilm", "whisper-", "piper", ""])
def test_what_cannot_be_fetched_is_refused(model: str, capsys: Capture) -> None:
    assert main(["engines", "--get", model]) == 2
    assert f"cannot fetch {model!r}; expected whisper-SIZE" in capsys.readouterr().err


def test_a_measurement_is_read_from_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        subprocess.CompletedProcess(
            [], 0, 'noise\n{"load_s": 1, "memory_mb": 2, "work": "w", "work_ms": 3}\n', ""
        ),
        subprocess.CompletedProcess([], 1, "", "Traceback\nEngineMissing: no model\n"),
        subprocess.CompletedProcess([], -9, "", ""),
        subprocess.TimeoutExpired("x", 1),
    ]

    def run(command: list[str], **_: object) -> Any:
        assert command[0] == sys.executable
        assert command[-1] == "one"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(engine_costs.subprocess, "run", run)  # type: ignore[attr-defined]
    assert measure("one") == Costs(1, 2, "w", 3)
    for fault in ("EngineMissing: no model", "one: status -9", "one was not done in 120 s"):
        with pytest.raises(VideoError, match=fault):
            measure("one")
