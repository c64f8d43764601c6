# SPDX-License-Identifier: Apache-2.0
"""The engines in clouds, each pointed at `support.clouds`, and one way to use each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.clouds import KEY, Cloud, utterance_of

from audio_connector.engines import Message
from audio_connector.engines.deepgram import DeepgramRecogniser, DeepgramSynthesiser
from audio_connector.engines.elevenlabs import ElevenLabsRecogniser, ElevenLabsSynthesiser
from audio_connector.engines.openai_chat import OpenAIAnswerer
from audio_connector.engines.openai_speech import OpenAISynthesiser
from audio_connector.engines.openai_transcription import OpenAIRecogniser

OLD_WEBSOCKETS = pytest.mark.filterwarnings("ignore:websockets.* is deprecated:DeprecationWarning")
"""Deepgram's client imports what `websockets` has deprecated."""

RATE_HZ = 16000
TEXT = "Good morning, caller."
WORDS = (1, 2, 3, 4)
MESSAGES = (Message("system", "Be kind."), Message("user", "Hello."))

SYNTHESISERS: dict[str, Callable[..., Any]] = {
    "openai": OpenAISynthesiser,
    "deepgram": DeepgramSynthesiser,
    "elevenlabs": ElevenLabsSynthesiser,
}
RECOGNISERS: dict[str, Callable[..., Any]] = {
    "openai": OpenAIRecogniser,
    "deepgram": DeepgramRecogniser,
    "elevenlabs": ElevenLabsRecogniser,
}
NAMES = {"openai": "OpenAI's API", "deepgram": "Deepgram", "elevenlabs": "ElevenLabs"}
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "deepgram": "DEEPGRAM_API_KEY",
    "elevenlabs": "ELEVENLABS_API_KEY",
}
PACKAGES = {"openai": "openai", "deepgram": "deepgram", "elevenlabs": "elevenlabs.client"}


def url_of(vendor: str, cloud: Cloud) -> str:
    """Where a vendor's client finds the server."""
    return f"{cloud.url}/v1" if vendor == "openai" else cloud.url


def synthesiser(vendor: str, cloud: Cloud, **settings: Any) -> Any:
    """A vendor's `Synthesiser`."""
    return SYNTHESISERS[vendor](**{"base_url": url_of(vendor, cloud), "api_key": KEY, **settings})


def recogniser(vendor: str, cloud: Cloud, **settings: Any) -> Any:
    """A vendor's `Recogniser`."""
    return RECOGNISERS[vendor](**{"base_url": url_of(vendor, cloud), "api_key": KEY, **settings})


def answerer(cloud: Cloud, **settings: Any) -> OpenAIAnswerer:
    """The `Answerer`."""
    return OpenAIAnswerer("a-model", **{"base_url": url_of("openai", cloud), "api_key": KEY, **settings})


async def say(engine: Any, text: str = TEXT) -> bytes:
    """All that it says."""
    return b"".join([piece async for piece in engine.say(text)])


async def answer(engine: OpenAIAnswerer) -> str:
    """All that it answers."""
    return "".join([word async for word in engine.answer(MESSAGES)])


async def transcribe(engine: Any) -> str:
    """What it hears, in one piece."""
    return str((await engine.transcribe(utterance_of(*WORDS), sample_rate=RATE_HZ)).text)


async def hear(engine: Any) -> str:
    """What it hears, piece by piece."""
    async with engine.hear(sample_rate=RATE_HZ) as hearing:
        for word in WORDS:
            await hearing.write(utterance_of(word))
        return str((await hearing.finish()).text)


USES: dict[str, tuple[str, Callable[..., Any], Callable[[Any], Any]]] = {
    "openai chat": ("openai", lambda _, cloud, **settings: answerer(cloud, **settings), answer),
    "openai speech": ("openai", synthesiser, say),
    "openai transcription": ("openai", recogniser, transcribe),
    "deepgram speech": ("deepgram", synthesiser, say),
    "deepgram transcription": ("deepgram", recogniser, transcribe),
    "deepgram live": ("deepgram", recogniser, hear),
    "elevenlabs speech": ("elevenlabs", synthesiser, say),
    "elevenlabs transcription": ("elevenlabs", recogniser, transcribe),
    "elevenlabs live": ("elevenlabs", recogniser, hear),
}
"""Vendor, how the engine is made of it and the server, and how it is used."""
