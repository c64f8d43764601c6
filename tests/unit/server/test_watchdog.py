# SPDX-License-Identifier: Apache-2.0
"""A loop that is blocked is noticed, and the handler that blocks it is named."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from audio_connector.server import mail
from audio_connector.server.mailbox import Mailbox
from audio_connector.server.watchdog import BLOCKED_S, CHECK_S, LoopWatchdog, where_is


class FakeOutbox(Mailbox[mail.ToApplication]):
    def __init__(self) -> None:
        self.armed_since: float | None = None
        self.drained_at = 0.0
        self.posted: list[object] = []
        self.is_lost = False
        self.given_up = 0

    @property
    def is_receiver_closed(self) -> bool:
        return self.is_lost

    def give_up(self) -> None:
        self.given_up += 1

    def post(self, message: object) -> None:
        self.posted.append(message)


class Stage:
    def __init__(self) -> None:
        self.outbox = FakeOutbox()
        self.watchdog = LoopWatchdog(self.outbox, threading.get_ident())
        self.now = 100.0

    def look_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now + CHECK_S <= until + 1e-9:
            self.now += CHECK_S
            assert self.watchdog.wake(self.now) == self.now + CHECK_S


def test_a_loop_that_runs_is_asked_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.look_for(2.0)
    assert stage.outbox.posted == [mail.Heartbeat()] * 10
    assert caplog.records == []


def test_a_loop_that_is_blocked_is_reported_once_it_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.outbox.armed_since = 100.0
    stage.look_for(3.0)
    assert caplog.records == []
    assert stage.outbox.posted == []
    stage.outbox.armed_since, stage.outbox.drained_at = None, 102.9
    stage.look_for(3.0)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "blocked for 2.9 s" in record.getMessage()
    assert "wake (" in record.getMessage(), "where the thread was when it was looked at"


def test_a_short_delay_is_none(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.outbox.armed_since = 100.0
    stage.look_for(BLOCKED_S - CHECK_S / 2)
    stage.outbox.armed_since = None
    stage.look_for(2.0)
    assert caplog.records == []


def test_blocked_again_right_afterwards_is_two_times(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    for since in (100.0, 102.0):
        stage.outbox.armed_since = since
        stage.look_for(2.0)
        stage.outbox.drained_at = stage.now
    stage.outbox.armed_since = None
    stage.look_for(2.0)
    assert len(caplog.records) == 2


def test_a_loop_that_was_closed_is_given_up_although_a_wake_up_is_pending_in_it() -> None:
    stage = Stage()
    stage.outbox.armed_since = 100.0
    stage.look_for(CHECK_S)
    assert stage.outbox.given_up == 0
    stage.outbox.is_lost = True
    stage.look_for(CHECK_S)
    assert stage.outbox.given_up == 1
    assert stage.outbox.posted == []


def frame_of(function: Callable[[], FrameType]) -> str:
    return where_is(function())


def under(filename: str, inner: Callable[[], FrameType]) -> Callable[[], FrameType]:
    """A function that calls another one, and whose code pretends to stand in this file."""
    scope: dict[str, Any] = {"inner": inner}
    exec(compile("def outer():\n    return inner()\n", filename, "exec"), scope)
    return scope["outer"]  # type: ignore[no-any-return]


def here() -> FrameType:
    return sys._getframe()


def my_handler() -> FrameType:
    return here_below()


def here_below() -> FrameType:
    return here()


DISPATCH = "/anywhere/audio_connector/intake/dispatch.py"


@pytest.mark.parametrize(
    "filename", [DISPATCH, "C:\\x\\audio_connector\\server\\session.py", "/x/intake/handlers.py"]
)
def test_the_handler_is_named_and_the_line_it_is_at(filename: str) -> None:
    where = frame_of(under(filename, my_handler))
    assert where.startswith("the handler my_handler (")
    assert ", at here (" in where
    assert where.count("test_watchdog.py:") == 2


def test_a_handler_that_blocks_by_itself_is_named_once() -> None:
    where = frame_of(under(DISPATCH, here))
    assert where.startswith("the handler here (")
    assert "at" not in where.split(")", 1)[1]


def test_elsewhere_is_said_to_be_elsewhere() -> None:
    where = frame_of(here)
    assert where.startswith("here (")
    assert where.endswith("outside of handlers")
    assert where_is(None) == "a thread that has ended"
