# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.mixing import crossfade

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
