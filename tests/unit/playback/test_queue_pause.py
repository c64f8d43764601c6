# SPDX-License-Identifier: Apache-2.0
"""A speech that is paused: silent at once, and from what was heard on as if nothing had been."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.player import FRAME_S, Player, about

from audio_connector.audio.mixing import fade_in, fade_out
from audio_connector.playback.queue import PAUSE_STARVES, STARVING_S
from audio_connector.playback.speech import Flushed, Interrupted, Played


def counting(first: int, count: int) -> bytes:
    """Frames that say their numbers."""
    return b"".join(numbered(number, 640) for number in range(first, first + count))


@given(
    pauses=st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 3.0)), min_size=1, max_size=6),
    lead_s=st.sampled_from([0.04, 0.2, 1.0]),
    is_open=st.booleans(),
)
def test_at_a_router_that_obeys_everything_is_heard_once(
    pauses: list[tuple[float, float]], lead_s: float, is_open: bool
) -> None:
    player = Player(lead_s=lead_s)
    player.begin(1)
    player.write(1, counting(1, 60))
    if not is_open:
        player.end(1)
    for said_s, silent_s in pauses:
        player.run_for(said_s)
        player.pause(1)
        played_ms = player.played_ms
        player.run_for(silent_s)
        assert player.played_ms == played_ms, "it stands still"
        assert not player.waits()
        player.go_on(1)
    player.end(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 61))
    assert player.ends() == {1: Played(1200.0)}
    assert player.schedule.underruns == 0


def test_it_is_silent_behind_the_frame_that_plays_and_says_what_was_heard() -> None:
    player = Player()
    player.say(1, counting(1, 100))
    player.run_for(1.013)
    assert player.pause(1, 5)
    assert player.answers(5) == [1020.0], "the 51st frame is being played"
    assert len(player.frames) == 51
    assert player.queue.next_deadline() == math.inf
    assert (player.schedule.queued_ms, player.schedule.in_flight_ms(player.now)) == (980.0, 0.0)
    player.run_for(0.5)
    player.go_on(1)
    assert [sent.at for sent in player.sent[51:]] == [about(player.now)] * 11
    player.run_out()
    assert player.ends() == {1: Played(2000.0)}


def test_gone_on_at_once_it_goes_on_behind_the_frame_that_plays() -> None:
    player = Player()
    player.say(1, counting(1, 100))
    start = player.now
    player.run_for(1.013)
    player.pause(1)
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 101))
    assert player.now == about(start + 2.0), "without any gap"


def test_twice_or_for_nothing_changes_nothing() -> None:
    player = Player()
    player.say(1, counting(1, 50))
    player.go_on(1)
    player.run_for(0.5)
    assert player.pause(1, 5)
    assert not player.pause(1, 6)
    assert player.answers(5) == player.answers(6)
    player.go_on(1)
    player.go_on(1)
    player.go_on(99)
    player.run_out()
    assert not player.pause(1, 7), "it is over"
    assert player.answers(7) == [None]
    assert numbers_of(player.frames) == list(range(1, 51))


def test_nothing_behind_it_overtakes_not_even_where_it_has_nothing_left_to_say() -> None:
    player = Player()
    player.begin(1)
    player.write(1, counting(1, 10))
    player.run_for(0.15)
    player.pause(1)
    player.say(2, counting(11, 10))
    player.run_for(1.0)
    player.end(1)
    player.run_for(1.0)
    assert len(player.frames) < 10
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 21))
    assert player.ends() == {1: Played(200.0), 2: Played(200.0)}

    player.begin(3)
    player.write(3, counting(1, 3))
    player.run_for(1.0)
    player.pause(3)
    player.end(3)
    player.say(4, counting(4, 3))
    player.run_for(5.0)
    assert (3 in player.ends(), len(player.frames)) == (False, 23), "all of it was heard, and it is paused"
    player.go_on(3)
    player.run_out()
    assert player.ends()[4] == Played(60.0)


@given(after_s=st.floats(0.0, 1.2))
def test_one_that_waits_its_turn_is_held_when_it_comes(after_s: float) -> None:
    player = Player()
    player.say(1, counting(1, 50))
    player.say(2, counting(51, 10))
    player.run_for(after_s)
    is_over = 1 in player.ends()
    player.pause(2)
    player.run_for(5.0)
    heard = len(player.frames)
    assert heard <= 50 + (after_s > 1.0 - FRAME_S) * 10
    assert is_over or player.ends()[1] == Played(1000.0)
    player.go_on(2)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 61))
    assert player.schedule.underruns == 0


def test_what_is_written_meanwhile_is_taken_and_who_waits_goes_on_waiting() -> None:
    player = Player(max_bytes=640 * 20)
    player.begin(1)
    player.write(1, counting(1, 15))
    player.run_for(0.1)
    player.pause(1)
    player.stand(1, 9)
    assert player.answers(9) == [True], "there is room"
    player.write_granted(9, counting(16, 12))
    player.stand(1, 10)
    player.wait(11)
    player.run_for(60.0)
    assert player.answers(10) == []
    player.go_on(1)
    assert player.answers(10) == [True]
    player.leave(10)
    player.end(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 28))
    assert player.answers(11) == [Played(540.0)]


@given(after_s=st.floats(0.0, 0.9), silent_s=st.floats(0.0, 2.0))
def test_a_flush_of_a_paused_one_has_the_right_numbers(after_s: float, silent_s: float) -> None:
    player = Player()
    player.say(1, counting(1, 50))
    player.run_for(after_s)
    player.pause(1, 5)
    player.run_for(silent_s)
    player.wait(6)
    flushed = player.flush()
    [heard_ms] = player.answers(5)
    assert flushed == Flushed(heard_ms, 1000.0 - heard_ms)  # type: ignore[arg-type, operator]
    outcome = Interrupted(flushed.played_ms, flushed.discarded_ms)
    assert player.ends() == {1: outcome}
    assert player.answers(6) == [outcome]
    player.go_on(1)
    player.run_for(5.0)
    assert len(player.frames) == heard_ms / 20  # type: ignore[operator]


def test_before_the_rate_is_known_it_holds_as_well() -> None:
    player = Player(None)
    player.say(1, counting(1, 10))
    player.pause(1)
    player.settle(16000)
    player.run_for(1.0)
    assert player.frames == []
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 11))


def test_where_the_router_is_told_nothing_it_plays_what_it_has_and_nothing_is_said_twice() -> None:
    player = Player(can_clear=False)
    player.say(1, counting(1, 50))
    player.run_for(0.5)
    assert not player.pause(1)
    player.run_for(3.0)
    assert len(player.frames) == 36, "the lead"
    assert player.played_ms == 720.0
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 51))
    assert player.schedule.underruns == 0, "a pause is no gap"


@pytest.mark.parametrize("count", [2, 5, 10])
def test_there_what_is_behind_waits_also_where_all_of_it_was_sent(count: int) -> None:
    player = Player(can_clear=False)
    player.say(1, counting(1, 10))
    player.say(2, counting(11, count))
    player.say(3, counting(101, 50))
    player.run_for(0.05)
    sent = len(player.frames)
    assert not player.pause(1, 5)
    assert player.answers(5) == [40.0]
    player.run_for(3.0)
    assert len(player.frames) == sent
    assert player.ends() == {}, "one that is paused has not ended"
    assert player.played_ms == 20.0 * sent
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == [*range(1, 11 + count), *range(101, 151)]
    assert player.ends() == {1: Played(200.0), 2: Played(20.0 * count), 3: Played(1000.0)}
    assert player.schedule.underruns == 0


@given(
    can_clear=st.booleans(),
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.floats(0.0, 0.6)), max_size=12),
)
def test_whichever_are_paused_neither_they_nor_what_is_behind_ends_and_all_is_heard_once(
    can_clear: bool, counts: list[int], steps: list[tuple[bool, int, float]]
) -> None:
    player = Player(can_clear=can_clear)
    for lane, count in enumerate(counts, 1):
        player.say(lane, counting(1 + sum(counts[: lane - 1]), count))
    paused: set[int] = set()
    for is_pause, which, seconds in steps:
        lane = 1 + which % len(counts)
        if is_pause:
            player.pause(lane)
            paused |= {lane} - player.ends().keys()
        else:
            player.go_on(lane)
            paused.discard(lane)
        player.run_for(seconds)
        assert max(player.ends(), default=0) < min(paused, default=9)
    for lane in sorted(paused):
        player.go_on(lane)
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 1 + sum(counts)))
    assert player.ends() == {lane: Played(20.0 * count) for lane, count in enumerate(counts, 1)}
    assert (player.schedule.underruns, player.schedule.queued_bytes) == (0, 0)


def test_what_was_sent_in_another_format_is_not_taken_back() -> None:
    player = Player(16000)
    player.say(1, counting(1, 50))
    player.run_for(0.5)
    player.settle(8000)
    assert not player.pause(1, 5)
    player.run_for(1.0)
    player.go_on(1)
    player.run_out()
    assert player.ends() == {1: Played(1280.0)}, "36 frames, and 14 of twice their length"


def test_a_gap_before_the_pause_is_counted_and_the_pause_is_not() -> None:
    player = Player(prime_s=0.0)
    player.begin(1)
    player.write(1, counting(1, 5))
    player.run_for(0.3)
    player.pause(1)
    player.run_for(10.0)
    player.go_on(1)
    player.run_for(0.1)
    player.write(1, counting(6, 5))
    player.end(1)
    player.run_out()
    assert player.schedule.underruns == 1
    assert player.schedule.underrun_ms == pytest.approx(300.0)


def test_who_goes_away_leaves_nothing_paused() -> None:
    player = Player()
    player.say(1, counting(1, 50))
    player.run_for(0.5)
    player.pause(1)
    player.queue.abandon(player.now)
    player.advance()
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 51))


def test_one_that_is_forgotten_while_others_wait_is_named() -> None:
    player = Player()
    player.say(1, counting(1, 50))
    player.run_for(0.5)
    player.pause(1)
    player.run_for(60.0)
    assert player.warnings() == [], "nobody waits"
    player.say(2, counting(51, 5))
    begun = player.now
    player.run_for(60.0)
    assert player.warnings() == [(about(begun + STARVING_S), PAUSE_STARVES)]


# Against clicks.


def test_what_is_cut_dies_away_and_what_goes_on_comes_up() -> None:
    player = Player(fade_s=0.01)
    player.say(1, counting(1000, 50))
    player.run_for(0.513)
    player.pause(1)
    tail = player.sent[-1]
    assert tail.is_beside
    assert tail.frame == fade_out(numbered(1026, 640), 160)
    player.run_for(1.0)
    player.go_on(1)
    player.run_out()
    assert numbers_of(player.frames) == [*range(1000, 1026), 0, *range(1027, 1050)]
    assert player.frames[26] == fade_in(numbered(1026, 640), 160)
    assert player.ends() == {1: Played(1000.0)}, "what dies away is not counted"


def test_what_goes_on_at_once_waits_for_what_dies_away() -> None:
    player = Player(fade_s=0.01)
    start = player.now
    player.say(1, counting(1000, 50))
    player.run_for(0.513)
    player.pause(1)
    player.go_on(1)
    player.run_out()
    assert player.now == about(start + 1.0 + FRAME_S)
    assert player.heard == 50


def test_one_that_has_not_begun_is_not_faded() -> None:
    player = Player(fade_s=0.01)
    player.say(1, counting(1000, 3))
    player.say(2, counting(2000, 3))
    player.run_for(0.01)
    player.pause(2)
    player.run_for(1.0)
    player.go_on(2)
    player.run_out()
    assert not any(sent.is_beside for sent in player.sent)
    assert numbers_of(player.frames) == [1000, 1001, 1002, 2000, 2001, 2002]


def test_one_that_waits_behind_a_background_is_not_faded() -> None:
    player = Player(fade_s=0.01)
    player.play_under(bytes(640), volume=0.0)
    player.say(1, counting(1000, 50))
    player.pause(1)
    player.run_for(0.5)
    assert not any(any(sent.frame) for sent in player.sent)


def test_a_flush_fades_where_it_is_asked_to() -> None:
    player = Player(flush_fade_s=0.01)
    player.say(1, counting(1000, 50))
    player.run_for(0.513)
    assert player.flush() == Flushed(500.0, 500.0)
    assert (player.sent[-1].is_beside, player.sent[-1].frame) == (True, fade_out(numbered(1026, 640), 160))
    assert not player.flush().discarded_ms
    before = len(player.sent)
    player.run_for(1.0)
    assert len(player.sent) == before, "of nothing there is nothing to fade"
    player.hold()
    player.say(2, counting(1, 10))
    player.flush()
    player.release()
    assert len(player.sent) == before
