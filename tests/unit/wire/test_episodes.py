# SPDX-License-Identifier: Apache-2.0
"""What happens again and again is told rarely, and nothing of it is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.episodes import FIRST_S, LONGEST_S, MAX_KINDS, Episodes, Word

OTHERS = "others"


def test_the_first_is_told_at_once_and_the_next_word_has_the_count() -> None:
    episodes = Episodes(OTHERS)
    told = [episodes.note("a", 100 + at / 50) for at in range(251)]
    assert told == [Word("a", 1, 0.0), *[None] * 249, Word("a", 250, 5.0)]
    assert episodes.finish() == []


def test_words_become_rare() -> None:
    episodes = Episodes(OTHERS)
    told = [float(now) for now in range(1, 7201) if episodes.note("a", float(now))]
    gaps = [after - before for before, after in pairwise(told)]
    assert gaps[:6] == [5, 10, 20, 40, 60, 60]
    assert len(told) == 123


def test_the_intervals_can_be_set() -> None:
    episodes = Episodes(OTHERS, first_s=1.0, longest_s=3.0)
    assert [now for now in range(12) if episodes.note("a", float(now))] == [0, 1, 3, 6, 9]


def test_some_may_come_at_once_and_again_after_a_quiet_time() -> None:
    episodes = Episodes(OTHERS, longest_s=FIRST_S, at_once=3)
    times = [0.0, 0.1, 0.2, 0.3, 4.9, 5.0, 9.9, 10.0, 10.1, 20.0, 20.1, 20.2, 20.3]
    told = [now for now in times if episodes.note("a", now)]
    assert told == [0.0, 0.1, 0.2, 5.0, 10.0, 20.0, 20.1, 20.2]


def test_after_a_quiet_time_it_begins_anew() -> None:
    episodes = Episodes(OTHERS)
    previous = 0.0
    for start in (0.0, 1000.0, 1000.0 + FIRST_S + LONGEST_S):
        assert episodes.note("a", start) == Word("a", 1, start - previous)
        assert episodes.note("a", start + 1) is None
        assert episodes.note("a", start + FIRST_S) == Word("a", 2, FIRST_S)
        previous = start + FIRST_S


def test_each_kind_has_its_own_episode() -> None:
    episodes = Episodes(OTHERS)
    assert [episodes.note(kind, 0.0) is not None for kind in "abab"] == [True, True, False, False]
    assert episodes.note("a", 2.0) is None
    assert episodes.finish() == [Word("a", 2, 2.0), Word("b", 1, 0.0)]
    assert episodes.finish() == []


def test_too_many_kinds_share_one_until_old_ones_are_over() -> None:
    episodes = Episodes("0 others")
    assert all(episodes.note(str(kind), 0.0) for kind in range(MAX_KINDS))
    told = [episodes.note(f"more {kind}", 1.0) for kind in range(50)]
    assert told == [Word("0 others", 1, 0.0), *[None] * 49]
    assert episodes.finish() == [Word("0 others", 49, 0.0)]
    assert episodes.note("later", 2.0 + LONGEST_S) == Word("later", 1, 0.0)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2 * MAX_KINDS) | st.just(0),
            st.sampled_from([0.0, 0.02, 1.0, 40.0, 70.0]),
        )
    )
)
def test_what_was_noted_was_told_or_counted(steps: list[tuple[int, float]]) -> None:
    episodes: Episodes[int] = Episodes(-1)
    now, counted = 0.0, 0
    told_at: dict[int, float] = {}
    for kind, later_s in steps:
        now += later_s
        word = episodes.note(kind, now)
        assert len(episodes._episodes) <= MAX_KINDS + 1
        if word is not None:
            assert word.kind in (kind, -1)
            assert word.times > 0
            assert now - told_at.get(word.kind, -LONGEST_S) >= FIRST_S
            told_at[word.kind] = now
            counted += word.times
    counted += sum(word.times for word in episodes.finish())
    assert counted == len(steps)
    assert episodes.finish() == []
