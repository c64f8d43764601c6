# SPDX-License-Identifier: Apache-2.0
"""Those who wait without a word: bounded, and fair among addresses."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.waiting import Waiting


def test_of_the_address_that_has_the_most_the_oldest_goes() -> None:
    waiting: Waiting[int] = Waiting(3)
    assert [waiting.add("a", 1), waiting.add("b", 2), waiting.add("a", 3)] == [None, None, None]
    assert waiting.add("b", 4) in (1, 2)
    assert len(waiting) == 3
    assert waiting.add("a", 5) is not None
    waiting.remove("a", 99)
    waiting.remove("c", 1)
    assert len(list(waiting)) == 3


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40),
)
def test_it_is_bounded_and_nobody_goes_for_a_greater_one(most: int, comes: list[tuple[str, bool]]) -> None:
    waiting: Waiting[tuple[str, int]] = Waiting(most)
    there: list[tuple[str, int]] = []
    for number, (address, leaves) in enumerate(comes):
        if leaves and there:
            gone = there.pop(number % len(there))
            waiting.remove(gone[0], gone)
            continue
        there.append((address, number))
        dropped = waiting.add(address, (address, number))
        assert (dropped is not None) == (len(there) > most)
        if dropped is not None:
            counts = Counter(each for each, _ in there)
            assert counts[dropped[0]] == max(counts.values())
            assert dropped == next(item for item in there if item[0] == dropped[0])
            there.remove(dropped)
    assert sorted(waiting) == sorted(there)
    assert len(waiting) == len(there) <= most
    for item in there:
        waiting.remove(item[0], item)
    assert (waiting._by_address, waiting._by_count) == ({}, {})
