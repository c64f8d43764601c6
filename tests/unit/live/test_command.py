# SPDX-License-Identifier: Apache-2.0
"""An application's command line: what it refuses and how, its demo, its end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from audio_connector import AudioConnectorConnection, AudioConnectorStartServerError
from audio_connector.engines import Engine, EngineMissing
from audio_connector.live import LivePage
from audio_connector.live.command import Command, Environment, Task
from audio_connector.live.demo import Outcome
from audio_connector.live.files import own_folder
from audio_connector.live.settings import AppSettings, EngineTable, read_settings
from audio_connector.simulator import CallReport
from audio_connector.testing.scripted import ScriptedVoice

SETTINGS = """
volume = 3
output = "{output}"
[server]
isolation = "thread"
[voice]
engine = "piper"
"""
SCENARIO = """
name: A short call
tail_s: 0.4
participants: [{ name: Ann, say: "sample:he-was-not", say_for_s: 0.4 }]
"""


AHEAD_BYTES = 16000 * 2 * 3 // 10
"""An echo of each frame at once has a gap, which is none of the demo's, wherever the machine is busy for a moment."""


class Settings(AppSettings):
    volume: int = 1
    voice: EngineTable = {}  # noqa: RUF012 - pydantic copies it
    language: str | None = "en"
    recogniser: EngineTable = {}  # noqa: RUF012 - as above


class Missing(ScriptedVoice):
    async def warm(self) -> None:
        raise EngineMissing("the voice is not there", mend="pip install voice")


class Echo:
    """Says again what it hears."""

    def __init__(self, around: Environment[Settings], engine: ScriptedVoice, problems: Sequence[str]) -> None:
        self.around = around
        self.engine = engine
        self.problems = problems
        self.heard = 0
        self.is_closed = False

    @property
    def engines(self) -> Sequence[Engine]:
        return [self.engine]

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        assert self.engine.is_warm
        assert client.session_id in self.around.sessions
        waiting = bytearray()
        async for frame in client.audio():
            self.heard += len(frame)
            self.around.page.show("heard", bytes=self.heard)
            waiting += frame
            if self.heard > AHEAD_BYTES:
                await client.send_audio_buffer(bytes(waiting))
                waiting.clear()

    async def close(self) -> None:
        self.is_closed = True

    def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        return Outcome([f"{len(reports)} call, volume {self.around.settings.volume}"], [], self.problems)


class Late(Echo):
    """Knows only some time after the calls what came out."""

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:  # type: ignore[override]
        await asyncio.sleep(0.01)
        return super().outcome(reports)


class Made:
    """A command in a folder, and the applications that it has made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.apps: list[Echo] = []
        self.kind = Echo
        self.engine = ScriptedVoice()
        self.problems: list[str] = []
        (folder / "page.html").write_text("<title>page</title>")
        (folder / "settings.toml").write_text(SETTINGS.format(output=folder / "out"))
        (folder / "scenario.yaml").write_text(SCENARIO)
        count = Task("Count.", self.count, lambda parser: parser.add_argument("word"))
        self.command = Command(
            "echo", folder=folder, settings=Settings, make=self.make, tasks={"count": count}
        )

    def make(self, around: Environment[Settings]) -> Echo:
        self.apps.append(self.kind(around, self.engine, self.problems))
        return self.apps[-1]

    def count(self, settings: Settings, folder: Path, arguments: argparse.Namespace) -> int:
        assert (settings.volume, folder) == (3, self.folder)
        return len(arguments.word)

    def settle(self, text: str) -> None:
        (self.folder / "settings.toml").write_text(text)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_the_demo_calls_it_and_says_what_came_out(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.command.main(["--demo"]) == 0
    printed = capsys.readouterr()
    assert "1 call, volume 3" in printed.out
    assert "✓ as expected" in printed.out
    assert "engines: 1 of 1" in printed.err
    (app,) = made.apps
    assert (app.is_closed, app.engine.is_closed) == (True, True)
    assert app.heard > 0
    heard = made.folder / "out" / "demo" / "1-heard.wav"
    assert str(heard) in printed.out
    assert heard.stat().st_size > 10_000


def test_a_demo_leaves_nothing_among_what_real_calls_or_another_demo_leave(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_folder(made.folder / "out" / "demo"):
        assert made.command.main(["--demo"]) == 0
    assert made.apps[0].around.output == made.folder / "out" / "demo-2"
    assert str(made.folder / "out" / "demo-2" / "1-heard.wav") in capsys.readouterr().out
    assert sorted(path.name for path in (made.folder / "out").iterdir()) == ["demo", "demo-2"]


def test_the_command_line_says_where_it_listens(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.command.main(["--demo", "--host", "127.0.0.1"]) == 0
    assert "listening on ws://127.0.0.1:" in capsys.readouterr().out
    assert made.command.main(["--host", "192.0.2.1"]) == 2
    assert "192.0.2.1" in capsys.readouterr().err


def test_a_demo_that_is_not_as_expected_fails(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.kind = Late
    made.problems.append("nothing was understood")
    (made.folder / "scenario.yaml").write_text(SCENARIO.replace("tail_s: 0.4", "tail_s: 0.1"))
    assert made.command.main(["--demo"]) == 1
    assert "✗ nothing was understood" in capsys.readouterr().out


def test_what_the_scenario_does_not_want_fails_the_demo(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    (made.folder / "scenario.yaml").write_text(SCENARIO + 'fail_on: ["duration_s>0"]\n')
    assert made.command.main(["--demo"]) == 1
    assert "✗ duration_s>0: call 1 (Ann): " in capsys.readouterr().out


@pytest.mark.parametrize(("times", "more"), [(1, ""), (7, "✗ 2 more warnings")])
def test_what_the_application_warned_of_fails_the_demo(
    made: Made, times: int, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(Echo):
        def outcome(self, reports: Sequence[CallReport]) -> Outcome:
            for number in range(times):
                for _ in range(2):
                    logging.getLogger("echo").warning("file %d cannot be written", number)
            return super().outcome(reports)

    made.kind = Full
    assert made.command.main(["--demo"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("✗ file 0 cannot be written") == 1
    assert printed.count("✗ file ") == min(times, 5)
    assert more in printed
    assert not logging.getLogger("echo").handlers


async def test_a_signal_ends_the_demo(made: Made) -> None:
    (made.folder / "scenario.yaml").write_text(SCENARIO.replace("tail_s: 0.4", "tail_s: 60"))
    settings = read_settings(made.folder / "settings.toml", Settings)
    said: list[str] = []
    running = asyncio.ensure_future(
        made.command.run(settings, made.folder, demo=True, port=0, page_port=0, say=said.append)
    )
    while not made.apps or not made.apps[0].heard:
        assert not running.done()
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 10) != 0
    assert made.apps[0].is_closed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("volume = ", "settings.toml: Invalid value"),
        ("volumes = 1", "settings.toml: volumes is not a field; did you mean 'volume'?"),
        ("volume = 'loud'", "settings.toml: volume='loud': "),
        ("[page]\nport = 70000", "settings.toml: page.port=70000: "),
        (
            "language = 'de'\n[recogniser]\nmodel = 'tiny.en'",
            "model = 'tiny.en' of recogniser knows English only; expected one without '.en', such as 'base'",
        ),
        ("[server]\nhots = 'localhost'", "settings.toml: [server] hots is not a field; did you mean 'host'?"),
        ("[server]\nport = 70000", "settings.toml: [server] port=70000: "),
    ],
)
def test_what_is_wrong_in_its_settings_is_said(
    made: Made, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made.settle(text)
    assert made.command.main([]) == 2
    assert said in capsys.readouterr().err


def test_settings_may_begin_with_a_byte_order_mark(made: Made) -> None:
    path = made.folder / "marked.toml"
    path.write_text("output = 'here'\n", encoding="utf-8-sig")
    assert read_settings(path, Settings).output == Path("here")


def test_there_has_to_be_a_file_of_settings(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.command.main(["--settings", str(made.folder / "none.toml")]) == 2
    assert (
        "none.toml: No such file or directory; expected a file of settings in TOML" in capsys.readouterr().err
    )


def test_an_engine_that_is_missing_ends_it_with_what_mends_it(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    made.engine = Missing()
    assert made.command.main(["--port", "0", "--page-port", "0"]) == 2
    assert "echo: the voice is not there; mend it with: pip install voice" in capsys.readouterr().err
    assert made.engine.is_closed
    assert made.apps[0].is_closed


def test_a_port_in_use_is_told_before_anything_is_loaded(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = ["--host", "127.0.0.1", "--port", str(port), "--page-port", "0"]
        assert made.command.main(told) == 2
    assert f"echo: cannot listen on 127.0.0.1:{port}: the port is in use" in capsys.readouterr().err
    assert made.apps == []


def test_a_certificate_that_is_not_there_is_told_before_anything_is_loaded(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    made.settle("[server.tls]\ncertfile = 'no.pem'")
    assert made.command.main(["--demo"]) == 2
    assert "no.pem" in capsys.readouterr().err
    assert made.apps == []


@pytest.mark.skipif(os.name != "posix", reason="there is no other way to press Ctrl-C in a program")
def test_one_more_interrupt_ends_a_program_that_waits_for_a_thread(made: Made) -> None:
    """One that is in C++ would abort it: Python goes on to its end without waiting any more."""
    program = f"""
import signal, sys, threading, time
from pathlib import Path
from audio_connector.live.command import Command
from audio_connector.live.settings import AppSettings

def make(around):
    threading.Thread(target=time.sleep, args=(60,)).start()
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path({str(made.folder)!r})
status = Command("echo", folder=folder, settings=AppSettings, make=make).main()
print(status, flush=True)
sys.exit(status)
"""
    made.settle("[page]\nport = 0\n[server]\nport = 0\n")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"130\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


async def test_a_page_whose_port_is_taken_leaves_no_application_behind(made: Made, tmp_path: Path) -> None:
    settings = read_settings(made.folder / "settings.toml", Settings)
    async with LivePage(made.folder / "page.html", port=0) as other:
        port = int(other.url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(AudioConnectorStartServerError, match="the page cannot be at"):
            await made.command.run(settings, made.folder, port=0, page_port=port, say=lambda _: None)
    assert all(app.is_closed for app in made.apps)


@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_has_no_place_is_told(
    made: Made, tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    made.settle(SETTINGS.format(output=tmp_path / output))
    assert made.command.main(["--demo"]) == 2
    assert "cannot be made: " in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_came_out_is_said_where_the_locale_has_no_marks(made: Made, encoding: str) -> None:
    problem = "expected \N{GREEK SMALL LETTER PI}"
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import pathlib; from unit.live.test_command import Made; "
        f"made = Made(pathlib.Path(sys.argv.pop())); made.problems.append({problem!a}); "
        "sys.exit(made.command.main(['--demo']))"
    )
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tests), str(made.folder)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    assert b"? expected ?" in done.stdout


@pytest.mark.parametrize("port", ["-1", "65536", "x", "१"])
def test_a_port_is_a_number(made: Made, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        made.command.main([f"--port={port}"])
    assert "expected a number from 0 to 65535" in capsys.readouterr().err


def test_it_may_have_something_else_to_do(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert made.command.main(["count", "four"]) == 4
    assert made.apps == []
    with pytest.raises(SystemExit, match="0"):
        made.command.main(["--help"])
    assert "Count." in capsys.readouterr().out


async def test_it_serves_until_a_signal(made: Made) -> None:
    said: list[str] = []
    settings = read_settings(made.folder / "settings.toml", Settings)
    running = asyncio.ensure_future(
        made.command.run(settings, made.folder, port=0, page_port=0, say=said.append)
    )
    while not any(line.startswith("listening on") for line in said):
        assert not running.done()
        await asyncio.sleep(0.01)
    page = said[0].removeprefix("page: ")
    async with aiohttp.ClientSession() as session, session.get(page) as answer:
        assert "<title>page</title>" in await answer.text()
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 10) == 0
    assert made.apps[0].is_closed


async def test_sessions_are_there_once_it_listens(made: Made) -> None:
    settings = read_settings(made.folder / "settings.toml", Settings)
    make = made.make

    def too_early(around: Environment[Settings]) -> Echo:
        with pytest.raises(ValueError, match="ask for them in on_connect"):
            _ = around.sessions
        return make(around)

    command = Command("echo", folder=made.folder, settings=Settings, make=too_early)
    assert await command.run(settings, made.folder, demo=True, port=0, page_port=0, say=lambda _: None) == 0
