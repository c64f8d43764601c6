# SPDX-License-Identifier: Apache-2.0
"""Barge-in: all of it at once, right within a frame, and nothing of the old speech afterwards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered, numbers_of
from support.player import FRAME_S, Player, about

from audio_connector.playback.speech import PLAIN, Flushed, Interrupted, Played

SIZES = st.integers(1, 40_000).map(lambda samples: 2 * samples)


@given(
    sizes=st.lists(SIZES, min_size=1, max_size=5),
    is_last_open=st.booleans(),
    after_s=st.floats(0.0, 8.0),
    lead_s=st.sampled_from([0.04, 0.2, 1.0]),
)
def test_a_flush_at_any_moment_cuts_everything_and_says_how_much_was_heard(
    sizes: list[int], is_last_open: bool, after_s: float, lead_s: float
) -> None:
    player = Player(lead_s=lead_s)
    for lane, size_bytes in enumerate(sizes, start=1):
        player.begin(lane)
        player.write(lane, counting_pcm(size_bytes))
        if lane < len(sizes) or not is_last_open:
            player.end(lane)
    player.run_for(after_s)
    heard_ms = player.heard * 20.0
    over_ms = sum(o.played_ms for o in player.ends().values() if isinstance(o, Played))
    known_ms = len(player.sent) * 20.0 + player.schedule.queued_ms

    flushed = player.flush()

    assert flushed.played_ms == heard_ms - over_ms
    assert flushed.discarded_ms == pytest.approx(known_ms - heard_ms)
    assert sum(o.played_ms for o in player.ends().values()) == heard_ms
    assert set(player.ends()) == set(range(1, len(sizes) + 1)), "all have ended, one way or the other"
    assert player.queue.next_deadline() == math.inf
    assert (player.schedule.queued_ms, player.schedule.in_flight_ms(player.now)) == (0.0, 0.0)
    before = len(player.sent)
    player.run_for(60.0)
    assert len(player.sent) == before


@given(after_s=st.floats(0.0, 3.0), pause_s=st.floats(0.0, 1.0))
def test_a_second_flush_has_nothing_to_cut(after_s: float, pause_s: float) -> None:
    player = Player()
    player.say(1, numbered(1, 640) * 100)
    player.run_for(after_s)
    player.flush()
    player.run_for(pause_s)
    played_ms = player.played_ms
    assert player.flush() == Flushed(0.0, 0.0)
    assert player.played_ms == played_ms


def test_two_seconds_into_thirty() -> None:
    player = Player(lead_s=0.2)
    player.say(1, numbered(1, 640) * 1500)
    player.run_for(2.0)
    assert player.flush() == Flushed(played_ms=2000.0, discarded_ms=28_000.0)
    assert player.ends() == {1: Interrupted(2000.0, 28_000.0)}
    left_at_router = len(player.sent) - player.heard
    assert left_at_router * FRAME_S <= 0.2 + FRAME_S


@given(
    late=st.lists(st.tuples(st.integers(1, 3), SIZES), max_size=10),
    after_s=st.floats(0.0, 1.0),
)
def test_late_writes_of_what_was_cut_are_refused_and_counted(
    late: list[tuple[int, int]], after_s: float
) -> None:
    player = Player()
    player.say(1, numbered(1, 640) * 100)
    for lane in (2, 3):
        player.begin(lane)
        player.write(lane, numbered(1, 640) * 3)
    player.run_for(after_s)
    player.flush()
    before = len(player.sent)
    player.begin(4)
    for token, (lane, size_bytes) in enumerate(late):
        player.write(lane, numbered(1, 2) * (size_bytes // 2))
        player.stand(lane, token)
        assert player.answers(token) == [False]
        player.end(lane)
    player.write(4, numbered(9, 640) * 20)
    player.end(4)
    player.run_out()
    assert player.queue.refused_bytes == sum(size for _, size in late)
    assert numbers_of(player.frames[before:]) == [9] * 20
    assert player.ends()[4] == Played(400.0)


def test_new_speech_after_a_flush_starts_at_once_and_its_clock_is_its_own() -> None:
    player = Player(lead_s=0.2)
    player.say(1, numbered(1, 640) * 500)
    player.run_for(1.013)
    player.flush()
    before, again_at = len(player.sent), player.now
    player.say(2, numbered(2, 640) * 100)
    assert len(player.sent) - before == 11
    player.run_for(1.0)
    expected = [about(max(again_at, again_at + k * FRAME_S - 0.2)) for k in range(61)]
    assert [sent.at for sent in player.sent[before:]] == expected


def test_speech_that_was_heard_to_its_end_is_not_cut() -> None:
    player = Player()
    player.say(1, numbered(1, 640) * 10)
    player.say(2, numbered(2, 640) * 10)
    player.run_for(0.3)
    assert player.flush() == Flushed(played_ms=100.0, discarded_ms=100.0)
    assert player.ends() == {1: Played(200.0), 2: Interrupted(100.0, 100.0)}


def test_a_pause_that_nobody_noticed_is_not_part_of_what_is_cut() -> None:
    player = Player(pause_s=0.4)
    player.write_plain(numbered(1, 640) * 10)
    player.now += 60.0
    assert player.flush() == Flushed(0.0, 0.0)


def test_a_flush_while_held_cuts_what_waits() -> None:
    player = Player()
    player.hold()
    player.say(1, numbered(1, 640) * 10)
    player.run_for(1.0)
    assert player.flush() == Flushed(0.0, 200.0)
    player.release()
    player.run_for(1.0)
    assert player.sent == []


def test_what_waits_behind_an_open_utterance_is_cut_as_well() -> None:
    player = Player()
    player.begin(1)
    player.say(2, numbered(2, 640) * 10)
    assert player.flush() == Flushed(0.0, 200.0)
    assert player.ends() == {1: Interrupted(0.0, 0.0), 2: Interrupted(0.0, 200.0)}


def test_a_flush_before_the_format_is_known_cuts_what_was_kept() -> None:
    player = Player(None)
    player.write_plain(numbered(1, 640))
    player.say(1, numbered(1, 640), 8000)
    player.flush()
    player.write_plain(numbered(2, 640))
    player.settle(16000)
    player.run_out()
    assert numbers_of(player.frames) == [2]
    assert isinstance(player.ends()[1], Interrupted)


# Whoever stands in line.


def test_whoever_waits_for_room_is_told_that_there_will_be_none() -> None:
    player = Player(max_bytes=640)
    player.write_plain(numbered(1, 640) * 20)
    player.stand(PLAIN, 1)
    player.stand(PLAIN, 2)
    player.flush()
    assert (player.answers(1), player.answers(2)) == ([False], [False])
    player.write_granted(2, numbered(1, 640), has_more=False)
    player.run_for(5.0)
    assert len(player.sent) == 11


@pytest.mark.parametrize("has_more", [True, False])
def test_whoever_was_granted_a_piece_hears_of_a_flush_with_the_piece(has_more: bool) -> None:
    # The grant may be on its way when the flush comes, and whoever gets it looks for one answer only.
    player = Player()
    player.stand(PLAIN, 1)
    player.flush()
    assert player.answers(1) == [True]
    player.write_granted(1, numbered(1, 640), has_more=has_more)
    assert player.answers(1) == [True, False][: 1 + has_more]
    player.run_for(5.0)
    assert player.sent == []
    assert player.queue.refused_bytes == 640


def test_where_the_router_is_told_nothing_what_comes_next_is_heard_behind_what_it_has() -> None:
    player = Player(can_clear=False)
    player.say(1, bytes(640 * 100))
    player.run_for(1.0)
    assert player.flush() == Flushed(played_ms=1000.0, discarded_ms=1000.0)
    behind = len(player.sent)
    player.say(2, bytes(640 * 50))
    player.run_for(0.5)
    heard = player.heard - behind
    assert heard == 25 - (behind - 50), "half a second, but for the lead"
    assert player.schedule.progress_of(player.schedule.utterances()[0]).played_ms(player.now) == 20.0 * heard
    player.run_out()
    assert player.ends()[2] == Played(1000.0)
    assert player.events[-1][0] == about(player.start + (behind + 50) * FRAME_S)
