# SPDX-License-Identifier: Apache-2.0
"""Gaps: which ones are underruns, which are pauses, and what is done before the router runs dry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, frames_of, numbered
from support.player import ROUNDING_S, Player, about

FRAME = numbered(7, 640)


def test_a_gap_in_the_middle_of_an_utterance_is_counted_with_its_length() -> None:
    player = Player(prime_s=0.1)
    player.begin(1)
    player.write(1, FRAME * 10)
    player.run_for(0.5)
    assert player.schedule.underruns == 0, "it may have been the end"
    player.write(1, FRAME * 10)
    assert player.schedule.underruns == 1
    assert player.schedule.underrun_ms == pytest.approx(300.0)
    player.end(1)
    player.run_out()
    assert player.ends()[1].played_ms == 400.0


def test_after_an_underrun_the_prime_is_gathered_again() -> None:
    player = Player(prime_s=0.1)
    player.begin(1)
    player.write(1, FRAME * 10)
    player.run_for(0.5)
    player.write(1, FRAME)
    assert len(player.sent) == 10
    player.run_for(0.2)
    assert player.sent[-1].at == about(player.start + 0.6)
    assert player.schedule.underrun_ms == pytest.approx(400.0)


@pytest.mark.parametrize("is_ended", [True, False])
def test_the_silence_after_an_utterance_is_none(is_ended: bool) -> None:
    player = Player()
    player.begin(1)
    player.write(1, FRAME * 10)
    if is_ended:
        player.end(1)
    player.run_for(1.0)
    if not is_ended:
        player.end(1)
    player.say(2, FRAME)
    player.run_out()
    assert player.schedule.underruns == 0
    assert player.ends()[1].played_ms == 200.0


def test_the_silence_after_a_flush_is_none() -> None:
    player = Player()
    player.begin(1)
    player.write(1, FRAME * 10)
    player.run_for(1.0)
    player.flush()
    player.write_plain(FRAME * 10)
    player.run_out()
    assert player.schedule.underruns == 0


@pytest.mark.parametrize(("gap_s", "underruns"), [(0.19, 0), (0.25, 1), (0.59, 1), (0.61, 0), (30.0, 0)])
def test_in_plain_writes_a_long_gap_is_a_pause(gap_s: float, underruns: int) -> None:
    player = Player(pause_s=0.4)
    player.write_plain(FRAME * 10)
    player.run_for(gap_s)
    player.write_plain(FRAME * 10)
    assert player.schedule.underruns == underruns
    player.run_out()
    assert len(player.sent) == 20


@pytest.mark.parametrize(("gap_s", "underruns"), [(0.25, 1), (0.61, 0)])
def test_a_pause_is_one_even_where_nobody_looked_at_the_clock_meanwhile(gap_s: float, underruns: int) -> None:
    player = Player(pause_s=0.4)
    player.write_plain(FRAME * 10)
    player.now += gap_s
    player.write_plain(FRAME * 10)
    assert player.schedule.underruns == underruns


def test_also_where_what_ends_it_comes_late() -> None:
    player = Player(pause_s=0.4)
    player.write_plain(FRAME * 10 + b"\1\1")
    player.now += 5.0
    player.begin(1)
    player.run_out()
    assert player.schedule.underruns == 0
    assert len(player.sent) == 11


def test_after_a_pause_the_played_time_counts_anew() -> None:
    player = Player(pause_s=0.4)
    player.write_plain(FRAME * 10)
    player.run_for(5.0)
    player.write_plain(FRAME * 10)
    player.run_for(0.1)
    assert player.flush().played_ms == 100.0
    assert player.played_ms == 300.0


@given(
    jitter_s=st.lists(st.floats(0.0, 0.079), min_size=60, max_size=60),
    lead_s=st.sampled_from([0.04, 0.2]),
)
def test_the_prime_rides_out_the_jitter_of_a_source_in_real_time(
    jitter_s: list[float], lead_s: float
) -> None:
    player = Player(prime_s=0.1, lead_s=lead_s)
    at = player.start
    for turn, late_s in enumerate(jitter_s):
        at = max(at, player.start + turn * 0.02 + late_s)
        player.run_until(at)
        player.write_plain(FRAME)
    player.run_out()
    assert player.schedule.underruns == 0
    assert len(player.sent) == 60


@given(late_s=st.lists(st.floats(0.0, 0.179), min_size=1, max_size=40))
def test_a_driver_that_is_late_by_less_than_the_lead_causes_none(late_s: list[float]) -> None:
    player = Player(lead_s=0.2)
    player.begin(1)
    player.write(1, FRAME * 500)
    for seconds in late_s:
        deadline = player.queue.next_deadline()
        assert deadline < math.inf
        player.now = max(player.now, deadline) + seconds
        player.advance()
    assert player.schedule.underruns == 0


def test_a_driver_that_is_later_than_the_lead_causes_one() -> None:
    player = Player(lead_s=0.2)
    player.begin(1)
    player.write(1, FRAME * 500)
    player.now += 0.3
    player.advance()
    assert player.schedule.underruns == 1
    assert player.schedule.underrun_ms == pytest.approx(80.0)
    assert player.heard == 11
    assert player.played_ms == 220.0


# Before the router runs dry.


@pytest.mark.parametrize("lane", [0, 1])
def test_a_remainder_is_padded_and_played_before_the_router_runs_dry(lane: int) -> None:
    player = Player()
    if lane:
        player.begin(lane)
    player.write(lane, FRAME * 10 + b"\1\1")
    player.run_for(1.0)
    assert player.sent[-1].at == about(player.start + 0.2 - 0.015)
    assert player.sent[-1].frame == b"\1\1" + bytes(638)
    assert player.schedule.underruns == 0, "it may have been the end"


def test_a_pad_with_more_behind_it_is_an_underrun() -> None:
    player = Player()
    player.begin(1)
    player.write(1, FRAME * 10 + b"\1\1")
    player.run_for(0.19)
    player.write(1, FRAME * 10)
    assert player.schedule.underruns == 1
    assert player.schedule.underrun_ms == pytest.approx(638 / 32)
    player.end(1)
    player.run_out()
    assert player.schedule.underruns == 1
    assert len(player.sent) == 21


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("prime_s", [0.0, 0.1])
def test_a_remainder_alone_waits_for_the_prime(prime_s: float, lane: int) -> None:
    player = Player(prime_s=prime_s)
    if lane:
        player.begin(lane)
    player.write(lane, counting_pcm(100))
    player.run_for(5.0)
    assert [sent.at for sent in player.sent] == [about(player.start + prime_s)]
    assert player.frames == [counting_pcm(100) + bytes(540)]


def test_nothing_is_padded_while_more_comes_in_time() -> None:
    player = Player()
    for turn in range(100):
        player.write_plain(counting_pcm(1000, start=1 + 500 * turn))
        player.run_for(0.03)
    assert player.frames[:150] == frames_of(counting_pcm(100_000), 640)[:150]
    assert player.schedule.underruns == 0


@given(
    lead_s=st.floats(0.04, 2.0),
    remainder=st.integers(0, 319).map(lambda samples: 2 * samples),
    frames=st.integers(1, 120),
)
def test_the_padding_comes_just_before_dry_and_makes_no_gap(
    lead_s: float, remainder: int, frames: int
) -> None:
    player = Player(lead_s=lead_s)
    player.write_plain(FRAME * frames + counting_pcm(remainder))
    player.run_out()
    assert len(player.sent) == frames + bool(remainder)
    dry_at = player.sent[0].at + frames * 0.02
    if remainder:
        assert dry_at - 0.025 - ROUNDING_S <= player.sent[-1].at <= dry_at
