# SPDX-License-Identifier: Apache-2.0
"""Who attacks nobody: what is left of a budget without an attack, and with an attacker that is busy elsewhere."""

from __future__ import annotations

import socket
import time

from benchmarks.attack.frames import EMPTY_PINGS
from benchmarks.attack.peers import Outcome, Target


def stay_away(target: Target, seconds: float) -> Outcome:
    """Do nothing."""
    del target
    time.sleep(seconds)
    return Outcome("nothing")


def attack_somebody_else(target: Target, seconds: float) -> Outcome:
    """Write through the kernel as fast as it goes, to an end of our own."""
    del target
    ours, theirs = socket.socketpair()
    moved_bytes, until_s = 0, time.monotonic() + seconds
    with ours, theirs:
        while time.monotonic() < until_s:
            moved_bytes += ours.send(EMPTY_PINGS[:4096])
            theirs.recv(4096)
    return Outcome(f"{moved_bytes >> 20} MiB elsewhere")
