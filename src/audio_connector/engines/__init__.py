# SPDX-License-Identifier: Apache-2.0
"""Speech engines behind small ports: what an application needs of each, and one adapter per engine.

Each adapter is a file of its own behind an extra of its own. Importing this package loads no engine.
"""

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.ports import (
    Answerer,
    Embedder,
    Engine,
    Hearing,
    Message,
    Recogniser,
    SpeakerEncoder,
    SpeechDetector,
    Synthesiser,
    Transcript,
    Translator,
    Vector,
    Word,
)
from audio_connector.engines.choosing import engine_of

__all__ = [
    "Answerer",
    "Embedder",
    "Engine",
    "EngineError",
    "EngineMissing",
    "Hearing",
    "Message",
    "Recogniser",
    "SpeakerEncoder",
    "SpeechDetector",
    "Synthesiser",
    "Transcript",
    "Translator",
    "Vector",
    "Word",
    "engine_of",
]
