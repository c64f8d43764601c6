# SPDX-License-Identifier: Apache-2.0
"""The states of a call, as a table.

======== ==================================== ==========================================
state    what it means                        what is sent
======== ==================================== ==========================================
UNSETTLED the rate is not known yet           texts
OPEN      all is well                         texts, frames when they are due
HELD      the router does not read            nothing but a clear, a ping, a close frame
CLOSING   the closing handshake is on         nothing
CLOSED    it is over                          nothing
======== ==================================== ==========================================

A move that the table does not have changes nothing: each may come at any time, and late.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """Where a call is."""

    UNSETTLED = auto()
    OPEN = auto()
    HELD = auto()
    CLOSING = auto()
    CLOSED = auto()


class Move(Enum):
    """What takes it elsewhere."""

    SETTLE = auto()
    BLOCK = auto()
    UNBLOCK = auto()
    CLOSE = auto()
    END = auto()


TABLE: Mapping[State, Mapping[Move, State]] = {
    State.UNSETTLED: {Move.SETTLE: State.OPEN, Move.CLOSE: State.CLOSING, Move.END: State.CLOSED},
    State.OPEN: {Move.BLOCK: State.HELD, Move.CLOSE: State.CLOSING, Move.END: State.CLOSED},
    State.HELD: {Move.UNBLOCK: State.OPEN, Move.CLOSE: State.CLOSING, Move.END: State.CLOSED},
    State.CLOSING: {Move.END: State.CLOSED},
    State.CLOSED: {},
}
