# SPDX-License-Identifier: Apache-2.0
"""A stream that is handed over where no descriptor is left for it comes as a message without one."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    pytest.skip("descriptors are handed over on Linux", allow_module_level=True)

from audio_connector.cluster.attached import AttachedIo
from audio_connector.cluster.member import broker_pair
from audio_connector.port import words
from audio_connector.port.stream import stream_pair
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_child import IoChild
from audio_connector.wire.loop import close_loop

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


def test_an_io_process_asks_for_another_worker(
    ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs, stream, _ = ends
    child = IoChild(stream, os.getpid(), {})
    said: list[words.Word] = []
    monkeypatch.setattr(child._control, "say", said.append)
    try:
        child._share(theirs)
        ours.send(b"7")
        assert child._sharing is not None
        child._attach(child._sharing, theirs)
    finally:
        child._loop.remove_reader(theirs.fileno())
        child._control.close()
        close_loop(child._loop)
        asyncio.set_event_loop(None)
    assert said == [words.Lost(7)]
    assert caplog.messages == ["worker 7 cannot be attached: raise the limit of open files (ulimit -n)"]
    caplog.clear()
