# SPDX-License-Identifier: Apache-2.0
"""The figures of the coach, against a count over a grid of what both sides said."""

from __future__ import annotations

from typing import Any

import pytest
from coaching.floor import AGENT, CUSTOMER, Floor
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.turns import Silence, SpeechEnded, SpeechGoesOn, SpeechStarted, TurnEvent

STEP_S = 0.1
PAUSE_S = 0.4

spans = st.lists(st.tuples(st.integers(5, 40), st.integers(2, 60)), max_size=6)
"""A side: pauses, and how long is spoken after each, in steps."""


def timeline(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Begin and end of each utterance, in steps."""
    found, at = [], 0
    for pause, length in parts:
        found.append((at + pause, at + pause + length))
        at += pause + length
    return found


def events_of(utterances: list[tuple[int, int]], until: int) -> list[TurnEvent]:
    """What a detector tells of a side, each event at its time."""
    rest: dict[str, Any] = {"audio": b"", "sample_rate": 16000}
    events: list[TurnEvent] = [Silence(start_s=0.0, at_s=until * STEP_S)]
    for begin, end in utterances:
        start_s, end_s = begin * STEP_S, end * STEP_S
        events.append(SpeechStarted(start_s=start_s, at_s=start_s + STEP_S, audio_start_s=start_s, **rest))
        events += [
            SpeechGoesOn(start_s=start_s, at_s=step * STEP_S, pause_s=0.0, probability=1.0, **rest)
            for step in range(begin + 2, end + 1)
        ]
        events.append(
            SpeechEnded(
                start_s=start_s,
                end_s=end_s,
                at_s=end_s + PAUSE_S,
                audio_start_s=start_s,
                cause="pause",
                **rest,
            )
        )
    return events


@given(spans, spans, st.integers(0, 4), st.booleans())
def test_figures_are_those_of_a_grid(
    agent: list[tuple[int, int]], customer: list[tuple[int, int]], behind: int, agent_first: bool
) -> None:
    sides = {AGENT: timeline(agent), CUSTOMER: timeline(customer)}
    until = max([0, *(end for side in sides.values() for _, end in side)]) + 20
    # One side may be up to half a second behind the other in what it has told.
    late_s = {AGENT: 0.0, CUSTOMER: behind * STEP_S}
    if not agent_first:
        late_s = {AGENT: behind * STEP_S, CUSTOMER: 0.0}
    told = sorted(
        (
            (event.at_s + late_s[role], number, role, event)
            for role in sides
            for number, event in enumerate(events_of(sides[role], until))
        ),
        key=lambda each: each[:2],
    )
    floor = Floor()
    for _, _, role, event in told:
        floor.feed(role, role, event)
        live = floor.figures()
        assert 0 <= live["overlap_s"] <= min(live["talk_s"].values()) + 0.05
        assert live["silence_s"] <= live["elapsed_s"] + 0.05

    spoken = {
        role: {step for begin, end in side for step in range(begin, end)} for role, side in sides.items()
    }
    figures = floor.figures()
    for role, steps in spoken.items():
        assert figures["talk_s"][role] == pytest.approx(len(steps) * STEP_S, abs=0.06)
    both = spoken[AGENT] & spoken[CUSTOMER]
    assert figures["overlap_s"] == pytest.approx(len(both) * STEP_S, abs=0.06)
    nobody = until - len(spoken[AGENT] | spoken[CUSTOMER])
    assert figures["silence_s"] == pytest.approx(nobody * STEP_S, abs=0.06)
    assert sum(figures["share"].values()) == pytest.approx(1.0 if any(spoken.values()) else 0.0, abs=0.01)
    anybody = spoken[AGENT] | spoken[CUSTOMER]
    silences = "".join(" " if step in anybody else "." for step in range(until)).split()
    longest = max(map(len, silences), default=0)
    assert figures["longest_silence_s"] == pytest.approx(longest * STEP_S, abs=0.06)
    assert sum(figures["interruptions"].values()) <= len(agent) + len(customer)
    if not both:
        assert figures["interruptions"] == {AGENT: 0, CUSTOMER: 0}
