# SPDX-License-Identifier: Apache-2.0
"""A background at a router: never a gap in it, never a reason to wait, and what is said is as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.player import FRAME_S, ROUNDING_S, Player, about

from audio_connector.playback.background import ATTACK_S, Background
from audio_connector.playback.beside import AHEAD_S, TAKEOVER_S
from audio_connector.playback.speech import PLAIN, Flushed, Played

SILENT = bytes(64_000)


def counting(first: int, count: int) -> bytes:
    """Frames that say their numbers."""
    return b"".join(numbered(number, 640) for number in range(first, first + count))


class Judge:
    """What a router that obeys clear has of all that a player sent; tells whether it ever ran dry."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.begun = player.now

    def holes_s(self) -> list[float]:
        """How long it had nothing, each time."""
        holes, ends_at = [], self.begun
        for sent in self.player.sent:
            if sent.at > ends_at + ROUNDING_S:
                holes.append(sent.at - ends_at)
            ends_at = max(ends_at, sent.at) + FRAME_S
        return holes

    def waiting_s(self) -> float:
        """How long it plays on with what it has."""
        ends_at = self.begun
        for sent in self.player.sent:
            ends_at = max(ends_at, sent.at) + FRAME_S
        return ends_at - self.player.now


def playing(*, volume: float = 0.0, **options: float) -> tuple[Player, Judge]:
    player = Player(**options)  # type: ignore[arg-type]
    judge = Judge(player)
    player.play_under(SILENT, volume=volume)
    return player, judge


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "begin", "more", "end", "plain", "pause", "go on", "flush", "wait"]),
        st.floats(0.0, 0.5),
    ),
    max_size=30,
)


@given(steps=STEPS, lead_s=st.sampled_from([0.04, 0.2, 1.0]), prime_s=st.sampled_from([0.0, 0.1]))
def test_whatever_is_said_the_router_never_runs_dry_and_all_of_it_is_heard(
    steps: list[tuple[str, float]], lead_s: float, prime_s: float
) -> None:
    player, judge = playing(lead_s=lead_s, prime_s=prime_s)
    lane, number, is_open = 0, 0, False
    paused: list[int] = []
    asked: list[int] = []
    for what, seconds in steps:
        count = 1 + int(seconds * 40)
        if what in ("say", "begin") and not is_open:
            lane, is_open = lane + 1, True
            player.begin(lane)
        if is_open == (what != "plain") and what in ("say", "more", "plain"):
            player.write(lane if is_open else PLAIN, counting(number + 1, count))
            asked += range(number + 1, number + 1 + count)
            number += count
        if what in ("say", "end"):
            player.end(lane)
            is_open = False
        elif what == "pause":
            player.pause(lane)
            paused.append(lane)
        elif what == "go on" and paused:
            player.go_on(paused.pop())
        elif what == "flush":
            flush(player)
            asked, is_open = numbers_of(player.frames), False
        player.run_for(seconds)
        assert judge.waiting_s() > 0
    for each in paused:
        player.go_on(each)
    player.end(lane)
    player.run_for(15.0)
    assert judge.holes_s() == []
    assert numbers_of(player.frames) == asked
    assert not player.schedule.queued_bytes


def flush(player: Player) -> None:
    player.queue.flush(player.now)
    player.clear()
    player.advance()


def test_alone_it_is_no_further_ahead_than_it_has_to_be_and_delays_nothing_more() -> None:
    player, judge = playing()
    player.run_for(10.0)
    assert AHEAD_S - FRAME_S <= judge.waiting_s() <= AHEAD_S + FRAME_S + ROUNDING_S
    assert len(player.sent) == pytest.approx(505, abs=2)
    ahead_s = judge.waiting_s()
    begun = player.now
    player.say(1, counting(1, 50))
    player.run_for(0.99 + ahead_s)
    assert player.ends() == {}
    player.run_for(0.02)
    assert player.ends() == {1: Played(1000.0)}
    assert player.now == about(begun + 1.01 + ahead_s)


def test_figures_mean_what_is_said_alone() -> None:
    player, _ = playing()
    player.run_for(3.0)
    schedule, queue = player.schedule, player.queue
    assert (player.played_ms, schedule.queued_ms, schedule.in_flight_ms(player.now)) == (0.0, 0.0, 0.0)
    assert schedule.is_at_rest(player.now)
    assert not queue.is_owed
    player.wait(5)
    assert player.answers(5) == [Played(0.0)]
    player.say(1, counting(1, 10))
    player.run_for(5.0)
    assert (player.played_ms, schedule.underruns) == (200.0, 0)
    assert schedule.is_at_rest(player.now)
    assert player.flush() == Flushed(0.0, 0.0)


def test_a_source_that_comes_just_in_time_does_not_run_dry_under_it() -> None:
    player, judge = playing(lead_s=0.2, prime_s=0.1)
    for number in range(1, 200):
        player.write_plain(numbered(number, 640))
        player.run_for(FRAME_S)
    player.run_for(2.0)
    assert player.schedule.underruns == 0
    assert numbers_of(player.frames) == list(range(1, 200))
    assert judge.holes_s() == []
    at = [index for index, sent in enumerate(player.sent) if not sent.is_beside]
    assert at == list(range(at[0], at[0] + 199)), "nothing between them"


def test_what_comes_too_late_has_a_gap_that_is_counted_and_filled() -> None:
    player, judge = playing(lead_s=0.2, prime_s=0.0)
    player.begin(1)
    player.write(1, counting(1, 10))
    player.run_for(0.5)
    player.write(1, counting(11, 10))
    player.end(1)
    player.run_for(2.0)
    assert player.schedule.underruns == 1
    assert player.schedule.underrun_ms == pytest.approx(300, abs=100)
    assert player.ends() == {1: Played(400.0)}
    assert judge.holes_s() == []


def test_a_remainder_is_said_before_it_goes_on_alone() -> None:
    player, judge = playing()
    player.begin(1)
    player.write(1, counting(1, 1)[:500])
    player.run_for(1.0)
    assert len(player.frames) == 1
    player.write(1, counting(1, 10) + b"\1\0" * 50)
    player.run_for(1.0)
    assert len(player.frames) == 12
    at = [index for index, sent in enumerate(player.sent) if not sent.is_beside][1:]
    assert at == list(range(at[0], at[0] + 11))
    assert judge.holes_s() == []


def test_after_a_stop_of_the_whole_machine_it_goes_on_without_a_burst() -> None:
    player, judge = playing()
    player.run_for(1.0)
    player.now += 60.0
    before = len(player.sent)
    player.advance()
    assert len(player.sent) - before == AHEAD_S / FRAME_S + 1
    player.run_for(1.0)
    assert judge.holes_s() == [pytest.approx(60.0, abs=0.11)]


def test_a_flush_cuts_what_is_said_and_it_goes_on_where_it_was_heard() -> None:
    player = Player()
    tone = np.arange(32_000, dtype="<i2").tobytes()
    player.play_under(tone)
    player.run_for(1.0)
    player.say(1, bytes(64_000))
    player.run_for(1.0)
    player.queue.flush(player.now)
    player.clear()
    player.advance()
    player.run_for(1.0)
    heard = np.frombuffer(b"".join(sent.frame for sent in player.sent[50:]), "<i2").astype(int)
    steps = np.diff(heard)
    assert set(steps) <= {1, -31_999}, "sample by sample"


def test_at_a_router_that_is_told_nothing_it_goes_on_behind_what_that_has() -> None:
    player = Player(can_clear=False)
    judge = Judge(player)
    player.play_under(SILENT)
    player.say(1, counting(1, 50))
    player.run_for(0.5)
    ahead_s = judge.waiting_s()
    player.flush()
    assert judge.waiting_s() == about(ahead_s), "the lead of the speech, and nothing more"
    player.run_for(1.0)
    assert judge.waiting_s() <= AHEAD_S + FRAME_S + ROUNDING_S
    assert judge.holes_s() == []


def test_a_pause_is_filled_and_what_is_cut_dies_away_under_it() -> None:
    player = Player(fade_s=0.01)
    judge = Judge(player)
    player.play_under(SILENT, volume=0.0)
    player.say(1, counting(1000, 50))
    player.run_for(0.5)
    player.pause(1)
    player.run_for(3.0)
    player.go_on(1)
    player.run_for(3.0)
    assert judge.holes_s() == []
    assert player.ends() == {1: Played(1000.0)}


def test_it_ends_when_it_is_asked_to_and_says_so_once() -> None:
    player, _ = playing(volume=1.0)
    player.run_for(1.0)
    player.stop_under(5, 0.2)
    assert player.answers(5) == []
    player.run_for(0.3)
    assert player.answers(5) == [True]
    player.run_out()
    assert player.queue.next_deadline() == math.inf
    assert not player.queue.beside.is_on
    player.stop_under(6)
    assert player.answers(6) == [True], "it is over already"
    before = len(player.sent)
    player.say(1, counting(1, 10))
    player.run_out()
    assert len(player.sent) - before == 10


def test_everybody_who_stops_it_is_answered_and_who_leaves_is_not() -> None:
    player, _ = playing(volume=1.0)
    player.run_for(1.0)
    player.stop_under(5, 5.0)
    player.stop_under(6, 0.2)
    player.stop_under(7, 0.2)
    player.leave(6)
    assert player.answers(5) == []
    player.run_out()
    assert (player.answers(5), player.answers(6), player.answers(7)) == ([True], [], [True])


def test_another_one_takes_its_place_and_the_wrong_number_stops_nothing() -> None:
    player, judge = playing(volume=1.0)
    player.run_for(1.0)
    player.stop_under(5, number=3)
    player.play_under(SILENT, number=78)
    player.run_for(1.0)
    player.stop_under(6, number=77)
    assert (player.answers(5), player.answers(6)) == ([True], [True])
    player.run_for(1.0)
    assert judge.holes_s() == []
    player.stop_under(7, number=78)
    player.run_out()


def test_while_the_router_does_not_read_nothing_is_sent_and_it_ends_at_once() -> None:
    player, _ = playing(volume=1.0)
    player.run_for(1.0)
    player.hold()
    before = len(player.sent)
    player.run_for(10.0)
    assert len(player.sent) == before
    player.stop_under(5, 1.0)
    assert player.answers(5) == [True]


def test_two_that_are_asked_for_at_once_do_not_mix_and_the_later_one_is_played() -> None:
    player = Player()
    beside = player.queue.beside
    pieces = {number: np.full(3_200, level, "<i2").tobytes() for number, level in ((1, 1_000), (2, 2_000))}
    for is_last in (False, False, True):
        for number, pcm in pieces.items():
            beside.add(Background(number, 16_000, volume=1.0, duck=1.0), pcm, is_last=is_last)
    player.advance()
    player.run_for(3.0)
    levels = {level for sent in player.sent[50:] for level in np.frombuffer(sent.frame, "<i2").tolist()}
    assert levels == {2_000}
    beside.add(Background(1, 16_000, volume=1.0, duck=1.0), pieces[1], is_last=True)
    assert beside._background is not None
    assert (beside._background.number, beside._background._size_bytes) == (2, 3 * 6_400), "all of it"
    player.stop_under(5, number=1)
    player.stop_under(6, number=2)
    player.run_out()
    assert (player.answers(5), player.answers(6)) == ([True], [True])


def test_who_goes_away_takes_it_along_after_a_while() -> None:
    player, judge = playing(volume=1.0)
    player.say(1, counting(1, 50))
    player.run_for(0.3)
    player.queue.abandon(player.now)
    player.advance()
    player.run_for(TAKEOVER_S)
    assert player.queue.beside.is_on
    assert judge.holes_s() == []
    began = player.now
    player.run_out()
    assert player.now - began < ATTACK_S + 2 * AHEAD_S
    assert len(player.frames) == 50
    assert not player.queue.beside.is_on


def test_who_takes_the_call_may_have_another_one_take_its_place_without_a_gap() -> None:
    player, judge = playing(volume=1.0)
    player.run_for(1.0)
    player.queue.abandon(player.now)
    player.run_for(2.0)
    player.play_under(SILENT, number=1 << 32)
    player.run_for(2 * TAKEOVER_S)
    assert judge.holes_s() == []
    assert player.queue.beside.is_on
    player.stop_under(5, number=1 << 32)
    player.run_out()
