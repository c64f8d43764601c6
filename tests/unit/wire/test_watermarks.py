# SPDX-License-Identifier: Apache-2.0
"""A TLS connection's write buffer is full once, and drained once after it."""

from __future__ import annotations

from support.clock import VirtualClock

from audio_connector.wire.watermarks import Watermarks


class Buffer:
    def __init__(self, high_bytes: int) -> None:
        self.clock = VirtualClock()
        self.unsent = 0
        self.told: list[str] = []
        self.marks = Watermarks(
            lambda: self.unsent,
            high_bytes,
            on_full=lambda: self.told.append("full"),
            on_drained=lambda: self.told.append("drained"),
            call_later=self.clock.call_later,
        )

    def write(self, unsent: int) -> None:
        self.unsent = unsent
        self.marks.on_written()


def test_beyond_the_mark_it_is_full_and_at_a_quarter_it_has_drained() -> None:
    buffer = Buffer(4096)
    buffer.write(4096)
    assert buffer.told == []
    assert buffer.clock.next_timer_at() is None, "nobody looks where nothing is full"
    buffer.write(4097)
    buffer.write(9000)
    assert buffer.told == ["full"]
    buffer.unsent = 1025
    buffer.clock.run_for(1.0)
    assert buffer.told == ["full"]
    buffer.unsent = 1024
    buffer.clock.run_for(0.011)
    assert buffer.told == ["full", "drained"]
    assert buffer.clock.next_timer_at() is None
    buffer.write(5000)
    assert buffer.told == ["full", "drained", "full"]


def test_who_fills_it_again_when_told_is_told_again() -> None:
    buffer = Buffer(100)
    buffer.marks._on_drained = lambda: buffer.write(101)
    buffer.write(101)
    buffer.unsent = 0
    buffer.clock.run_for(0.011)
    assert buffer.told == ["full", "full"]


def test_after_the_end_nothing_is_told() -> None:
    buffer = Buffer(100)
    buffer.write(101)
    buffer.marks.stop()
    buffer.write(500)
    buffer.clock.run_for(1.0)
    assert buffer.told == ["full"]
    assert buffer.clock.next_timer_at() is None
