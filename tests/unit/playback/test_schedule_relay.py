# SPDX-License-Identifier: Apache-2.0
"""Audio that comes just in time, in pieces of any size and at another rate: all is heard, and nothing clicks."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, frames_of, real_speech
from support.player import Player

from audio_connector.audio.resample import resample

RATES_HZ = st.sampled_from([8000, 16000, 22050, 24000, 48000])


def sine(hz: float, seconds: float, rate_hz: int) -> bytes:
    count = int(seconds * rate_hz)
    return struct.pack(
        f"<{count}h", *(round(8000 * math.sin(2 * math.pi * hz * k / rate_hz)) for k in range(count))
    )


@settings(max_examples=50)
@given(
    in_hz=RATES_HZ,
    out_hz=st.sampled_from([8000, 16000, 24000]),
    piece_s=st.floats(0.002, 0.025),  # with the jitter: the prime less a frame, less the time of a drain
    lane=st.sampled_from([0, 1]),
    jitter_s=st.lists(st.floats(0.0, 0.02), min_size=1, max_size=10),
)
def test_a_relay_just_in_time_loses_and_changes_no_sample(
    in_hz: int, out_hz: int, piece_s: float, lane: int, jitter_s: list[float]
) -> None:
    speech = real_speech(16000)[:32_000]
    size_bytes = int(piece_s * 2 * in_hz)
    player = Player(out_hz, prime_s=0.1)
    if lane:
        player.begin(lane)
    for turn, at in enumerate(range(0, len(speech), size_bytes)):
        # Each piece comes when it has been spoken, or a little later.
        player.run_until(
            player.start + min(at + size_bytes, len(speech)) / 2 / in_hz + jitter_s[turn % len(jitter_s)]
        )
        player.write(lane, speech[at : at + size_bytes], None if in_hz == out_hz else in_hz)
    assert player.schedule.underruns == 0
    player.run_out()
    whole = resample(speech, in_hz, out_hz)
    # Only the very end is heard as if silence followed.
    assert b"".join(player.frames)[: len(whole) - 400] == whole[:-400]
    assert len(player.frames) == len(frames_of(whole, player.frame_bytes))


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (8000, 16000), (24000, 8000), (22050, 16000)])
@given(pause_s=st.floats(0.0, 3.0), size_bytes=st.integers(4000, 30_000))
def test_what_a_resampler_holds_is_heard_before_the_router_runs_dry(
    lane: int, in_hz: int, out_hz: int, pause_s: float, size_bytes: int
) -> None:
    speech = real_speech(16000)[10_000 : 10_000 + size_bytes // 2 * 2]
    player = Player(out_hz, lead_s=0.2)
    if lane:
        player.begin(lane)
    player.write(lane, speech, in_hz)
    player.run_for(10.0)
    first = resample(speech, in_hz, out_hz)
    assert player.frames == frames_of(first, player.frame_bytes)
    # And in time: no frame has left after the one before it was over.
    assert all(sent.at <= player.sent[0].at + k * 0.02 for k, sent in enumerate(player.sent))
    player.run_for(pause_s)
    player.write(lane, speech, in_hz)
    player.run_for(10.0)
    again = b"".join(player.frames[len(frames_of(first, player.frame_bytes)) :])
    both = resample(speech + speech, in_hz, out_hz)
    assert again[: len(both) - len(first) - 400] == both[len(first) : -400]


@pytest.mark.parametrize(("in_hz", "out_hz"), [(24000, 16000), (8000, 16000), (24000, 8000)])
def test_a_relayed_sine_stays_a_sine(in_hz: int, out_hz: int) -> None:
    pcm = sine(440, 6.0, in_hz)
    player = Player(out_hz, prime_s=0.06)
    size_bytes = in_hz // 50 * 2
    for turn, at in enumerate(range(0, len(pcm), size_bytes)):
        player.run_until(player.start + turn * 0.02)
        player.write_plain(pcm[at : at + size_bytes], in_hz)
    player.run_out()
    assert player.schedule.underruns == 0
    samples = np.frombuffer(b"".join(player.frames), "<i2").astype(float)[200:-1000]
    # Each sample of a sine follows from the two before it.
    expected = 2 * math.cos(2 * math.pi * 440 / out_hz) * samples[1:-1] - samples[:-2]
    assert np.abs(samples[2:] - expected).max() < 4


@given(
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=10),
    lane=st.sampled_from([0, 1]),
    seconds=st.floats(0.5, 3.0),
)
def test_odd_pieces_at_about_real_time_stay_what_they_are(
    sizes: list[int], lane: int, seconds: float
) -> None:
    pcm = counting_pcm(int(seconds * 16000) * 2)
    player = Player(prime_s=0.1)
    if lane:
        player.begin(lane)
    at = turn = 0
    while at < len(pcm):
        size_bytes = sizes[turn % len(sizes)]
        player.write(lane, pcm[at : at + size_bytes])
        at += size_bytes
        turn += 1
        player.run_until(player.start + at / 32000)
    player.run_out()
    content = b"".join(player.frames)
    samples = np.frombuffer(content, "<u2")
    assert bytes(samples[samples != 0]) == pcm
