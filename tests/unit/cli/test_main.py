# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import refusing

from audio_connector import __version__
from audio_connector.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("command", ["simulate", "serve", "check", "playground", "demo"])
def test_a_flag_is_shown_as_one(command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--help" in shown
    assert "bool" not in shown.lower()


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"audio-connector {__version__}\n"


@pytest.mark.parametrize("command", [[], ["simulate"], ["demo"]])
def test_help_has_examples_for_each_command(command: list[str], capsys: Capture) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: audio-connector" in shown
    assert not command or f"audio-connector {command[0]}" in shown.partition("Examples")[2]


@pytest.mark.parametrize("missing", [["typer"], ["rich"], ["typer", "rich"]])
def test_a_missing_extra_is_one_line_that_says_what_to_install(
    missing: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["demo"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"audio-connector: {' and '.join(missing)} not installed; "
        "the command line needs: pip install 'audio-connector[cli]'\n"
    )


def test_importing_the_command_imports_nothing_of_its_extra() -> None:
    code = "import sys, audio_connector.cli; sys.exit(bool({'typer', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "frobnicate"),
        (["simulate"], "url"),
        (["simulate", "--nope"], "--nope"),
        (["simulate", "http://127.0.0.1:1"], "'http://127.0.0.1:1' is not a WebSocket URL"),
        (
            ["simulate", "ws://127.0.0.1:1", "--rate", "11025"],
            "--rate is 11025; expected one of 8000, 16000, 24000",
        ),
        (["simulate", "ws://127.0.0.1:1", "--rate", "fast"], "--rate"),
        (["simulate", "ws://127.0.0.1:1", "--calls", "0"], "--calls"),
        (["simulate", "ws://127.0.0.1:1", "--tail", "-1"], "--tail"),
        (["simulate", "ws://127.0.0.1:1", "--duration", "nan"], "--duration"),
        (["simulate", "ws://127.0.0.1:1", "--header", "caller"], "expected NAME=VALUE"),
        (["simulate", "ws://127.0.0.1:1", "-H", "a=1", "-H", "A=2"], "given before"),
        (["simulate", "ws://127.0.0.1:1", "--header", f"a={'x' * 600}"], "512"),
        (["simulate", "ws://127.0.0.1:1", "--wav", "nowhere.wav"], "nowhere.wav"),
        (["simulate", "ws://127.0.0.1:1", "--wav", "junk.wav"], "junk.wav"),
        (["simulate", "ws://127.0.0.1:1", "--record", "a.wav", "--calls", "2"], "give a folder"),
        (["simulate", "ws://127.0.0.1:1", "--record", "junk.wav/folder"], "junk.wav"),
        (["simulate", "ws://127.0.0.1:1", "--record", "nowhere/a.wav"], "nowhere"),
        (["demo", "--rate", "44100"], "--rate is 44100"),
        (["demo", "--save-plot", "plot.bmp"], "plot.bmp"),
        (["demo", "--save-plot", "nowhere/plot.png"], "nowhere"),
        (["demo", "--out", "junk.wav"], "junk.wav"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("junk.wav").write_bytes(b"this is no audio")
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.startswith("audio-connector: ")
    assert shown.err.count("\n") == 1


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("audio_connector.cli.simulate.run_async", interrupted)
    # Made before the interrupt, and never awaited.
    monkeypatch.setattr("audio_connector.cli.simulate._run", lambda *_, **__: None)
    assert main(["simulate", "ws://127.0.0.1:1"]) == 130
    assert capsys.readouterr().err == "audio-connector: interrupted\n"


def test_an_interrupt_of_the_imports_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "audio_connector.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "audio_connector.cli.app", raising=False)
    monkeypatch.delattr("audio_connector.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "audio-connector: interrupted\n"


def test_an_error_of_the_program_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.cli.simulate.parse_headers", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["simulate", "ws://127.0.0.1:1"])


def test_the_help_that_is_pointed_to_is_that_of_the_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--nonsense"]) == 2
    assert capsys.readouterr().err.endswith("; see audio-connector simulate --help\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the descriptors")
def test_closed_descriptors_are_no_sockets() -> None:
    program = [sys.executable, "-c", "import sys; from audio_connector.cli import main; sys.exit(main())"]
    with refusing() as port:
        ended = subprocess.run(
            ["sh", "-c", 'exec "$@" >&- <&-', "sh", *program, "simulate", f"ws://127.0.0.1:{port}"],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        2,
        f"audio-connector: ws://127.0.0.1:{port} cannot be reached: Connection refused\n",
    )


def test_a_mark_that_the_encoding_of_a_pipe_lacks_is_no_failure(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from audio_connector.cli import main; sys.exit(main())",
            "demo",
            "--quick",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    # Whether it was clean is for a machine that has time for it to say; each outcome has a mark.
    assert (b"\n  ? clean: " if ended.returncode == 0 else b"\n  ? ") in ended.stdout, ended.stdout
    assert ended.returncode in (0, 1)
    assert b"Traceback" not in ended.stdout


@pytest.mark.parametrize("argv", [["serve", "--help"], ["top", "--help"], ["token", "--new-key"]])
def test_a_command_that_calls_nobody_loads_neither_the_simulator_nor_numpy(argv: list[str]) -> None:
    program = f"""
import sys
from audio_connector.cli.app import run
import audio_connector.cli.worker
run({argv!r})
print(sorted({{"numpy", "audio_connector.playground", "audio_connector.simulator"}} & {{*sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
