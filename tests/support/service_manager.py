# SPDX-License-Identifier: Apache-2.0
"""A service manager's socket, and what has come to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def told(sock: socket.socket) -> list[dict[str, str]]:
    """The assignments of each datagram that has come."""
    found: list[dict[str, str]] = []
    while True:
        try:
            lines = sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return found
        found.append(dict(line.split("=", 1) for line in lines))


@contextmanager
def managed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What is started inside the block tells this socket."""
    path = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield sock
