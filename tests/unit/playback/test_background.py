# SPDX-License-Identifier: Apache-2.0
"""A background by itself: where it is, how loud, and what follows its end."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.playback.background import ATTACK_S, RELEASE_S, Background
from audio_connector.playback.speech import FRAME_S

FRAME_BYTES = 640
LOUD = 10_000


def made(pcm: bytes, *, volume: float = 1.0, duck: float = 1.0, sizes: int = 1 << 30) -> Background:
    background = Background(1, 16000, volume=volume, duck=duck)
    for at in range(0, len(pcm), sizes):
        background.add(pcm[at : at + sizes])
    background.finish(None)
    return background


def samples(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def levels(background: Background, frames: int, *, spoken: bytes = b"", of: int = LOUD) -> list[float]:
    """How loud the first sample of each is, of a background that has one value."""
    firsts = [samples(background.under(spoken, FRAME_BYTES, 100))[0] for _ in range(frames)]
    return [first / of for first in firsts]


def constant(seconds: float = 1.0, value: int = LOUD) -> bytes:
    return struct.pack("<h", value) * int(seconds * 16000)


@given(
    count=st.integers(1, 2000), pieces=st.integers(1, 700), frames=st.integers(1, 20), backs=st.integers(0, 5)
)
def test_it_is_looped_without_a_seam_and_what_was_not_heard_comes_again(
    count: int, pieces: int, frames: int, backs: int
) -> None:
    pcm = struct.pack(f"<{count}h", *range(1, count + 1))
    background = made(pcm, sizes=2 * pieces)
    background._gain = 1.0  # it would come up
    heard: list[int] = []
    for _ in range(frames):
        heard += samples(background.under(b"", FRAME_BYTES, 100))
        background.under(b"", FRAME_BYTES, 100)
        for _ in range(backs):
            background.under(b"", FRAME_BYTES, 100)
        background.go_back(1 + backs)
    assert heard == [at % count + 1 for at in range(320 * frames)]


def test_it_comes_up_in_half_a_second_and_goes_down_under_speech_in_a_tenth() -> None:
    background = made(constant(), volume=0.5, duck=0.2)
    coming = levels(background, 26)
    assert coming == pytest.approx([0.5 * k * FRAME_S / RELEASE_S for k in range(25)] + [0.5], abs=1e-3)
    down = levels(background, 7, spoken=bytes(FRAME_BYTES))
    assert down == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1], abs=1e-3), ATTACK_S
    up = levels(background, 21)
    assert up == pytest.approx([0.1 + 0.02 * k for k in range(21)], abs=1e-3)


def test_another_volume_is_reached_in_a_straight_line() -> None:
    background = made(constant())
    levels(background, 50)
    background.set_volume(0.5, 1.0)
    assert levels(background, 5) == pytest.approx([1.0, 0.8, 0.6, 0.5, 0.5], abs=1e-3)
    background.set_volume(0.0, 1.0)
    assert levels(background, 7)[-1] == 0.0


def test_no_sample_is_far_from_the_one_before_whatever_happens() -> None:
    background = made(constant(), volume=0.8, duck=0.1)
    heard = b"".join(
        background.under(bytes(FRAME_BYTES) if k % 7 > 3 else b"", FRAME_BYTES, 100) for k in range(100)
    )
    background.stop(0.1)
    while not background.is_over:
        heard += background.under(b"", FRAME_BYTES, 100)
    steps = [abs(a - b) for a, b in itertools.pairwise(samples(heard))]
    assert max(steps) <= LOUD * 0.8 * FRAME_S / ATTACK_S / 320 + 1
    assert abs(samples(heard)[-1]) <= LOUD * 0.8 * FRAME_S / 0.1 / 320 + 1


@pytest.mark.parametrize("fade_s", [0.0, 0.02, 0.5])
def test_it_ends_within_what_was_asked_for(fade_s: float) -> None:
    background = made(constant())
    levels(background, 50)
    assert not background.is_over
    background.stop(fade_s)
    frames = 0
    while not background.is_over:
        background.under(b"", FRAME_BYTES, 100)
        frames += 1
    assert frames == pytest.approx(max(1, fade_s / FRAME_S), abs=1)


def test_one_that_has_not_begun_is_over_at_once() -> None:
    background = made(constant())
    background.stop(1.0)
    assert background.is_over


def test_what_comes_again_is_as_loud_as_it_was_and_a_fade_goes_on() -> None:
    background = made(constant())
    before = levels(background, 10)
    background.go_back(4)
    assert levels(background, 4) == before[6:]
    background.go_back(1000)
    assert levels(background, 1) == [0.0], "no further than its beginning"
    levels(background, 50)
    background.stop(0.1)
    levels(background, 4)
    background.go_back(4)
    levels(background, 2)
    assert background.is_over


def test_one_takes_the_place_of_another_within_a_frame() -> None:
    old = made(constant())
    levels(old, 50)
    new = Background(2, 16000, volume=1.0, duck=1.0)
    new.add(constant(value=-LOUD))
    new.finish(old)
    first = samples(new.under(b"", FRAME_BYTES, 100))
    assert (first[0], first[-1] < -LOUD * 0.98) == (LOUD, True)
    assert max(abs(a - b) for a, b in itertools.pairwise(first)) <= 2 * LOUD / 320 + 1
    assert samples(new.under(b"", FRAME_BYTES, 100))[0] == -LOUD


def test_at_another_rate_it_goes_on_at_the_same_place() -> None:
    background = made(constant(2.0) + constant(2.0, -LOUD))
    levels(background, 99)  # 20 ms before the sign changes
    background.settle(AudioFormat(8000))
    frames = [samples(background.under(b"", 320, 100)) for _ in range(3)]
    assert [frame[80] for frame in frames] == [LOUD, -LOUD, -LOUD]


@given(
    count=st.integers(0, 30),
    at=st.integers(0, 29),
    rates_hz=st.permutations([8000, 16000, 24000]),
)
def test_of_a_sample_or_two_something_is_left_at_any_rate(count: int, at: int, rates_hz: list[int]) -> None:
    background = Background(1, rates_hz[0], volume=1.0, duck=1.0)
    background.add(bytes(2 * count))
    background.finish(None)
    background._cut(2 * at)
    for rate_hz in rates_hz:
        background.settle(AudioFormat(rate_hz))
        assert len(background.under(b"", rate_hz // 25, 100)) == rate_hz // 25
