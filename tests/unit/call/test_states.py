# SPDX-License-Identifier: Apache-2.0
"""The table of a call's states, and a machine that follows it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.audio.format import AudioFormat
from audio_connector.call import states
from audio_connector.call.states import TABLE, Move, State
from audio_connector.wire.messages import Connected

FRAME = numbered(7, 640)


def test_every_state_has_a_row_here_and_in_the_text() -> None:
    assert set(TABLE) == set(State)
    for state in State:
        assert f"\n{state.name} " in (states.__doc__ or "")


def test_every_state_can_be_reached_and_the_end_from_everywhere() -> None:
    reached, before = {State.UNSETTLED}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {after for state in reached for after in TABLE[state].values()}
    assert reached == set(State)
    for state in set(State) - {State.CLOSED}:
        assert TABLE[state][Move.END] is State.CLOSED


def test_nothing_leads_back() -> None:
    for state, move in itertools.product(State, Move):
        after = TABLE[state].get(move, state)
        if state in (State.CLOSING, State.CLOSED):
            assert after in (State.CLOSING, State.CLOSED)
            assert (state, after) != (State.CLOSED, State.CLOSING)
        else:
            assert after is not State.UNSETTLED or state in (State.UNSETTLED, State.LOST)


STEPS: dict[str, Callable[[VirtualCall], object]] = {
    "the rate is told": lambda call: call.router_says(Connected(format=AudioFormat(16000))),
    "a frame arrives": lambda call: call.router_sends(FRAME),
    "it reads nothing": lambda call: call.router_socket.pause_reading(),
    "it reads": lambda call: call.router_socket.resume_reading(),
    "audio": lambda call: call.write(FRAME * 50),
    "a text": lambda call: call.send_text('"' + "x" * 5000 + '"'),
    "a flush": lambda call: call.flush() if not call.ended else None,
    "time": lambda call: call.run_for(0.3),
    "a close": lambda call: call.close(),
    "it closes": lambda call: call.router_socket.close(),
    "a break": lambda call: call.router_socket.reset(),
}


@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=25))
# What was sent before the close, to a router that does not read, arrives after it.
@example(steps=["audio", "it reads nothing", "the rate is told", "a close", "it reads"])
def test_what_is_sent_is_what_the_state_allows(steps: list[str]) -> None:
    call = VirtualCall(None)
    for step in steps:
        before, sent = call.machine.state, call.figures.audio_messages_sent
        STEPS[step](call)
        call.run_for(0.0)
        after = call.machine.state
        if before in (State.CLOSING, State.CLOSED) or (before is after is State.UNSETTLED):
            assert call.figures.audio_messages_sent == sent
        if before in (State.CLOSING, State.CLOSED):
            assert after in (State.CLOSING, State.CLOSED)
        assert (after is State.HELD) == (
            call.machine.liveness.is_blocked and after not in (State.UNSETTLED, State.CLOSING, State.CLOSED)
        )
        assert (after is State.CLOSED) == (call.ended == 1)


@pytest.mark.parametrize("move", list(Move))
def test_a_move_that_comes_late_changes_nothing(move: Move) -> None:
    call = VirtualCall()
    call.router_socket.reset()
    call.run_for(0.0)
    call.machine._move(move)
    assert call.machine.state is State.CLOSED
