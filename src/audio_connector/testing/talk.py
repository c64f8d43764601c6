# SPDX-License-Identifier: Apache-2.0
"""The engines that simulated callers speak and understand with: found, loaded where needed, closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from audio_connector.engines import EngineMissing
from audio_connector.engines.choosing import ADAPTERS, engine_of
from audio_connector.errors import UsageError
from audio_connector.simulator import RouterCall, SayText, Talk
from audio_connector.simulator.talk.persona import ChatModel
from audio_connector.simulator.talk.ports import Answerer, Embedder, Recogniser, Synthesiser

DEFAULT_MODEL: Final = "tiny.en"
"""Half a second a sentence on one core; wrong in one word of fourteen."""

NO_KEY: Final = "none"
"""What a server is told that wants none."""

OTHER_MODEL: Final = "base"
"""For languages other than English."""

USUAL_RECOGNISER: Final = "whisper"
USUAL_VOICES: Final = ("piper", "espeak")
"""The first that is there speaks; both need no network."""

_ALSO: Final[Mapping[str, str]] = {"whisper": "faster-whisper", "espeak": "espeak-ng"}
"""Shorter names of engines."""

_OWN: Final[Mapping[str, tuple[str, str]]] = {
    "recogniser": ("recogniser", "model"),
    "synthesiser": ("voice", "voice"),
}
"""For each job what errors call it, and the setting of an engine that stands behind the colon."""


def table_of(job: str, name: str) -> dict[str, str]:
    """Return the settings that a name stands for, as `audio_connector.engines.engine_of` takes them.

    Args:
        job: ``recogniser`` or ``synthesiser``.
        name: An engine, or one with a model or a voice of its own: ``deepgram``, ``whisper:base``, ``espeak:en-gb``.

    Raises:
        UsageError: There is no such engine.
    """
    kind, _, own = name.partition(":")
    engine = _ALSO.get(kind, kind)
    what, setting = _OWN[job]
    if engine not in ADAPTERS[job]:
        raise UsageError(
            f"there is no {what} {name!r}; expected one of {', '.join(ADAPTERS[job])}, or one with the name of a "
            f"{setting} behind a colon"
        )
    return {"engine": engine, setting: own} if own else {"engine": engine}


def spoken_folder() -> Path:
    """Where spoken texts are kept: in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(root) / "audio-connector" / "spoken"


class EngineVoices:
    """The voices of all engines: ``piper``, ``espeak``, ``elevenlabs``, or one of theirs, ``piper:en_US-joe-medium``.

    Args:
        usual: The one for texts that name none; None takes Piper where it is there, else espeak-ng.
    """

    def __init__(self, usual: str | None = None) -> None:
        if usual is not None:
            table_of("synthesiser", usual)
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
                self._made[wanted] = await _ready(engine_of("synthesiser", table_of("synthesiser", wanted)))
            return wanted, self._made[wanted]

    async def close(self) -> None:
        """Free them."""
        for voice in self._made.values():
            await voice.close()  # type: ignore[attr-defined]  # all engines have it

    async def _first_of_all(self) -> str:
        missing = None
        for name in USUAL_VOICES:
            try:
                self._made[name] = await _ready(engine_of("synthesiser", table_of("synthesiser", name)))
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
        recogniser: An engine, or one with a model, as `table_of`; None for a small Whisper.
        tell: Told what takes a while, and what is missing and can be done without.

    Raises:
        EngineMissing: Something is not there; the text says what mends it.
        UsageError: No such engine, or personas of several chat models.
    """
    personas = [call.persona for call in calls if call.persona is not None]
    chat = _the_one(persona.model for persona in personas if persona.model is not None)
    voices = EngineVoices(voice)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(voices.close)
        ear: Recogniser | None = None
        if any(call.needs_words for call in calls):
            table = table_of("recogniser", recogniser or USUAL_RECOGNISER)
            if table["engine"] == _ALSO[USUAL_RECOGNISER]:
                is_english = all(text.language in (None, "en") for text in _texts_of(calls))
                table = {"model": DEFAULT_MODEL if is_english else OTHER_MODEL, **table}
            tell(f"loading {table['engine']} {table.get('model', '')}".rstrip() + " to understand the bot")
            ear = await _opened(engine_of("recogniser", table), opened)
        embedder: Embedder | None = None
        if any(persona.needs_meaning for persona in personas):
            try:
                embedder = await _opened(engine_of("embedder", {}), opened)
            except (EngineMissing, ModuleNotFoundError) as error:
                tell(f"meaning is judged by words alone: {error}")
        yield Talk(
            voices=voices,
            recogniser=ear,
            embedder=embedder,
            answerer=None if chat is None else await _chat(chat, opened),
            cache=spoken_folder(),
        )


def _the_one(models: Iterable[ChatModel]) -> ChatModel | None:
    several = [*dict.fromkeys(models)]
    if len(several) > 1:
        raise UsageError("the personas name several chat models; expected one for all calls of a run")
    return several[0] if several else None


def _texts_of(calls: Sequence[RouterCall]) -> Iterator[SayText]:
    """What is said in them: the bot will answer in that language."""
    for call in calls:
        yield from call.texts
        if call.persona is not None:
            yield from call.persona.texts


async def _chat(model: ChatModel, opened: AsyncExitStack) -> Answerer:
    table = {"model": model.model, "api_key": key_of(model), "base_url": model.base_url}
    engine: Answerer = await _opened(engine_of("answerer", table), opened)
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


async def _opened(engine: Any, opened: AsyncExitStack) -> Any:  # noqa: ANN401 - one of several ports
    opened.push_async_callback(engine.close)
    return await _ready(engine)


async def _ready(engine: Any) -> Any:  # noqa: ANN401 - likewise
    await engine.warm()
    return engine
