# SPDX-License-Identifier: Apache-2.0
"""The media router, played by us: makes calls to a server and tells what a session would have heard.

It shares ``audio`` and ``wire`` with the server and nothing else, so that one bug cannot cancel out on both
ends.
"""

from __future__ import annotations

from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.playout import PlayoutBuffer, PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.router import Router, run_calls
from audio_connector.simulator.speech import SAMPLES, sample_speech

__all__ = [
    "SAMPLES",
    "CallReport",
    "LiveCall",
    "PlayoutBuffer",
    "PlayoutReport",
    "Router",
    "RouterCall",
    "run_calls",
    "sample_speech",
]
