# SPDX-License-Identifier: Apache-2.0
"""Which worker is replaced for its memory, and how often that is said."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audio_connector.cluster.member import Seat
from audio_connector.cluster.memory import FIRST_PAUSE_S, LONGEST_PAUSE_S, LOOK_S, MemoryLimit


class Stage:
    """A seat, and workers that take so much at the start and as they go on."""

    def __init__(self, limit_mb: float, start_mb: float, growth_mb: float = 0.0) -> None:
        self.limit = MemoryLimit(limit_mb)
        self.start_mb, self.growth_mb = start_mb, growth_mb
        self.seat = Seat(cast("Any", None), None)
        self.now = 0.0
        self.number = 0
        self.replaced_at: list[float] = []
        self.replace()

    def replace(self) -> None:
        self.number += 1
        began_at = self.now
        worker = SimpleNamespace(
            number=self.number, used_mb=lambda: self.start_mb + self.growth_mb * (self.now - began_at)
        )
        self.seat.worker = cast("Any", worker)

    def run(self, duration_s: float) -> None:
        until = self.now + duration_s
        while self.now < until:
            self.now += LOOK_S
            if self.limit.is_exceeded(self.seat, self.now):
                self.replaced_at.append(self.now)
                self.replace()


def test_one_that_grows_is_replaced_each_time(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(100.0, 50.0, growth_mb=5.0)
    stage.run(120.0)
    assert stage.replaced_at == [12.0 * at for at in range(1, 11)]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    caplog.clear()


def test_one_that_is_too_big_from_its_start_is_replaced_ever_more_rarely_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(50.0, 81.0)
    stage.run(7200.0)
    pauses = [b - a for a, b in itertools.pairwise([0.0, *stage.replaced_at])]
    assert pauses[0] == FIRST_PAUSE_S + LOOK_S
    assert all(b <= 2 * a for a, b in itertools.pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_S + LOOK_S
    (told,) = (record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
    assert told == (
        "worker 1 takes 81 MiB as soon as it serves, which is more than the 50 of --worker-memory-mb, and so would "
        "the one in its place: it is replaced rarely. Give each worker room to grow, 243 for instance"
    )
    caplog.clear()


def test_a_reload_to_a_smaller_application_ends_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(100.0, 120.0)
    stage.run(600.0)
    stage.start_mb, stage.growth_mb = 50.0, 5.0
    stage.replace()
    stage.replaced_at.clear()
    stage.run(60.0)
    assert len(stage.replaced_at) == 5
    caplog.clear()


def test_a_seat_without_a_worker_exceeds_nothing() -> None:
    assert not MemoryLimit(1.0).is_exceeded(Seat(cast("Any", None), None), 0.0)
