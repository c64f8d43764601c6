# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from audio_connector.wire.liveness import Liveness

T0 = 5000.0


def started(**timeouts: float | None) -> Liveness:
    values: dict[str, Any] = {"ping_interval_s": 20.0, "ping_timeout_s": 10.0, "stall_s": 5.0, **timeouts}
    liveness = Liveness(**values)
    liveness.start(T0)
    return liveness


def pinged(in_flight_s: float = 0.0, **timeouts: float | None) -> Liveness:
    liveness = started(**timeouts)
    assert liveness.ping_is_due(T0 + 20)
    liveness.note_ping(T0 + 20, in_flight_s)
    return liveness


def test_a_ping_is_due_once_an_interval() -> None:
    liveness = started()
    assert liveness.next_deadline() == T0 + 20
    assert not liveness.ping_is_due(T0 + 19.9)
    assert liveness.ping_is_due(T0 + 20)
    assert not liveness.ping_is_due(T0 + 20)
    liveness.note_ping(T0 + 20, 0.0)
    assert liveness.next_deadline() == T0 + 30
    assert liveness.note_pong(T0 + 20.25) == 250.0
    assert liveness.note_pong(T0 + 20.3) is None
    assert not liveness.is_silent(T0 + 30)
    assert liveness.ping_is_due(T0 + 40)


def test_without_an_interval_nothing_is_ever_due() -> None:
    liveness = started(ping_interval_s=None)
    assert liveness.next_deadline() == math.inf
    assert not liveness.ping_is_due(T0 + 1e9)


def test_silence_after_a_ping_is_noticed_at_the_timeout_and_once() -> None:
    liveness = pinged()
    assert not liveness.is_silent(T0 + 29.9)
    assert liveness.is_silent(T0 + 30)
    assert not liveness.is_silent(T0 + 31)


def test_audio_that_the_router_holds_is_allowed_for() -> None:
    liveness = pinged(in_flight_s=7.0)
    assert not liveness.is_silent(T0 + 36.9)
    assert liveness.is_silent(T0 + 37)


def test_whoever_speaks_lives_and_the_next_ping_asks_again() -> None:
    liveness = pinged()
    liveness.last_received_at = T0 + 21
    assert not liveness.is_silent(T0 + 30)
    assert liveness.next_deadline() == T0 + 40
    assert liveness.ping_is_due(T0 + 40)
    liveness.note_ping(T0 + 40, 0.0)
    assert liveness.is_silent(T0 + 50), "what it said before that ping shows nothing any more"


def test_a_ping_that_is_awaited_is_followed_by_no_other() -> None:
    liveness = pinged(ping_timeout_s=60.0)
    assert not liveness.ping_is_due(T0 + 40)
    assert not liveness.ping_is_due(T0 + 60)
    assert liveness.is_silent(T0 + 80)


def test_without_a_timeout_pings_go_on_and_nobody_is_given_up() -> None:
    liveness = pinged(ping_timeout_s=None)
    assert liveness.next_deadline() == T0 + 40
    assert liveness.ping_is_due(T0 + 40), "they keep the way open through proxies, answered or not"
    assert not liveness.is_silent(T0 + 1e6)


def test_while_it_does_not_read_no_ping_is_held_against_it() -> None:
    liveness = pinged(stall_s=100.0)
    liveness.block(T0 + 21, 1000)
    assert not liveness.is_silent(T0 + 30)
    assert liveness.next_deadline() == T0 + 40
    liveness.unblock()
    assert liveness.is_silent(T0 + 40)


def test_reading_nothing_for_so_long_is_a_stall() -> None:
    liveness = started()
    liveness.block(T0, 1000)
    assert liveness.next_deadline() == T0 + 5
    assert not liveness.is_stalled(T0 + 4.9, 1000)
    assert liveness.is_stalled(T0 + 5, 1000)
    assert not liveness.is_stalled(T0 + 5, 1000), "it is noticed once"


def test_reading_slowly_is_none() -> None:
    liveness = started()
    liveness.block(T0, 1000)
    assert not liveness.is_stalled(T0 + 5, 999)
    assert not liveness.is_stalled(T0 + 9.9, 999)
    assert liveness.is_stalled(T0 + 10, 999)


def test_what_is_written_meanwhile_is_not_what_was_not_read() -> None:
    liveness = started()
    liveness.block(T0, 1000)
    liveness.note_unsent(5000)
    assert not liveness.is_stalled(T0 + 5, 4000)


@pytest.mark.parametrize("after_s", [0.0, 100.0])
def test_once_it_has_read_all_there_is_no_stall(after_s: float) -> None:
    liveness = started(ping_interval_s=None)
    liveness.block(T0, 1000)
    liveness.unblock()
    assert liveness.next_deadline() == math.inf
    assert not liveness.is_stalled(T0 + after_s, 0)
