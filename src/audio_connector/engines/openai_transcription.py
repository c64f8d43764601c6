# SPDX-License-Identifier: Apache-2.0
"""Speech to text by OpenAI, or any server with its ``/audio/transcriptions`` (Speaches, vLLM and others).

The API takes whole files. Partials are made by sending what was said so far, again and again.
Needs ``pip install 'audio-connector[openai]'``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, Final, TypeVar

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.openai_client import OPENAI
from audio_connector.engines.base.ports import Transcript, Word
from audio_connector.engines.base.remote import Foreign, RemoteEngine
from audio_connector.engines.base.samples import check_whole, wav_of
from audio_connector.errors import UsageError
from audio_connector.wire.quoting import quoted

T = TypeVar("T")

MODEL: Final = "gpt-transcribe"
TIMEOUT_S: Final = 30.0
"""For a whole utterance, which is answered in one piece; minutes of speech take some seconds."""
PARTIAL_EVERY_S: Final = 1.0
"""Captions want partials within 1.5 s; a request takes about half a second."""
MAX_BYTES: Final = 24 * 2**20
"""The API takes files of 25 MB: 12 minutes at 16 kHz."""


class OpenAIRecogniser(RemoteEngine):
    """Hears; a `Recogniser`.

    Args:
        model: The model, as the server knows it.
        api_key: The key; None for ``OPENAI_API_KEY``. A server at another ``base_url`` may need none.
        base_url: Where the server is; None for ``OPENAI_BASE_URL``, or else OpenAI's.
        partial_every_s: So long after a partial is the next one asked for, where somebody iterates over them. Each
            sends, and costs, all that was said so far.
        with_words: Ask for the times of the words, which not every model gives ("whisper-1" and its like do).
        options: Further fields of the request, such as ``{"prompt": "Vonage"}``.
        timeout_s: Longest wait for the connection, and for a transcript.

    Raises:
        UsageError: An address that is none, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: str | None = None,
        base_url: str | None = None,
        partial_every_s: float = PARTIAL_EVERY_S,
        with_words: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not partial_every_s > 0:
            raise UsageError(f"got partial_every_s={partial_every_s!r}; expected seconds above 0, such as 1")
        super().__init__(OPENAI, api_key=api_key, base_url=base_url, timeout_s=timeout_s, label=model)
        self._model = model
        self._partial_every_s = partial_every_s
        self._options = dict(options or {})
        self._form: dict[str, Any] = {"response_format": "json"}
        if with_words:
            self._form = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}

    def hear(self, *, sample_rate: int, language: str | None = None) -> RepeatedHearing:
        """Begin an utterance; see `RepeatedHearing`.

        Args:
            sample_rate: Of the audio that will be written, in Hz.
            language: ISO 639-1; None lets the model find out.
        """
        return RepeatedHearing(self, check_rate_hz(sample_rate), language, self._partial_every_s)

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return what was said in a whole utterance; an empty one is not asked about.

        Args:
            audio: Whole mono 16-bit samples.
            sample_rate: Samples per second of them.
            language: ISO 639-1; None lets the model find out.

        Raises:
            AudioDataError: An odd number of bytes.
            UsageError: More than 24 MiB.
            EngineError: The server failed or was not reached; or the package or key is missing.
        """
        file = wav_of(audio, sample_rate)
        if len(audio) > MAX_BYTES:
            raise too_long(len(audio))
        if not audio:
            return Transcript("", language=language)
        client = await self._ready()
        with self._exchange():
            form = self._form if language is None else {**self._form, "language": language}
            got = await self._step(
                client.audio.transcriptions.create(
                    model=self._model,
                    file=("speech.wav", file, "audio/wav"),
                    extra_body=self._options,
                    **form,
                )
            )
            if not isinstance(getattr(got, "text", None), str):
                raise EngineError(f"{self._who()} gave {quoted(str(got))} and no transcript; check base_url")
            return _transcript(got, language, len(audio) / SAMPLE_BYTES / sample_rate)


class RepeatedHearing:
    """An utterance that is sent as a whole at its end, and as far as it has come for each partial; a `Hearing`."""

    def __init__(
        self, engine: OpenAIRecogniser, rate_hz: int, language: str | None, partial_every_s: float
    ) -> None:
        self._engine = engine
        self._rate_hz = rate_hz
        self._language = language
        self._partial_every_s = partial_every_s
        self._audio = bytearray()
        self._has_ended = asyncio.Event()
        self._has_more = asyncio.Event()

    async def write(self, audio: bytes) -> None:
        """Keep more of the utterance.

        Raises:
            AudioDataError: An odd number of bytes.
            UsageError: It has ended, or grows beyond 24 MiB.
        """
        check_whole(audio)
        if self._has_ended.is_set():
            raise UsageError("the utterance has ended; begin another with hear()")
        if len(self._audio) + len(audio) > MAX_BYTES:
            raise too_long(len(self._audio) + len(audio))
        self._audio += audio
        self._has_more.set()

    async def partials(self) -> AsyncGenerator[Transcript, None]:
        """Iterate over what was understood so far, until `finish` is called; one iteration at a time.

        Raises:
            EngineError: As in `OpenAIRecogniser.transcribe`.
        """
        last = ""
        while await self._before_the_end(self._more()):
            audio = bytes(self._audio)
            heard = await self._before_the_end(
                self._engine.transcribe(audio, sample_rate=self._rate_hz, language=self._language)
            )
            if heard and heard.text != last:
                last = heard.text
                yield Transcript(heard.text, False, heard.language, heard.words, heard.audio_s, heard.details)

    async def finish(self) -> Transcript:
        """Return the final transcript.

        Raises:
            UsageError: It has ended already.
            EngineError: As in `OpenAIRecogniser.transcribe`.
        """
        if self._has_ended.is_set():
            raise UsageError("the utterance has ended already; finish() is called once")
        self._has_ended.set()
        return await self._engine.transcribe(
            bytes(self._audio), sample_rate=self._rate_hz, language=self._language
        )

    async def __aenter__(self) -> RepeatedHearing:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._has_ended.set()

    async def _more(self) -> bool:
        """Wait until there is more to hear, and until it is time for it."""
        await asyncio.sleep(self._partial_every_s)
        await self._has_more.wait()
        self._has_more.clear()
        return True

    async def _before_the_end(self, awaitable: Awaitable[T]) -> T | None:
        """What it returns, or None where the utterance ends before; it is cancelled then."""
        work = asyncio.ensure_future(awaitable)
        end = asyncio.ensure_future(self._has_ended.wait())
        try:
            await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() and not end.done() else None
        finally:
            work.cancel()
            end.cancel()
            await asyncio.wait({work, end})
            if not work.cancelled():
                work.exception()  # looked at, or asyncio reports it as forgotten


def too_long(count_bytes: int) -> UsageError:
    """The error of an utterance that is more than the API takes."""
    return UsageError(
        f"got an utterance of {count_bytes} bytes; expected {MAX_BYTES} at most; begin another at a pause"
    )


def _transcript(got: Foreign, language: str | None, audio_s: float) -> Transcript:
    """The answer, which a server of one's own may have shortened to its text."""
    words = tuple(Word(each.word.strip(), each.start, each.end) for each in getattr(got, "words", None) or ())
    detected = next((each.code for each in getattr(got, "languages", None) or ()), None)
    details = got.model_dump(exclude={"text", "words", "languages"}, exclude_none=True)
    return Transcript(got.text.strip(), True, detected or language, words, audio_s, details)
