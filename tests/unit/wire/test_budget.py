# SPDX-License-Identifier: Apache-2.0
"""A call never waits, who sends more is read later, many take no more than one, and who floods is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.budget import (
    BACKLOG_PER_S,
    EMPTY_BYTES,
    EMPTY_COST,
    MAX_EMPTY,
    OWN_PER_S,
    READ_COST,
    ROUND,
    SAVED_S,
    Backlog,
    Budget,
    cost_of,
)

FRAMES = (320, 640, 960)
JSON_FRAMES = (550, 990, 1400)


class Peer:
    """One that sends so many frames of a size as it may, in pieces as a socket reads them."""

    def __init__(self, backlog: Backlog, size_bytes: int, piece: int) -> None:
        self.budget = Budget(backlog)
        self.cost = cost_of(size_bytes)
        self.is_empty = size_bytes < EMPTY_BYTES
        self.piece = piece
        self.read = 0
        self.reads_at = 0.0

    def run_to(self, now: float) -> None:
        while self.reads_at <= now:
            self.read += self.piece
            cost = self.piece * self.cost
            wait_s = self.budget.spend(cost, self.piece * self.is_empty, self.reads_at)
            assert 0 <= wait_s <= cost / OWN_PER_S + 1e-9, "never worse than with its own alone"
            self.reads_at += wait_s or 0.0005


@given(
    jitter_ms=st.lists(st.floats(0, 500), min_size=50, max_size=50),
    is_json=st.booleans(),
    rate=st.integers(0, 2),
    extra=st.integers(0, 5),
)
def test_a_call_never_waits(jitter_ms: list[float], is_json: bool, rate: int, extra: int) -> None:
    """Fifty frames and some pings and texts a second, each up to half a second late, and read in two parts."""
    budget = Budget(Backlog())
    cost = 2 * READ_COST + (cost_of(JSON_FRAMES[rate], is_text=True) if is_json else cost_of(FRAMES[rate]))
    times = sorted(1000 + at * 0.02 + jitter_ms[at % 50] / 1000 for at in range(3000))
    spent, empty = 0.0, 0
    for at, now in enumerate(times):
        spent += cost
        if at % 50 < extra:
            spent += cost_of(0, is_control=True)
            empty += 1
        if spent > ROUND:
            assert budget.spend(spent, empty, now) == 0
            spent, empty = 0.0, 0
    assert not budget.is_flooded


@given(
    peers=st.lists(
        st.tuples(st.sampled_from([0, 2, 640, 65_000]), st.integers(1, 341)), min_size=1, max_size=20
    )
)
def test_many_take_no_more_than_their_own_and_the_backlog(peers: list[tuple[int, int]]) -> None:
    backlog, until = Backlog(), 3.0
    greedy = [Peer(backlog, size_bytes, piece) for size_bytes, piece in peers]
    for step in range(1, 301):
        for peer in greedy:
            peer.run_to(step * until / 300)
    spent = sum(peer.read * peer.cost for peer in greedy)
    under_way = sum(peer.piece * peer.cost for peer in greedy)  # is paid for after it was read
    assert spent <= len(greedy) * OWN_PER_S * (until + SAVED_S) + BACKLOG_PER_S * until + under_way + 1


@pytest.mark.parametrize("backlog_s", [1, 20, 120])
def test_who_was_stalled_is_read_at_the_pace_of_the_backlog_and_is_no_flood(backlog_s: int) -> None:
    peer = Peer(Backlog(), 640, ROUND)
    frames, now = 50 * backlog_s, 0.0
    while peer.read < frames:
        now += 0.001
        peer.run_to(now)
    assert now <= frames / BACKLOG_PER_S + 0.1
    assert not peer.budget.is_flooded


@pytest.mark.parametrize("size_bytes", [0, 2, EMPTY_BYTES - 1])
def test_who_sends_what_brings_nothing_floods(size_bytes: int) -> None:
    peer = Peer(Backlog(), size_bytes, 341)
    now = 0.0
    while not peer.budget.is_flooded:
        now += 0.01
        peer.run_to(now)
        assert now < 2 * MAX_EMPTY * EMPTY_COST / BACKLOG_PER_S
    assert peer.read < MAX_EMPTY + OWN_PER_S + 2 * 341


def test_an_hour_of_audio_at_once_is_no_flood() -> None:
    peer = Peer(Backlog(), 640, ROUND)
    peer.run_to(60.0)
    assert peer.read > 50 * 3600
    assert not peer.budget.is_flooded


@given(size_bytes=st.integers(0, 1 << 20))
def test_nothing_is_free_and_more_is_not_cheaper(size_bytes: int) -> None:
    assert cost_of(size_bytes, is_control=True) == EMPTY_COST
    assert 1 <= cost_of(max(size_bytes, EMPTY_BYTES)) <= cost_of(size_bytes + 1024 + EMPTY_BYTES)
    assert cost_of(size_bytes) <= cost_of(size_bytes, is_text=True)


@pytest.mark.parametrize("size_bytes", FRAMES)
def test_a_frame_of_audio_costs_one(size_bytes: int) -> None:
    assert cost_of(size_bytes) == 1
