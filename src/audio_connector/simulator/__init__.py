# SPDX-License-Identifier: Apache-2.0
"""The media router, played by us: makes calls to a server and tells what a session would have heard.

It shares ``audio`` and ``wire`` with the server and nothing else, so that one bug cannot cancel out on both
ends.
"""

from __future__ import annotations

from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.gate import Condition, failures, parse_condition
from audio_connector.simulator.metrics import METRICS, Metric, figures, figures_in_sum
from audio_connector.simulator.page import render_page, render_recorded
from audio_connector.simulator.playout import PlayoutBuffer, PlayoutReport
from audio_connector.simulator.profile import PROFILES, Profile
from audio_connector.simulator.recorded import RecordedCall, RecordingReader, caller_loud_from
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.router import Router, run_calls
from audio_connector.simulator.scenario import Participant, Scenario
from audio_connector.simulator.scenario_file import load_scenario, parse_scenario
from audio_connector.simulator.script import Impairments, SayText, Step
from audio_connector.simulator.speech import SAMPLES, sample_speech
from audio_connector.simulator.talk.expect import Expect
from audio_connector.simulator.talk.persona import Judge, Outcome, Persona, Rule
from audio_connector.simulator.talk.persona_file import load_persona, parse_persona
from audio_connector.simulator.talk.ports import Talk
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.talk.words import Wanted, word_errors
from audio_connector.simulator.trace import BargeIn, Envelope, Series, Trace, TraceEvent, Turn

__all__ = [
    "METRICS",
    "PROFILES",
    "SAMPLES",
    "BargeIn",
    "CallReport",
    "Condition",
    "Envelope",
    "Expect",
    "Impairments",
    "Judge",
    "LiveCall",
    "Metric",
    "Outcome",
    "Participant",
    "Persona",
    "PlayoutBuffer",
    "PlayoutReport",
    "Profile",
    "RecordedCall",
    "RecordingReader",
    "Router",
    "RouterCall",
    "Rule",
    "SayText",
    "Scenario",
    "Series",
    "Step",
    "Talk",
    "Trace",
    "TraceEvent",
    "TranscriptLine",
    "Turn",
    "Wanted",
    "caller_loud_from",
    "failures",
    "figures",
    "figures_in_sum",
    "load_persona",
    "load_scenario",
    "parse_condition",
    "parse_persona",
    "parse_scenario",
    "render_page",
    "render_recorded",
    "run_calls",
    "sample_speech",
    "word_errors",
]
