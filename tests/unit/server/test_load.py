# SPDX-License-Identifier: Apache-2.0
"""How busy an I/O side is."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audio_connector.port.meters import Meters
from audio_connector.server import load
from audio_connector.server.load import BEAT_S, QUIET_S, LagMeter, LoopLag, Memory, resident_mb


def beat(lag: LoopLag, late_s: float, times: int = 1) -> None:
    for _ in range(times):
        assert lag._due < math.inf
        lag.wake(lag._due + late_s)


def test_a_loop_that_stays_late_lags_and_one_that_stood_still_once_does_not() -> None:
    lag = LoopLag(lambda: True)
    assert lag.ms == 0
    assert lag.next_beat(10.0) == pytest.approx(10.0 + BEAT_S)
    beat(lag, 3.0)
    assert lag.ms == 0
    beat(lag, 0.001, 4)
    assert lag.ms == pytest.approx(1)
    beat(lag, 0.6, 3)
    assert lag.ms == pytest.approx(600)
    beat(lag, 0.0, 3)
    assert lag.ms == 0


def test_somebody_who_comes_while_it_is_measured_changes_no_beat() -> None:
    lag = LoopLag(lambda: True)
    due = lag.next_beat(0.0)
    assert lag.next_beat(0.09) == due


def test_at_rest_it_is_not_measured() -> None:
    calls = [1]
    lag = LoopLag(lambda: bool(calls))
    at = lag.next_beat(0.0)
    for _ in range(100):
        at = lag.wake(at + 1.0)
    assert lag.ms == pytest.approx(1000)
    calls.clear()
    assert lag.wake(at) == math.inf
    assert lag.ms == 0
    begun = at
    at = lag.next_beat(begun)
    beats = 0
    while at < math.inf:
        at, beats = lag.wake(at), beats + 1
    assert beats == pytest.approx(QUIET_S / BEAT_S, abs=2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")
def test_the_memory_is_that_of_the_process() -> None:
    before = resident_mb()
    assert 10 < before < 10_000
    held = bytearray(b"\1") * (64 << 20)
    until = time.monotonic() + 5
    while resident_mb() <= before + 50:  # the system counts by and by
        assert time.monotonic() < until
    del held


def test_the_memory_is_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([5.0, 7.0])
    monkeypatch.setattr(load, "resident_mb", lambda: next(answers))
    memory = Memory()
    assert [memory.mb(at) for at in (100.0, 100.9, 101.1)] == [5.0, 5.0, 7.0]


@pytest.mark.parametrize("text", [None, "", "x y z"])
def test_where_the_system_does_not_say_it_nothing_is_refused(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for process in ("self", "7"):
        (tmp_path / process).mkdir()
        if text is not None:
            (tmp_path / process / "statm").write_text(text)
    monkeypatch.setattr(load, "PROC", tmp_path)
    assert resident_mb() == resident_mb(7) == resident_mb(8) == 0.0


def test_any_process_may_be_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for process, pages in (("self", 512), ("7", 1024)):
        (tmp_path / process).mkdir()
        (tmp_path / process / "statm").write_text(f"9000 {pages} 1 1 0 1 0\n")
    monkeypatch.setattr(load, "PROC", tmp_path)
    assert (resident_mb(), resident_mb(7)) == pytest.approx(
        [pages * os.sysconf("SC_PAGE_SIZE") / 2**20 for pages in (512, 1024)]
    )


def test_how_late_the_timers_of_a_loop_are_is_counted_until_the_end() -> None:
    now, timers, meters = [100.0], list[tuple[float, Any]](), Meters()

    class Timer:
        def cancel(self) -> None:
            timers.clear()

    def call_later(seconds: float, call: Any) -> Timer:
        timers.append((now[0] + seconds, call))
        return Timer()

    meter = LagMeter(meters, "application", call_later, lambda: now[0])
    meter.start()
    for late_s in (0.0, 0.004, 7.0):
        due, call = timers.pop()
        now[0] = due + late_s
        call()
    [(name, labels, sample)] = meters.snapshot()
    assert (name, labels) == ("loop_lag_seconds", ("application",))
    assert isinstance(sample, list)
    assert sum(sample[:-1]) == 3
    assert sample[-1] == pytest.approx(7.004)
    meter.stop()
    assert timers == []
