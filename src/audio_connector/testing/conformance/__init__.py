# SPDX-License-Identifier: Apache-2.0
"""Does a server keep what a media router relies on? Checks of any Audio Connector server, ours or not.

::

    results = await run_checks(Target(url="ws://localhost:8765"))
    assert [result for result in results if result.status == "fail"] == []

It plays the router by `wire` and by a socket of its own, and shares no code with the server.
"""

from __future__ import annotations

from audio_connector.testing.conformance.check import Check, Result, Status
from audio_connector.testing.conformance.model import Speech, Target, Timing
from audio_connector.testing.conformance.suite import AT_ONCE, CHECKS, run_checks, select

__all__ = [
    "AT_ONCE",
    "CHECKS",
    "Check",
    "Result",
    "Speech",
    "Status",
    "Target",
    "Timing",
    "run_checks",
    "select",
]
