# SPDX-License-Identifier: Apache-2.0
"""The engines that simulated callers speak and understand with: found, loaded where needed, closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from audio_connector.engines import EngineMissing
from audio_connector.errors import UsageError
from audio_connector.simulator import RouterCall, Talk
from audio_connector.simulator.talk.persona import ChatModel
from audio_connector.simulator.talk.ports import Answerer, Embedder, Recogniser, Synthesiser

DEFAULT_MODEL: Final = "tiny.en"
"""Half a second a sentence on one core; wrong in one word of fourteen."""

NO_KEY: Final = "none"
"""What a server is told that wants none."""

OTHER_MODEL: Final = "base"
"""For languages other than English."""

# Engines are imported where one is wanted: each takes a second, and most calls need none. The argument is the name of
# a voice or a model.
_VOICES: Final[Mapping[str, Callable[[str], Any]]] = {
    "piper": lambda name: import_module("audio_connector.engines.piper").Piper(*[name] * bool(name)),
    "espeak": lambda name: import_module("audio_connector.engines.espeak").Espeak(*[name] * bool(name)),
}
_RECOGNISERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "whisper": lambda name: import_module("audio_connector.engines.faster_whisper").FasterWhisper(name),
}


def spoken_folder() -> Path:
    """Where spoken texts are kept: in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(root) / "audio-connector" / "spoken"


class LocalVoices:
    """The voices of this machine: ``piper``, ``espeak``, or one of their own, ``piper:en_US-joe-medium``.

    Args:
        usual: The one for texts that name none; None takes Piper where it is there, else espeak-ng.
    """

    def __init__(self, usual: str | None = None) -> None:
        if usual is not None:
            _split(usual, _VOICES, "voice")
        self._usual = usual
        self._made: dict[str, Synthesiser] = {}
        self._one_at_a_time = asyncio.Lock()

    async def named(self, name: str | None) -> tuple[str, Synthesiser]:
        """Return a voice, ready to speak.

        Raises:
            UsageError: There is none of that name.
            EngineMissing: Its package, model or program is not there.
        """
        async with self._one_at_a_time:  # or two calls would load one voice twice
            if name is None and self._usual is None:
                self._usual = await self._first_of_all()
            wanted = name or self._usual or ""
            if wanted not in self._made:
                kind, own = _split(wanted, _VOICES, "voice")
                self._made[wanted] = await _ready(_VOICES[kind](own))
            return wanted, self._made[wanted]

    async def close(self) -> None:
        """Free them."""
        for voice in self._made.values():
            await voice.close()  # type: ignore[attr-defined]  # all engines have it

    async def _first_of_all(self) -> str:
        missing = None
        for name in _VOICES:
            try:
                self._made[name] = await _ready(_VOICES[name](""))
            except EngineMissing as error:
                missing = missing or error
            else:
                return name
        text = "no voice is there to speak the texts with"
        raise EngineMissing(text, mend="" if missing is None else missing.mend) from missing


@asynccontextmanager
async def open_talk(
    calls: Sequence[RouterCall], *, voice: str | None, recogniser: str | None, tell: Callable[[str], None]
) -> AsyncIterator[Talk]:
    """Load what these calls need, and free it at the end of the block.

    Args:
        calls: What is planned.
        voice: Of the texts that name none.
        recogniser: ``whisper`` or ``whisper:MODEL``; None for a small model.
        tell: Told what takes a while, and what is missing and can be done without.

    Raises:
        EngineMissing: Something is not there; the text says what mends it.
    """
    opened: list[Any] = []
    voices = LocalVoices(voice)
    personas = [call.persona for call in calls if call.persona is not None]
    languages = {persona.language for persona in personas if persona.language is not None}
    try:
        ear: Recogniser | None = None
        if any(call.needs_words for call in calls):
            usual = DEFAULT_MODEL if languages <= {"en"} else OTHER_MODEL
            kind, model = _split(recogniser or "whisper", _RECOGNISERS, "recogniser")
            tell(f"loading {kind} {model or usual} to understand the bot")
            ear = await _opened(_RECOGNISERS[kind](model or usual), opened)
        embedder: Embedder | None = None
        if any(persona.needs_meaning for persona in personas):
            try:
                embedder = await _opened(import_module("audio_connector.engines.minilm").MiniLm(), opened)
            except (EngineMissing, ModuleNotFoundError) as error:
                tell(f"meaning is judged by words alone: {error}")
        yield Talk(
            voices=voices,
            recogniser=ear,
            embedder=embedder,
            answerer=await _chat(personas[0].model, opened) if personas and personas[0].model else None,
            cache=spoken_folder(),
        )
    finally:
        for engine in opened:
            await engine.close()
        await voices.close()


async def _chat(model: ChatModel, opened: list[Any]) -> Answerer:
    chat = import_module("audio_connector.engines.openai_chat")
    made = chat.OpenAIAnswerer(model.model, api_key=key_of(model), base_url=model.base_url)
    engine: Answerer = await _opened(made, opened)
    return engine


def key_of(model: ChatModel) -> str | None:
    """The key for a chat model; None for the vendor's own variable.

    Raises:
        EngineMissing: The variable that it names is not set.
    """
    if model.key_env is not None:
        key = os.environ.get(model.key_env)
        if not key:
            text = f"the chat model {model.model!r} takes its key from {model.key_env}, which is not set"
            raise EngineMissing(text, mend=f"export {model.key_env}=...")
        return key
    # The vendor's key is not for a server that a file names.
    return None if model.base_url is None else NO_KEY


async def _opened(engine: Any, opened: list[Any]) -> Any:  # noqa: ANN401 - one of several ports
    opened.append(engine)
    return await _ready(engine)


async def _ready(engine: Any) -> Any:  # noqa: ANN401 - likewise
    await engine.warm()
    return engine


def _split(name: str, known: Mapping[str, object], what: str) -> tuple[str, str]:
    kind, _, own = name.partition(":")
    if kind not in known:
        raise UsageError(
            f"there is no {what} {name!r}; expected {' or '.join(known)}, or one with a NAME behind a colon"
        )
    return kind, own
