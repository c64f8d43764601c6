# SPDX-License-Identifier: Apache-2.0
"""An engine by its name in settings, so that another one is a line of a file and none of the program.

::

    [recogniser]
    engine = "faster-whisper"      # or "openai", "deepgram", "elevenlabs"
    model = "tiny.en"

    recogniser = engine_of("recogniser", settings["recogniser"])

Only the adapter that is chosen is imported.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from audio_connector.errors import UsageError

ADAPTERS: Final[Mapping[str, Mapping[str, Callable[[], Callable[..., Any]]]]] = {
    "recogniser": {
        "faster-whisper": lambda: import_module("audio_connector.engines.faster_whisper").FasterWhisper,
        "openai": lambda: import_module("audio_connector.engines.openai_transcription").OpenAIRecogniser,
        "deepgram": lambda: import_module("audio_connector.engines.deepgram").DeepgramRecogniser,
        "elevenlabs": lambda: import_module("audio_connector.engines.elevenlabs").ElevenLabsRecogniser,
    },
    "synthesiser": {
        "piper": lambda: import_module("audio_connector.engines.piper").Piper,
        "espeak-ng": lambda: import_module("audio_connector.engines.espeak").Espeak,
        "openai": lambda: import_module("audio_connector.engines.openai_speech").OpenAISynthesiser,
        "deepgram": lambda: import_module("audio_connector.engines.deepgram").DeepgramSynthesiser,
        "elevenlabs": lambda: import_module("audio_connector.engines.elevenlabs").ElevenLabsSynthesiser,
    },
    "answerer": {"openai": lambda: import_module("audio_connector.engines.openai_chat").OpenAIAnswerer},
    "embedder": {"minilm": lambda: import_module("audio_connector.engines.minilm").MiniLm},
    "translator": {
        "faster-whisper": lambda: import_module("audio_connector.engines.faster_whisper").FasterWhisper
    },
    "speaker-encoder": {"dvector": lambda: import_module("audio_connector.engines.speaker").Speaker},
    "speech-detector": {
        "silero": lambda: import_module("audio_connector.engines.silero").Silero,
        "webrtcvad": lambda: import_module("audio_connector.engines.webrtc").WebRtc,
    },
}
"""For each job what gives the adapter, by the name that settings have; the one first that needs no network."""


def engine_of(job: str, table: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whichever it is; the job says its port
    """Make the engine that a table of settings names.

    Args:
        job: ``recogniser``, ``synthesiser``, ``answerer``, ``embedder``, ``translator``, ``speaker-encoder`` or
            ``speech-detector``.
        table: ``engine``, its name, and whatever else its adapter takes, under the adapter's own names. Without an
            ``engine`` it is the first that needs no network.

    Returns:
        An object of the port of that job; not warmed.

    Raises:
        UsageError: No such job, engine or setting; or a value that the adapter refuses.
        EngineMissing: It tells so when it is made.
    """
    adapters = ADAPTERS.get(job)
    if adapters is None:
        raise UsageError(f"got job {job!r}; expected one of {', '.join(ADAPTERS)}")
    told = dict(table)
    name = told.pop("engine", next(iter(adapters)))
    if name not in adapters:
        raise UsageError(
            f"got engine {name!r} as {job}; expected one of {', '.join(adapters)}{_meant(name, adapters)}"
        )
    adapter = adapters[name]()
    parameters = inspect.signature(adapter, eval_str=True).parameters
    taken = list(parameters)
    unknown = [each for each in told if each not in taken]
    if unknown:
        raise UsageError(
            f"got {unknown[0]!r} for {job} {name!r}; expected some of {', '.join(taken)}{_meant(unknown[0], taken)}"
        )
    missing = [
        each.name for each in parameters.values() if each.default is each.empty and each.name not in told
    ]
    if missing:
        raise UsageError(f"got no {missing[0]} for {job} {name!r}; expected one, beside engine = {name!r}")
    for each, value in told.items():
        if not _is_of(parameters[each].annotation, value):
            wanted = _plainly(parameters[each].annotation)
            raise UsageError(f"got {each} = {value!r} for {job} {name!r}; expected {wanted}")
    return adapter(**told)


def _is_of(annotation: Any, value: object) -> bool:  # noqa: ANN401 - whatever can be one
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _plainly(annotation: Any) -> str:  # noqa: ANN401 - likewise
    """As it is written in the code, without modules: a path's is another one in Python 3.13."""
    return re.sub(r"[\w.]+\.(?=\w)", "", inspect.formatannotation(annotation))


def _meant(got: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(got), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
