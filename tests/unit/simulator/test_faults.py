# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from audio_connector.audio.format import AudioFormat
from audio_connector.simulator.faults import FaultWatch
from audio_connector.simulator.playout import PlayoutBuffer

FRAME = bytes(640)


def test_nobody_need_look_while_nothing_is_wrong() -> None:
    playout, watch = PlayoutBuffer(AudioFormat(16000)), FaultWatch()
    playout.receive(FRAME, 0.0)
    assert playout.faults == watch.seen
    assert watch.new(playout, 0.0) == []


def test_each_kind_is_told_with_its_size() -> None:
    playout, watch = PlayoutBuffer(AudioFormat(16000), max_buffer_ms=20), FaultWatch()
    playout.receive(FRAME, 0.0)
    playout.receive(FRAME, 0.05)
    for _ in range(3):
        playout.receive(FRAME + b"!", 0.05)
    assert playout.faults != watch.seen
    assert watch.new(playout, 0.05) == [
        ("underrun", "30 ms of silence in the middle of speech"),
        ("overflow", "40 ms dropped, the buffer was full"),
        ("wrong size", "not one frame long: 3"),
    ]
    assert playout.faults == watch.seen


def test_what_follows_within_a_second_is_summed_and_told_then() -> None:
    playout, watch = PlayoutBuffer(AudioFormat(16000)), FaultWatch()
    told = []
    for at in range(200):
        if at < 60:
            playout.receive(b"", at * 0.02)
        if playout.faults != watch.seen:
            told += [(at, detail) for _, detail in watch.new(playout, at * 0.02)]
    assert told == [
        (0, "not one frame long: 1"),
        (50, "not one frame long: 50"),
        (100, "not one frame long: 9"),
    ]


def test_a_kind_that_is_held_back_does_not_hold_back_another() -> None:
    playout, watch = PlayoutBuffer(AudioFormat(16000)), FaultWatch()
    playout.receive(b"", 0.0)
    watch.new(playout, 0.0)
    playout.receive(b"", 0.1)
    assert watch.new(playout, 0.1) == []
    playout.receive(FRAME, 0.2)
    playout.receive(FRAME, 0.25)
    assert [name for name, _ in watch.new(playout, 0.3)] == ["underrun"]
    assert [name for name, _ in watch.new(playout, 1.0)] == ["wrong size"]
