# SPDX-License-Identifier: Apache-2.0
"""Room for descriptors: it is there before they come, and no limit or system fails for it."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from audio_connector.wire import descriptors

TABLE = """
import resource, socket, sys
from audio_connector.wire.descriptors import reserve
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
with socket.socket() as sock:
    before = sock.fileno()
    reserve(sock)
with socket.socket() as sock:
    assert sock.fileno() == before, "a descriptor is left"
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("FDSize")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("limit", "room"), [(100, 64), (1024, 1024), (20_000, descriptors.MOST_RESERVED)])
def test_the_kernel_has_made_room_for_all_that_may_come(limit: int, room: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", TABLE, str(limit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.stderr == ""
    assert int(told.stdout) >= room


def test_without_a_limit_there_is_room_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: None)
    assert descriptors.most_waiting() == descriptors.MOST_WAITING
    with socket.socket() as sock:
        descriptors.reserve(sock)


def test_a_small_limit_is_kept_mostly_for_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: 64)
    assert descriptors.most_waiting() == 16
    monkeypatch.setattr(descriptors, "limit", lambda: 1)
    assert descriptors.most_waiting() == 1
