# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.mixing import crossfade, fade_in, fade_out, mix

SAMPLES = st.integers(-32768, 32767)


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def samples_of(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 2}h", data)


def test_it_begins_as_the_one_and_ends_as_the_other() -> None:
    assert crossfade(pcm(100, 100, 100, 100), pcm(0, 0, 0, 0)) == pcm(100, 75, 50, 25)
    assert crossfade(pcm(1), pcm(9)) == pcm(1)
    assert crossfade(b"", b"") == b""


def test_full_scale_does_not_overflow() -> None:
    loud = crossfade(pcm(*[32767] * 320), pcm(*[-32768] * 320))
    assert samples_of(loud)[0] == 32767
    assert min(samples_of(loud)) >= -32768


@given(pairs=st.lists(st.tuples(SAMPLES, SAMPLES), min_size=1, max_size=50))
def test_every_sample_lies_between_both(pairs: list[tuple[int, int]]) -> None:
    old, new = zip(*pairs, strict=True)
    mixed = samples_of(crossfade(pcm(*old), pcm(*new)))
    assert len(mixed) == len(pairs)
    assert mixed[0] == old[0]
    assert all(min(a, b) <= sample <= max(a, b) for a, b, sample in zip(old, new, mixed, strict=True))


@given(samples=st.lists(SAMPLES, max_size=50))
def test_between_equals_nothing_changes(samples: list[int]) -> None:
    assert crossfade(pcm(*samples), pcm(*samples)) == pcm(*samples)


@given(samples=st.lists(SAMPLES, max_size=50), count=st.integers(0, 60))
def test_fades_begin_and_end_where_they_should(samples: list[int], count: int) -> None:
    falling, rising = samples_of(fade_out(pcm(*samples), count)), samples_of(fade_in(pcm(*samples), count))
    fading = min(count, len(samples))
    assert len(falling) == len(rising) == len(samples)
    assert list(rising[fading:]) == samples[fading:]
    assert not any(falling[fading:])
    for index, sample in enumerate(samples[:fading]):
        assert falling[index] == sample * (fading - index) // fading
        assert rising[index] == sample * index // fading


def mixed(over: list[int], under: list[int], gain_from: float, gain_to: float) -> list[int]:
    """The same, sample by sample."""
    result = []
    for index, sample in enumerate(under):
        gain = gain_from + (gain_to - gain_from) * index / len(under)
        whole = round(sample * gain) + (over[index] if index < len(over) else 0)
        result.append(max(-32768, min(32767, whole)))
    return result


@given(
    pairs=st.lists(st.tuples(SAMPLES, SAMPLES), min_size=1, max_size=50),
    gains=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    is_spoken=st.booleans(),
)
def test_a_mix_is_the_sum_of_both_clipped_and_never_wrapped(
    pairs: list[tuple[int, int]], gains: tuple[float, float], is_spoken: bool
) -> None:
    over, under = [one for one, _ in pairs] if is_spoken else [], [other for _, other in pairs]
    got = samples_of(mix(pcm(*over), pcm(*under), *gains))
    assert all(abs(a - b) <= 1 for a, b in zip(got, mixed(over, under, *gains), strict=True))


def test_under_silence_what_is_said_stays_as_it_is() -> None:
    assert mix(pcm(1, -2, 32767, -32768), pcm(9, 9, 9, 9), 0.0, 0.0) == pcm(1, -2, 32767, -32768)
    assert mix(pcm(32767), pcm(32767), 1.0, 1.0) == pcm(32767)
    assert mix(b"", pcm(100, 100, 100, 100), 0.0, 1.0) == pcm(0, 25, 50, 75)
