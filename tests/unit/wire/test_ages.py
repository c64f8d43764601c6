# SPDX-License-Identifier: Apache-2.0
"""How long a call may go on, and without a message."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.ages import Ages


def met_at(ages: Ages, messages: list[float], until: float) -> tuple[float, str] | None:
    """When, and by which bound, a call that is driven by its deadlines ends."""
    messages = sorted(messages)
    while ages.looks_at <= until:
        at = ages.looks_at
        for message in [each for each in messages if each < at]:
            ages.last_message_at = message
            messages.remove(message)
        met = ages.overrun(at)
        if met is not None:
            return at, met[0]
        assert ages.looks_at > at, "it looks at the same time for ever"
    return None


@pytest.mark.parametrize(
    ("bounds", "messages", "expected"),
    [
        ({}, [], None),
        ({"no_message_s": 30}, [], (30.0, "no_message_s")),
        ({"no_message_s": 30}, [29.0], None),
        ({"idle_s": 10}, [], (10.0, "idle_s")),
        ({"idle_s": 10}, [5.0, 12.0], (22.0, "idle_s")),
        ({"idle_s": 10, "no_message_s": 5}, [], (5.0, "no_message_s")),
        ({"idle_s": 5, "no_message_s": 10}, [], (5.0, "idle_s")),
        ({"session_s": 60}, [59.0], (60.0, "session_s")),
        ({"session_s": 60, "idle_s": 60, "no_message_s": 60}, [], (60.0, "session_s")),
    ],
)
def test_the_bound_that_is_met_first_ends_it(
    bounds: dict[str, float], messages: list[float], expected: tuple[float, str] | None
) -> None:
    ages = Ages(**bounds)
    ages.start(0.0)
    assert met_at(ages, messages, 1000.0) == expected
    assert ages.ended_by == (expected and expected[1])


def test_it_is_said_once() -> None:
    ages = Ages(session_s=1)
    ages.start(0.0)
    assert ages.overrun(1.0) == ("session_s", 1)
    assert ages.looks_at == math.inf
    assert ages.overrun(5.0) is None


def test_while_there_is_no_socket_only_the_length_counts() -> None:
    ages = Ages(no_message_s=5, idle_s=10, session_s=100)
    ages.start(0.0)
    ages.last_message_at = 1.0
    ages.pause()
    assert ages.looks_at == 100
    ages.start(60.0)
    assert ages.looks_at == 65
    ages.last_message_at = 61.0
    assert met_at(ages, [69.0, 78.0, 87.0, 96.0], 1000.0) == (100.0, "session_s")


def test_a_call_that_ends_otherwise_meets_nothing() -> None:
    ages = Ages(no_message_s=5, session_s=100)
    ages.start(0.0)
    ages.stop()
    assert ages.overrun(1000.0) is None
    assert ages.ended_by is None


bound = st.none() | st.floats(0.5, 20)


@given(bound, bound, bound, st.lists(st.floats(0, 40), max_size=20), st.lists(st.floats(0, 50), max_size=10))
def test_asking_early_changes_nothing(
    no_message_s: float | None,
    idle_s: float | None,
    session_s: float | None,
    messages: list[float],
    asked_at: list[float],
) -> None:
    def run(asks: list[float]) -> tuple[float, str] | None:
        ages = Ages(no_message_s=no_message_s, idle_s=idle_s, session_s=session_s)
        ages.start(0.0)
        # What happens at one time: the message is taken before it is asked.
        events = sorted([(at, 0) for at in messages] + [(at, 1) for at in asks])
        for at, is_ask in events:
            while ages.looks_at < at:
                when = ages.looks_at
                met = ages.overrun(when)
                if met is not None:
                    return when, met[0]
            if not is_ask:
                ages.last_message_at = at
            elif at < ages.looks_at:
                assert ages.overrun(at) is None
        return met_at(ages, [], 1000.0)

    assert run([]) == run(asked_at)
