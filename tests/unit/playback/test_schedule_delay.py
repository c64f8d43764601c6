# SPDX-License-Identifier: Apache-2.0
"""The bound on the delay of plain writes: the oldest audio is left out, without a click, and counted."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import numbered
from support.player import Player

from audio_connector.errors import PlaybackOverflow

AMPLITUDE = 8000


def sine(hz: float, seconds: float, rate_hz: int = 16000) -> bytes:
    count = int(seconds * rate_hz)
    return struct.pack(
        f"<{count}h", *(round(AMPLITUDE * math.sin(2 * math.pi * hz * k / rate_hz)) for k in range(count))
    )


def delay_ms(player: Player) -> float:
    return player.schedule.in_flight_ms(player.now) + player.schedule.queued_ms


@settings(max_examples=50)
@given(
    burst_s=st.floats(0.0, 2.0),
    max_delay_s=st.sampled_from([0.1, 0.3, 1.0]),
    lead_s=st.sampled_from([0.04, 0.2]),
    size_bytes=st.sampled_from([320, 640, 641, 3000]),
)
def test_after_a_burst_the_delay_is_within_the_bound(
    burst_s: float, max_delay_s: float, lead_s: float, size_bytes: int
) -> None:
    player = Player(max_delay_s=max_delay_s, lead_s=lead_s)
    pcm = sine(440, 6.0)
    at = 0
    end = int(burst_s * 32000)
    while at < end:
        player.write_plain(pcm[at : at + size_bytes])
        at += size_bytes
        # What was sent cannot be left out, nor can the frame that is blended into.
        assert delay_ms(player) <= max(max_delay_s, lead_s + 0.04) * 1000 + 20
    player.run_out()
    whole = math.ceil(at // 2 * 2 / 640)
    assert len(player.sent) + player.schedule.skipped_frames == whole
    assert (player.queue.skips > 0) == (player.schedule.skipped_frames > 0)
    assert len(player.errors()) == (player.queue.skips > 0), "reported once"
    assert all(isinstance(error, PlaybackOverflow) for error in player.errors())
    assert player.schedule.queued_bytes == 0


@given(hz=st.floats(50, 1000), burst_s=st.floats(0.5, 3.0))
def test_where_audio_is_left_out_nothing_clicks(hz: float, burst_s: float) -> None:
    player = Player(max_delay_s=0.3)
    pcm = sine(hz, burst_s + 1.0)
    for at in range(0, len(pcm), 640):
        player.write_plain(pcm[at : at + 640])
        if at > burst_s * 32000:
            player.run_for(0.02)
    player.run_out()
    assert player.schedule.skipped_frames > 0
    samples = np.frombuffer(b"".join(player.frames), "<i2").astype(float)
    own_slope = AMPLITUDE * 2 * math.pi * hz / 16000
    # All of them at one frame, where nothing was sent meanwhile.
    crossfade_slope = 2 * AMPLITUDE / 320 * player.queue.skips
    tail = len(pcm) // 2 % 320  # the last frame is padded with silence
    assert (
        np.abs(np.diff(samples[: len(samples) - 320 if tail else None])).max()
        <= own_slope + crossfade_slope + 2
    )


def test_the_newest_audio_is_what_stays() -> None:
    player = Player(max_delay_s=0.4)
    for number in range(1, 101):
        player.write_plain(numbered(number, 640))
    player.run_out()
    numbers = [int.from_bytes(frame[-2:], "little") for frame in player.frames]
    assert numbers[-1] == 100
    assert numbers == sorted(numbers)
    assert len(numbers) + player.schedule.skipped_frames == 100


def test_without_a_bound_nothing_is_left_out() -> None:
    player = Player()
    player.write_plain(numbered(1, 640) * 10_000)
    assert player.schedule.skipped_frames == 0


def test_a_speech_is_heard_whole() -> None:
    player = Player(max_delay_s=0.1)
    player.begin(1)
    for _ in range(100):
        player.write(1, numbered(1, 640))
    player.end(1)
    player.write_plain(numbered(2, 640))
    player.run_out()
    assert len(player.sent) == 101
    assert player.errors() == []


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_whoever_waits_for_what_is_left_out_is_answered(after_s: float) -> None:
    player = Player(max_delay_s=0.4)
    player.write_plain(numbered(1, 640) * 20)
    player.wait(1)
    player.run_for(after_s)
    player.write_plain(numbered(1, 640) * 60)
    player.wait(2)
    player.run_out()
    assert set(player.waits()) == {1, 2}
    assert player.waits()[1][0] <= player.waits()[2][0]


def test_audio_that_came_before_the_format_is_bounded_as_well() -> None:
    player = Player(None, max_delay_s=0.4)
    player.write_plain(numbered(1, 640) * 100)
    player.settle(16000)
    assert delay_ms(player) <= 400.0
    assert len(player.errors()) == 1
