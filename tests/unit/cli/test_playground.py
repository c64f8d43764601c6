# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import refusing

from audio_connector.cli import main, playground
from audio_connector.playground.run import Address


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "broken_bot.py").write_text("raise ValueError('boom')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such_bot:app"], "there is no module 'no_such_bot' in "),
        (["broken_bot:app"], "broken_bot cannot be imported: ValueError: boom (broken_bot.py, line 1)"),
        (["os:no_such_name"], "os has no 'no_such_name'; it has "),
        (["os:sep"], "os:sep: got str '/' to run; expected an on_connect, "),
        (["localhost:8765"], "'localhost:8765' is neither a server, such as ws://localhost:8765, "),
        (["http://localhost"], "'http://localhost' is not a WebSocket URL"),
        (["--rate", "44100"], "--rate is 44100; expected one of 8000, 16000, 24000"),
        (["--profile", "radio"], "--profile is 'radio'; expected one of video, wsbridge, voice"),
        (["--header", "x"], "--header 'x': expected NAME=VALUE"),
        (["--header", "event=x"], "the header 'event' would be overwritten"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached by others"),
        (["--port", "70000"], "--port"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["playground", "--no-open", "--port", "0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("audio-connector: ")
    assert err.count("\n") == 1


def test_a_port_in_use_and_a_server_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["playground", "--no-open", "--port", str(port)]) == 2
        assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in capsys.readouterr().err
    with refusing() as port:
        assert main(["playground", "--no-open", "--port", "0", f"ws://127.0.0.1:{port}"]) == 2
        assert f"ws://127.0.0.1:{port} cannot be reached" in capsys.readouterr().err


def test_without_aiohttp_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(playground, "find_spec", lambda name: None)
    assert main(["playground"]) == 2
    assert "pip install 'audio-connector[playground]'" in capsys.readouterr().err


def test_a_browser_is_opened_only_where_somebody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not playground._has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert playground._has_display()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert playground._has_display()


def test_the_page_is_opened_unless_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(playground, "_has_display", lambda: True)
    playground._open(Address("127.0.0.1", 8484)).join()
    assert opened == ["http://127.0.0.1:8484/"]


@pytest.mark.parametrize(
    ("setup", "seen"),
    [
        ("", "INFO chatty: the bot is up"),
        ("logging.basicConfig(level=logging.INFO, format='mine: %(message)s')", "mine: the bot is up"),
    ],
)
def test_the_bots_own_lines_are_seen(
    setup: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chatty.py").write_text(
        f"import logging\n{setup}\nasync def on_start():\n    logging.getLogger('chatty').info('the bot is up')\n"
        "    raise RuntimeError('and ends')\napp = {'on_start': on_start}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    try:
        assert main(["playground", "chatty:app", "--no-open", "--port", "0"]) == 2
    finally:
        root.setLevel(level)  # not as an attribute: each logger remembers what it is enabled for
        sys.modules.pop("chatty", None)
    assert seen in capsys.readouterr().err.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child")
@pytest.mark.parametrize("host", [[], ["--host", "0.0.0.0", "--allow-remote"]])
def test_an_interrupt_ends_it_in_order(host: list[str]) -> None:
    command = [sys.executable, "-c", "import sys; from audio_connector.cli import main; sys.exit(main())"]
    program = subprocess.Popen(
        [*command, "playground", "--port", "0", "--no-open", *host],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "200"},
    )
    with program:
        try:
            assert program.stderr is not None
            lines = [program.stderr.readline()]
            if host:
                assert "warning: everybody who can reach 0.0.0.0" in lines[0]
                lines.append(program.stderr.readline())
            assert re.search(r"the packaged parrot answers at http://[\w.]+:\d+/", lines[-1])
            program.send_signal(signal.SIGINT)
            rest = program.stderr.read()
            assert (program.wait(15), rest) == (0, "")
        finally:
            program.kill()
