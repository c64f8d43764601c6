# SPDX-License-Identifier: Apache-2.0
"""Who may open a call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector import Limits
from audio_connector.server.admission import MAX_ADDRESSES, REDIALS_PER_S, Admission, Caller, Rates
from audio_connector.wire.refusals import (
    LAGGING,
    NO_MEMORY,
    TOO_FAST,
    TOO_MANY,
    TOO_MANY_OF_ADDRESS,
    TOO_MANY_OF_SESSION,
    Refusal,
)

ONE, OTHER = Caller("203.0.113.1", "s1"), Caller("203.0.113.2", "s2")


def admission(**limits: Any) -> Admission:
    """With these limits alone."""
    nothing = dict.fromkeys(
        (
            "max_connections",
            "max_connections_per_address",
            "upgrades_per_second_per_address",
            "max_loop_lag_ms",
        )
    )
    return Admission(Limits(**{**nothing, **limits}))


@pytest.mark.parametrize(
    ("limit", "newcomer", "why"),
    [
        ("max_connections", OTHER, TOO_MANY),
        ("max_connections_per_address", OTHER._replace(address=ONE.address), TOO_MANY_OF_ADDRESS),
        ("max_connections_per_session", OTHER._replace(session=ONE.session), TOO_MANY_OF_SESSION),
    ],
)
def test_one_more_than_the_limit_is_refused_until_one_ends(
    limit: str, newcomer: Caller, why: Refusal
) -> None:
    gate = admission(**{limit: 2})
    for number in (1, 2):
        assert gate.arrive(ONE, 0.0) is None
        gate.open(number, ONE)
    assert gate.arrive(newcomer, 0.0) is gate.why_full(newcomer) is why
    assert why.limit == limit
    assert f"Limits.{limit}" in why.reason
    if limit != "max_connections":
        assert gate.arrive(OTHER, 0.0) is None
    gate.end(1)
    gate.end(1)
    gate.end(99)
    assert gate.arrive(newcomer, 0.0) is None


def test_who_says_no_session_is_in_none() -> None:
    gate = admission(max_connections_per_session=1)
    for number in range(5):
        assert gate.arrive(Caller("203.0.113.1"), 0.0) is None
        gate.open(number, Caller("203.0.113.1"))
    for number in range(5):
        gate.end(number)


def test_an_ipv6_customer_is_one_address() -> None:
    gate = admission(max_connections_per_address=1, upgrades_per_second_per_address=2)
    gate.open(1, Caller("2001:db8::1"))
    assert gate.arrive(Caller("2001:db8::2"), 0.0) is TOO_MANY_OF_ADDRESS
    assert gate.arrive(Caller("2001:db8:0:1::2"), 0.0) is None
    assert gate.arrive(Caller("2001:db8::3"), 0.0) is TOO_MANY_OF_ADDRESS
    assert gate.arrive(Caller("2001:db8::4"), 0.0) is TOO_FAST


def test_while_it_is_too_busy_nobody_is_let_in() -> None:
    gate = admission(max_loop_lag_ms=500, max_memory_mb=100)
    assert gate.arrive(ONE, 0.0, lag_ms=500, memory_mb=100) is None
    assert gate.arrive(ONE, 0.0, lag_ms=501) is LAGGING
    assert gate.arrive(ONE, 0.0, memory_mb=101) is NO_MEMORY
    assert admission().arrive(ONE, 0.0, lag_ms=1e9, memory_mb=1e9) is None


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    gate = admission(upgrades_per_second_per_address=5)
    assert [gate.arrive(ONE, 10.0) for _ in range(7)] == [None] * 5 + [TOO_FAST] * 2
    assert gate.arrive(OTHER, 10.0) is None
    assert gate.arrive(ONE, 10.19) is TOO_FAST
    assert gate.arrive(ONE, 10.2) is None
    assert gate.arrive(ONE, 10.2) is TOO_FAST
    assert [gate.arrive(ONE, 20.0) for _ in range(6)] == [None] * 5 + [TOO_FAST]


@pytest.mark.parametrize("rate", [0.1, 2, 200])
def test_all_calls_may_come_again_at_once_and_soon_after_once_more(rate: float) -> None:
    gate = admission(upgrades_per_second_per_address=rate)
    for at in (10.0, 10.5, 11.0):
        assert [gate.redial(ONE, number, at) for number in range(50)] == [None] * 50
    assert gate.arrive(ONE, 11.0) is None  # counted by itself


def test_one_call_does_not_come_again_all_the_time() -> None:
    gate = admission(upgrades_per_second_per_address=2)
    assert [gate.redial(ONE, 1, 10.0) for _ in range(12)] == [None] * 10 + [TOO_FAST] * 2
    assert gate.redial(OTHER, 1, 10.0) is None, "who guesses at a call keeps its router from it"
    assert [gate.redial(ONE, 1, 10.0 + 1 / REDIALS_PER_S) for _ in range(2)] == [None, TOO_FAST]
    free = admission(upgrades_per_second_per_address=None)
    assert {free.redial(ONE, 1, 10.0) for _ in range(1000)} == {None}


@pytest.mark.parametrize("rate", [0.1, 1])
def test_a_slow_rate_lets_one_in_at_a_time(rate: float) -> None:
    rates = Rates(rate)
    assert [rates.take("a", at / rate) for at in (0, 0.5, 1.0, 1.5, 2.1)] == [True, False, True, False, True]


@given(
    st.floats(0.5, 50),
    st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from("abc")), max_size=80),
)
def test_in_no_second_more_come_in_than_the_rate_allows(
    per_second: float, arrivals: list[tuple[float, str]]
) -> None:
    rates, now = Rates(per_second), 0.0
    taken: list[tuple[float, str]] = []
    for pause_s, address in arrivals:
        now += pause_s
        alone = not any(who == address and now - at < max(1.0, 1 / per_second) + 1e-6 for at, who in taken)
        if rates.take(address, now):
            taken.append((now, address))
        else:
            assert not alone, "one that has been quiet for long enough is let in"
    for first, (began, who) in enumerate(taken):
        mine = [at for at, each in taken[first:] if each == who]
        for count, at in enumerate(mine, 1):
            assert count <= max(1.0, per_second) + (at - began) * per_second + 1e-6


def test_a_thousand_networks_do_not_fill_the_memory() -> None:
    rates = Rates(2)
    for number in range(MAX_ADDRESSES + 500):
        rates.take(f"a{number}", 0.0)
        assert len(rates) <= MAX_ADDRESSES + 1
    assert not rates.take("another", 0.0), "those that are more share one"
    assert rates.take("a1", 0.0), "who was there keeps their own"
    for number in range(MAX_ADDRESSES):
        rates.take(f"b{number % 3}", 100.0 + number)
    assert len(rates) <= 3


@given(
    st.dictionaries(
        st.sampled_from(["max_connections", "max_connections_per_address", "max_connections_per_session"]),
        st.integers(1, 4),
    ),
    st.lists(
        st.tuples(
            st.integers(0, 20), st.sampled_from(["1.1.1.1", "2.2.2.2"]), st.sampled_from(["s", "t", None])
        ),
        max_size=40,
    ),
)
def test_no_limit_is_ever_exceeded_and_nothing_is_left(
    limits: dict[str, int], moves: list[tuple[int, str, str | None]]
) -> None:
    gate = admission(**limits)
    there: dict[int, Caller] = {}
    for number, (which, address, session) in enumerate(moves):
        if which < 8 and there:
            gone = list(there)[which % len(there)]
            del there[gone]
            gate.end(gone)
            continue
        caller = Caller(address, session)
        counts = {
            "max_connections": len(there),
            "max_connections_per_address": Counter(each.address for each in there.values())[caller.address],
            "max_connections_per_session": Counter(each.session for each in there.values())[caller.session]
            if caller.session
            else 0,
        }
        refused = gate.arrive(caller, 0.0)
        assert (refused is None) == all(counts[name] < limit for name, limit in limits.items())
        if refused is None:
            gate.open(number, caller)
            there[number] = caller
    for number in there:
        gate.end(number)
    assert not gate._open
    assert not gate._addresses
    assert not gate._sessions
