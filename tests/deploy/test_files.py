# SPDX-License-Identifier: Apache-2.0
"""Each file of deploy/ as the program that it is for reads it, or by that one's schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.deployed import DEPLOY
from support.proxies import PROXIES, Certificate, swapped, tool, write
from support.small_application import write_application

from audio_connector.cli.projects.applications import Application
from audio_connector.cli.projects.plan import plan
from audio_connector.cli.projects.plan import write as write_project

pytestmark = pytest.mark.deploy

OF_THE_EXTRA = "pip install 'audio-connector[deploy]'"

KUBERNETES = ("1.30", "1.37")
"""The first that the manifests are for, and the last that the package knows."""


def run(*command: object, status: int = 0) -> str:
    """What it says; it has to end with that status."""
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=60)
    said = ended.stdout + ended.stderr
    assert ended.returncode == status, said
    return said


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    assert run(tool("hadolint", OF_THE_EXTRA), DEPLOY / "Dockerfile") == ""


def test_nor_has_that_of_a_project_of_one_s_own(tmp_path: Path) -> None:
    write_project(
        plan("my-bot", Application("parrot", write_application(tmp_path))).items(), tmp_path / "my-bot"
    )
    assert run(tool("hadolint", OF_THE_EXTRA), tmp_path / "my-bot" / "Dockerfile") == ""


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_what_kubernetes_takes(version: str) -> None:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    said = run(tool("kubernetes-validate", OF_THE_EXTRA), "--strict", "-k", version, *files)
    assert said.count(" passed ") == len(files) > 0


READ_COMPOSE = (
    "import compose_spec, sys; compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read()).validate()"
)


def read_compose(path: Path, status: int = 0) -> str:
    """What the reader of compose files, a module, says of it."""
    tool("caddy", OF_THE_EXTRA)  # of the same extra: without it this would fail and not be skipped
    return run(sys.executable, "-c", READ_COMPOSE, path, status=status)


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    # What compose itself puts in there before it reads the file.
    path.write_text(swapped((DEPLOY / "compose.yaml").read_text(), {"${DOMAIN:?": "bot.example.com #"}))
    assert read_compose(path) == ""


@pytest.mark.parametrize("name", PROXIES)
def test_the_proxy_takes_its_file(name: str, tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    write(name, tmp_path, 1, ["ws://127.0.0.1:8765"], certificate, {})
    if name == "nginx":
        said = run(tool("nginx", "apt install nginx"), "-t", "-c", tmp_path / "nginx.conf")
        assert "warn" not in said
    elif name == "haproxy":
        said = run(tool("haproxy", "apt install haproxy"), "-c", "-f", tmp_path / "haproxy.cfg")
        assert "WARNING" not in said
    else:
        caddy = tool("caddy", OF_THE_EXTRA)
        run(caddy, "validate", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile")
        run(caddy, "fmt", "--diff", DEPLOY / "Caddyfile")


UNIT = "audio-connector.service"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies of the units whose program and folder are there."""
    for name in (UNIT, "audio-connector.socket"):
        text = (DEPLOY / "systemd" / name).read_text()
        if name == UNIT:
            there = {"/srv/bot/.venv/bin/audio-connector": "/bin/true", "WorkingDirectory=/srv/bot": ""}
            text = swapped(text, there)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_systemd_takes_the_units(units: Path) -> None:
    said = run(tool("systemd-analyze", "apt install systemd"), "verify", "--man=no", *units.iterdir())
    assert said == ""


EXPOSURE = 20
"""Of systemd-analyze security, in tenths: "OK" is up to 5, and a service without any hardening has 9.6."""


def test_systemd_finds_the_service_little_exposed(units: Path) -> None:
    analyze = tool("systemd-analyze", "apt install systemd")
    run(analyze, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", units / UNIT)


# What follows shows, on bad input, that these can fail.


def test_a_bad_file_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("services: {a: {image: x, imagee: y}}\n")
    assert "imagee" in read_compose(bad, status=1)
    text = (DEPLOY / "kubernetes" / "deployment.yaml").read_text()
    bad.write_text(swapped(text, {"preStop:": "prestop:"}))
    assert "prestop" in run(tool("kubernetes-validate", OF_THE_EXTRA), "--strict", bad, status=1)
    bad.write_text(swapped((DEPLOY / "Dockerfile").read_text(), {"USER 10001": "USER root"}))
    assert "DL3002" in run(tool("hadolint", OF_THE_EXTRA), bad, status=1)


def test_what_is_missing_is_skipped_but_not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", told)
        with pytest.raises(outcome, match="there is no no-such-program on this machine; apt install it"):
            tool("no-such-program", "apt install it")
