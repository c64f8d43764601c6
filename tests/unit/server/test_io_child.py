# SPDX-License-Identifier: Apache-2.0
"""What an I/O process says beside the calls."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the loop of an I/O process is that of Linux", allow_module_level=True)

from audio_connector.cluster.member import broker_pair
from audio_connector.port import words
from audio_connector.port.framing import SERVER
from audio_connector.port.stream import stream_pair
from audio_connector.server.application import Application
from audio_connector.server.io_child import IoChild
from audio_connector.wire.loop import close_loop


class Stage:
    """An I/O process that shares its calls, within this one, and what it says."""

    def __init__(self) -> None:
        self.ends = [*broker_pair(), *stream_pair()]
        self.broker, theirs, stream, _ = self.ends
        self.child = IoChild(stream, os.getpid(), {})
        self.child._share(theirs)
        self.said: list[words.Word] = []
        self.child._control.say = self.said.append  # type: ignore[assignment, method-assign]

    def attach(self, number: int, *, has_room: bool = True) -> None:
        """Hand it the stream to a worker; without its descriptor where there is no room for that."""
        ours, theirs = stream_pair()
        self.ends.append(ours)
        with theirs:
            if has_room:
                socket.send_fds(self.broker, [b"%d" % number], [theirs.fileno()])
            else:
                self.broker.send(b"%d" % number)
        assert self.child._sharing is not None
        self.child._attach(self.child._sharing, self.ends[1])

    def worker(self, number: int) -> Application:
        assert self.child._sharing is not None
        return self.child._sharing.applications[number]

    def tell_refusals(self, counts: dict[str, int]) -> None:
        side: Any = SimpleNamespace(refusals=lambda: counts)
        self.child._tell_refusals(side)

    def close(self) -> None:
        self.child._loop.remove_reader(self.ends[1].fileno())
        for application in self.child._applications():
            application.close()
        close_loop(self.child._loop)
        asyncio.set_event_loop(None)
        for end in self.ends:
            end.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def test_it_asks_for_another_worker_where_it_has_no_descriptor_for_one(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.attach(7, has_room=False)
    assert stage.said == [words.Lost(7)]
    assert caplog.messages == ["worker 7 cannot be attached: raise the limit of open files (ulimit -n)"]
    caplog.clear()


def test_a_worker_that_comes_later_hears_of_the_refusals_before(stage: Stage) -> None:
    stage.attach(1)
    stage.tell_refusals({"426": 1})
    stage.attach(2)
    stage.tell_refusals({"426": 1})
    assert [stage.worker(number).waiting for number in (1, 2)] == [1, 1]
    assert stage.said == [words.Refused({"426": 1})]


def test_for_a_worker_that_does_not_read_one_count_of_refusals_waits_at_most(stage: Stage) -> None:
    stage.attach(1)
    stream = stage.worker(1).stream
    while not stream.is_full:
        stage.worker(1).say(words.NotLoaded("x" * 100_000))
        stream.flush()
    for count in range(100):
        stage.tell_refusals({"426": count})
    assert stage.worker(1).waiting <= 1
    assert len(stage.said) == 100, "whoever reads is told each"


def test_what_a_worker_has_read_and_its_loop_has_not_taken_waits(stage: Stage) -> None:
    stage.attach(1)
    stage.attach(2)
    for number, load in ((1, words.Load(3.5, 40)), (2, words.Load(0.0, 2))):
        stage.child._take(stage.worker(number), (SERVER, load))
    rows = {name: sample for name, labels, sample in stage.child._rows() if not labels}
    assert rows["port_waiting_messages"] == 42
    assert rows["port_lag_seconds_max"] == 3.5
