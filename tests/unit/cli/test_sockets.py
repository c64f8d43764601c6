# SPDX-License-Identifier: Apache-2.0
"""Which open sockets `serve` takes, and who says so; a process is given some in tests/integration/test_serve.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audio_connector.cli import sockets
from audio_connector.cli.app import run
from audio_connector.cli.settings import ServeSettings
from audio_connector.cli.sockets import taken
from audio_connector.errors import UsageError

PORT, FD = "AUDIO_CONNECTOR_PORT", "AUDIO_CONNECTOR_FD"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def of_systemd(count: object = 2, pid: object = None) -> dict[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a:b"}


@pytest.mark.parametrize(
    ("origins", "numbers", "origin"),
    [
        ({}, [3, 4], "LISTEN_FDS"),
        ({"fd": "flag"}, [9], "flag"),
        ({"port": "flag"}, [], ""),
        ({"host": "flag", "fd": FD}, [], ""),
        ({"fd": FD, "port": PORT}, [3, 4], "LISTEN_FDS"),
        ({"fd": "flag", "port": PORT}, [9], "flag"),
    ],
)
def test_a_flag_goes_before_systemd_and_that_before_the_rest(
    origins: dict[str, str], numbers: list[int], origin: str
) -> None:
    environment = of_systemd()
    found = taken(ServeSettings(fd=9, port=1), origins, environment)
    assert (found.numbers, found.origin) == (numbers, origin)
    assert environment == {}, "no child takes them for its own"


@pytest.mark.parametrize(
    ("origins", "numbers"),
    [
        ({}, []),
        ({"fd": FD}, [9]),
        ({"fd": FD, "port": "serve.toml"}, [9]),
        ({"fd": "serve.toml", "port": PORT}, []),
        ({"fd": "serve.toml"}, [9]),
    ],
)
def test_a_descriptor_takes_the_place_of_a_port_that_is_not_told_nearer(
    origins: dict[str, str], numbers: list[int]
) -> None:
    environment = of_systemd(pid=1)  # which is not this process
    assert taken(ServeSettings(fd=9), origins, environment).numbers == numbers
    assert environment == {}


def test_what_systemd_says_has_to_be_a_number() -> None:
    with pytest.raises(UsageError, match="LISTEN_FDS='some': expected how many"):
        taken(ServeSettings(), {}, of_systemd("some"))
    assert taken(ServeSettings(), {}, of_systemd(0)).numbers == []


def test_they_are_shown_with_their_origin(
    tmp_path: Path,
    listening: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lent_bot.py").write_text("def on_connect(client): ...\n")
    number, port = os.dup(listening.fileno()), listening.getsockname()[1]
    monkeypatch.setattr(sockets, "FIRST", number)
    for name, value in of_systemd(1).items():
        monkeypatch.setenv(name, value)
    assert run(["serve", "lent_bot:on_connect", "--print-config"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["fd"].split() == [str(number), "LISTEN_FDS"]
    assert told["port"].split() == [str(port), "LISTEN_FDS"]
    assert told["host"].split() == ["'127.0.0.1'", "LISTEN_FDS"]


def open_file() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def open_datagram_socket() -> int:
    return socket.socket(type=socket.SOCK_DGRAM).detach()


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        (open_file, "no socket (Socket operation on non-socket)"),
        (open_datagram_socket, "a socket of SOCK_DGRAM"),
    ],
)
def test_what_is_no_listening_socket_is_one_line(
    opened: Callable[[], int], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = opened()
    try:
        assert run(["serve", "no_such_bot:on_connect", "--fd", str(number)]) == 2
    finally:
        if opened is open_file:  # a socket is closed by then
            os.close(number)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert (
        f"--fd: descriptor {number} is {words}; expected the number of a TCP socket that listens" in printed
    )
