# SPDX-License-Identifier: Apache-2.0
"""The states of a call, as a table.

======== ==================================== ==========================================
state    what it means                        what is sent
======== ==================================== ==========================================
UNSETTLED the rate is not known yet           texts
OPEN      all is well                         texts, frames when they are due
HELD      the router does not read            nothing but a clear, a ping, a close frame
LOST      the socket is, or ends by itself    nothing
CLOSING   the closing handshake is on         nothing
CLOSED    it is over                          nothing
======== ==================================== ==========================================

A move that the table does not have changes nothing: each may come at any time, and late.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """Where a call is."""

    UNSETTLED, OPEN, HELD, LOST, CLOSING, CLOSED = range(6)


class Move(Enum):
    """What takes it elsewhere."""

    SETTLE, BLOCK, UNBLOCK, LOSE, RESUME, CLOSE, END = range(7)


_ENDS = {Move.LOSE: State.LOST, Move.CLOSE: State.CLOSING, Move.END: State.CLOSED}

TABLE: Mapping[State, Mapping[Move, State]] = {
    State.UNSETTLED: {Move.SETTLE: State.OPEN, **_ENDS},
    State.OPEN: {Move.BLOCK: State.HELD, **_ENDS},
    State.HELD: {Move.UNBLOCK: State.OPEN, **_ENDS},
    State.LOST: {Move.RESUME: State.UNSETTLED, Move.CLOSE: State.CLOSING, Move.END: State.CLOSED},
    State.CLOSING: {Move.END: State.CLOSED},
    State.CLOSED: {},
}
