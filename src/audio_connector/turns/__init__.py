# SPDX-License-Identifier: Apache-2.0
"""Turns: when somebody speaks, when they have finished, and when they interrupt.

::

    async for event in listen(client):
        match event:
            case SpeechStarted():
                ...
            case SpeechEnded(audio=audio, sample_rate=sample_rate):
                ...
"""

from audio_connector.audio.activity import EnergyDetector
from audio_connector.turns.barge_in import BargeIn, BargeInMachine, Decision
from audio_connector.turns.detector import SpeechDetector, TurnDetector
from audio_connector.turns.events import (
    EndCause,
    Silence,
    SpeechEnded,
    SpeechGoesOn,
    SpeechPaused,
    SpeechStarted,
    TurnEvent,
)
from audio_connector.turns.interrupter import Holdable, Interrupter
from audio_connector.turns.listening import EndOfTurn, listen, listen_apart
from audio_connector.turns.settings import TurnSettings
from audio_connector.turns.words import count_words

__all__ = [
    "BargeIn",
    "BargeInMachine",
    "Decision",
    "EndCause",
    "EndOfTurn",
    "EnergyDetector",
    "Holdable",
    "Interrupter",
    "Silence",
    "SpeechDetector",
    "SpeechEnded",
    "SpeechGoesOn",
    "SpeechPaused",
    "SpeechStarted",
    "TurnDetector",
    "TurnEvent",
    "TurnSettings",
    "count_words",
    "listen",
    "listen_apart",
]
