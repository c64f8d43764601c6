# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/, and how long whoever stops a server has to wait for its end."""

from __future__ import annotations

from pathlib import Path

from audio_connector import Timeouts
from audio_connector.cluster import supervisor
from audio_connector.server.run import LEAVE_S

DEPLOY = Path(__file__).parents[2] / "deploy"

CLOSED_S, TASKS_S = 2.0, 1.0
"""What the supervisor's end waits for beside the constants that it names."""


def ends_within_s(drain_s: float) -> float:
    """From SIGTERM to the end of the last process at the latest, in the form that takes longest: with workers."""
    alone_s = drain_s + 2 * Timeouts().stop_s + LEAVE_S
    with_workers_s = drain_s + supervisor.STOP_S + CLOSED_S + supervisor.END_S + TASKS_S
    return max(alone_s, with_workers_s)
