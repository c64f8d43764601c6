# SPDX-License-Identifier: Apache-2.0
"""Speech to text by OpenAI, or any server with its ``/audio/transcriptions`` (Speaches, vLLM and others).

The API takes whole files. Partials are made by sending what was said so far, again and again.
Needs ``pip install 'audio-connector[openai]'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.hearing import RepeatedHearing
from audio_connector.engines.base.openai_client import OPENAI
from audio_connector.engines.base.ports import Transcript, Word
from audio_connector.engines.base.remote import Foreign, RemoteEngine
from audio_connector.engines.base.samples import wav_of
from audio_connector.errors import UsageError
from audio_connector.wire.quoting import quoted

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
        partial_every_s: Seconds of new audio between two partials, where somebody iterates over them. Each sends, and
            costs, all that was said so far.
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
        """Begin an utterance; what was said so far is sent again for each partial, all of it for the final.

        Args:
            sample_rate: Of the audio that will be written, in Hz.
            language: ISO 639-1; None lets the model find out.
        """

        async def decode(audio: bytes, is_final: bool) -> Transcript:
            heard = await self.transcribe(audio, sample_rate=sample_rate, language=language)
            return heard if is_final else replace(heard, is_final=False)

        return RepeatedHearing(decode, sample_rate=sample_rate, every_s=self._partial_every_s)

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
