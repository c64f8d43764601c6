# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told, by datagrams as it gets them; and where it cannot be told."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.service_manager import told

from audio_connector.server import service_manager as module
from audio_connector.server.service_manager import tell_ready, tell_reloading, tell_stopping

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(path if request.param == "path" else f"\0{path}")
        monkeypatch.setenv("NOTIFY_SOCKET", path if request.param == "path" else f"@{path}")
        yield sock


def test_what_it_is_told(manager: socket.socket) -> None:
    before_us = time.monotonic_ns() // 1000
    tell_ready("listening on ws://127.0.0.1:8765")
    tell_reloading("new workers start")
    tell_stopping("draining", within_s=41.5)
    ready, reloading, stopping = told(manager)
    assert ready == {"READY": "1", "STATUS": "listening on ws://127.0.0.1:8765"}
    assert before_us <= int(reloading.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert reloading == {"RELOADING": "1", "STATUS": "new workers start"}
    assert stopping == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "41500000", "STATUS": "draining"}


@given(st.text() | st.text(alphabet="é\n\0\ud800=READY1", min_size=900))
def test_a_status_is_one_line_and_no_other_assignment(text: str) -> None:
    line = module._status(text)
    assert line.startswith("STATUS=")
    assert line.isprintable()
    assert len(line.encode()) <= len("STATUS=") + module.MAX_STATUS_BYTES
    if text.isprintable() and text.isascii():
        assert line == f"STATUS={text[: module.MAX_STATUS_BYTES]}"


def test_without_one_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for nothing in (None, ""):
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        if nothing is not None:
            monkeypatch.setenv("NOTIFY_SOCKET", nothing)
        tell_ready("it listens")
    assert caplog.messages == []


def test_one_that_does_not_read_holds_nothing_up(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    while not caplog.messages:  # some hundreds, see net.unix.max_dgram_qlen
        tell_ready("it listens")
    assert "was not told READY=1" in caplog.messages[0]
    assert told(manager)[0]["READY"] == "1"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("FOLDER/gone", "No such file"),
        ("FOLDER/closed", "refused"),
        ("FOLDER/text", "refused"),
        ("/" + "x" * 200, "too long"),
        ("vsock:2:1234", "expected a path"),
    ],
)
def test_one_that_is_not_there_is_said_and_is_no_error(
    place: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "closed"))
    (tmp_path / "text").write_text("")
    monkeypatch.setenv("NOTIFY_SOCKET", place.replace("FOLDER", str(tmp_path)))
    tell_ready("it listens")
    [line] = caplog.messages
    assert "was not told READY=1" in line
    assert why in line
