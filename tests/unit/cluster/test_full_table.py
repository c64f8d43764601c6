# SPDX-License-Identifier: Apache-2.0
"""A stream that is handed over where no descriptor is left for it comes as a message without one."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    pytest.skip("descriptors are handed over on Linux", allow_module_level=True)

from audio_connector.cluster.attached import AttachedIo
from audio_connector.cluster.member import broker_pair
from audio_connector.port.stream import stream_pair
from audio_connector.server.config import AudioConnectorServerConfig

CONFIG = AudioConnectorServerConfig(host="127.0.0.1", port=0)


@pytest.fixture
def ends() -> Iterator[list[socket.socket]]:
    """A broker's two ends, and a stream's."""
    ends = [*broker_pair(), *stream_pair()]
    yield ends
    for end in ends:
        end.close()


async def test_a_worker_takes_the_next_one(
    ends: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs, stream, _ = ends
    loop = asyncio.get_running_loop()
    io = AttachedIo(loop, lambda _: None, lambda *_: None, CONFIG, broker=theirs, worker=1)
    ours.send(b"1")
    socket.send_fds(ours, [b"2"], [stream.fileno()])
    io._take_streams()
    [remote] = io._remote_io.remotes
    assert remote.serial == 2
    assert caplog.messages == ["an I/O process is not reached: raise the limit of open files (ulimit -n)"]
    caplog.clear()
    await asyncio.sleep(0)  # the loop watches it
    io._remote_io.lose(remote, "the test is over")
    await asyncio.sleep(0)
