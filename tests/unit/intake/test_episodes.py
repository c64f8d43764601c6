# SPDX-License-Identifier: Apache-2.0
"""What happens again and again is told rarely, and nothing of it is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.intake.episodes import MAX_KINDS, QUIET_S, WORDS_S, Episodes, Repeats

OTHERS = "others"


def test_the_first_is_told_at_once_and_the_rest_is_counted() -> None:
    episodes = Episodes(OTHERS)
    assert episodes.next_deadline() is None
    assert [episodes.note("a", 100 + at / 50) for at in range(250)] == [True] + [False] * 249
    assert episodes.next_deadline() == 105.0
    assert episodes.due(104.9) == []
    assert episodes.due(105.0) == [Repeats("a", 249, 5.0)]
    assert (episodes.next_deadline(), episodes.due(200.0), episodes.finish(200.0)) == (None, [], [])


def test_words_become_rare() -> None:
    episodes = Episodes(OTHERS)
    told = []
    for tenth in range(1, 7201 * 10):
        now = tenth / 10
        if episodes.note("a", now) or episodes.due(now):
            told.append(now)
    gaps = [round(after - before) for before, after in pairwise(told)]
    assert gaps[:4] == [5, 30, 60, 60]
    assert len(told) == 122


def test_after_a_quiet_time_it_is_told_in_full_again() -> None:
    episodes = Episodes(OTHERS)
    assert episodes.note("a", 0.0)
    assert not episodes.note("a", QUIET_S - 1)
    assert not episodes.note("a", 10 * QUIET_S), "the count has not been told yet"
    assert episodes.due(10 * QUIET_S) == [Repeats("a", 2, 10 * QUIET_S)]
    assert episodes.note("a", 11 * QUIET_S)


def test_each_kind_has_its_own_episode() -> None:
    episodes = Episodes(OTHERS)
    assert [episodes.note(kind, 0.0) for kind in "abab"] == [True, True, False, False]
    assert episodes.finish(1.0) == [Repeats("a", 1, 1.0), Repeats("b", 1, 1.0)]


def test_more_than_one_may_be_told_in_full() -> None:
    episodes = Episodes(OTHERS, in_full=3)
    assert [episodes.note("a", float(now)) for now in range(5)] == [True] * 3 + [False] * 2
    assert episodes.next_deadline() == 7.0
    assert episodes.due(7.0) == [Repeats("a", 2, 5.0)]
    assert not episodes.note("a", 8.0)


def test_too_many_kinds_share_one_until_old_ones_are_over() -> None:
    episodes = Episodes("0 others")
    assert all(episodes.note(str(kind), 0.0) for kind in range(MAX_KINDS))
    assert [episodes.note(f"more {kind}", 1.0) for kind in range(50)] == [True] + [False] * 49
    assert episodes.finish(2.0) == [Repeats("0 others", 49, 1.0)]
    assert episodes.note("later", 2.0 + QUIET_S)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["note", "note", "note", "due"]),
            st.integers(0, 2 * MAX_KINDS),
            st.sampled_from([0.0, 0.02, 1.0, 40.0]),
        )
    ),
    in_full_each=st.integers(1, 3),
)
def test_what_was_noted_was_told_or_counted(steps: list[tuple[str, int, float]], in_full_each: int) -> None:
    episodes: Episodes[int] = Episodes(-1, in_full=in_full_each)
    now, noted, in_full, counted = 0.0, 0, 0, 0
    for step, kind, later_s in steps:
        now += later_s
        if step == "note":
            noted += 1
            in_full += episodes.note(kind, now)
        else:
            deadline = episodes.next_deadline()
            repeats = episodes.due(now)
            assert bool(repeats) == (deadline is not None and now >= deadline)
            assert all(said.times > 0 and said.seconds >= WORDS_S[0] for said in repeats)
            counted += sum(said.times for said in repeats)
            assert episodes.due(now) == []
        assert len(episodes._episodes) <= MAX_KINDS + 1
    counted += sum(said.times for said in episodes.finish(now))
    assert noted == in_full + counted
    assert episodes.finish(now) == []
