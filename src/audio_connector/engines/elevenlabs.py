# SPDX-License-Identifier: Apache-2.0
"""Text to speech and speech to text by ElevenLabs, through its own client.

Needs ``pip install 'audio-connector[elevenlabs]'``.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.live import LiveHearing, both, shown
from audio_connector.engines.base.ports import Transcript, Word
from audio_connector.engines.base.remote import (
    Access,
    Foreign,
    Opened,
    RemoteEngine,
    RemoteSynthesiser,
    Service,
    http_client,
)
from audio_connector.engines.base.samples import wav_of
from audio_connector.errors import UsageError

VOICE: Final = "JBFqnCBsd6RMkjVDRZzb"
"""George, one of the voices that every account has."""
MODEL: Final = "eleven_flash_v2_5"
"""The quickest, made for conversations."""
SCRIBE: Final = "scribe_v2"
SCRIBE_LIVE: Final = "scribe_v2_realtime"
RATES_HZ: Final = (8000, 16000, 22050, 24000, 44100, 48000)
"""What both of its interfaces have as PCM."""
TIMEOUT_S: Final = 10.0
"""A caller who hears nothing for longer hangs up."""
KEEP_ALIVE_S: Final = 5.0
"""It closes a stream on which nothing comes; a little silence keeps it open."""
MIN_COMMIT_S: Final = 0.5
"""It refuses to commit very little audio, so that is filled up with silence."""
CHUNK_MS: Final = 20
"""The client waits for so much audio at a time."""

_REMEDIES: Final = {
    "auth_error": "check ELEVENLABS_API_KEY or the argument api_key",
    "quota_exceeded": "look into the account",
    "rate_limited": "try again later, or raise the limits of the account",
}


def _open(package: ModuleType, access: Access) -> Opened:
    http = http_client(access)
    client = package.AsyncElevenLabs(
        api_key=access.key, base_url=access.url, timeout=access.timeout_s, httpx_client=http
    )
    # The client imports the parts of the API where they are first used: here, in a thread, and not in a call.
    _ = client.text_to_speech, client.speech_to_text.realtime
    return Opened(client, http.aclose)


ELEVENLABS: Final = Service(
    name="ElevenLabs",
    package="elevenlabs",
    extra="elevenlabs",
    key_variable="ELEVENLABS_API_KEY",
    url="https://api.elevenlabs.io",
    load=lambda: importlib.import_module("elevenlabs.client"),
    open=_open,
)


class ElevenLabsSynthesiser(RemoteSynthesiser):
    """Speaks; a `Synthesiser`.

    Args:
        voice: The voice's identifier, as its page shows it.
        model: The model.
        sample_rate: Of the audio, in Hz, one of `RATES_HZ`. An account may not have those above 24,000.
        api_key: The key; None for ``ELEVENLABS_API_KEY``.
        base_url: Another region, such as ``https://api.eu.residency.elevenlabs.io``; None for the usual one.
        options: Further fields of the request, such as ``{"voice_settings": {"speed": 1.1}}``.
        timeout_s: Longest wait for the connection, for the first audio and for each next piece.

    Raises:
        UsageError: An address that is none, a rate that is not offered, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        voice: str = VOICE,
        model: str = MODEL,
        sample_rate: int = 24000,
        api_key: str | None = None,
        base_url: str | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(
            ELEVENLABS,
            sample_rate=_checked_rate(sample_rate),
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            label=f"{model}, {voice}",
        )
        self._voice = voice
        self._model = model
        self._options = dict(options or {})

    def _chunks(self, client: Foreign, text: str, language: str | None) -> AsyncIterator[bytes]:
        asked = {} if language is None else {"language_code": language}
        chunks: AsyncIterator[bytes] = client.text_to_speech.stream(
            self._voice,
            text=text,
            model_id=self._model,
            output_format=f"pcm_{self._sample_rate}",
            request_options={
                "chunk_size": self._sample_rate * CHUNK_MS // 1000 * SAMPLE_BYTES,
                "additional_body_parameters": self._options,
            },
            **asked,
        )
        return chunks


class ElevenLabsRecogniser(RemoteEngine):
    """Hears, by Scribe; a `Recogniser`.

    Args:
        model: The model for whole utterances.
        live_model: The one for those that come piece by piece.
        api_key: The key; None for ``ELEVENLABS_API_KEY``.
        base_url: Another region; None for the usual one.
        timeout_s: Longest wait for the connection and for the final transcript.

    Raises:
        UsageError: An address that is none, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        model: str = SCRIBE,
        live_model: str = SCRIBE_LIVE,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(ELEVENLABS, api_key=api_key, base_url=base_url, timeout_s=timeout_s, label=model)
        self._model = model
        self._live_model = live_model

    def hear(self, *, sample_rate: int, language: str | None = None) -> ElevenLabsHearing:
        """Begin an utterance, over a connection of its own.

        Args:
            sample_rate: Of the audio that will be written, in Hz, one of `RATES_HZ`.
            language: ISO 639-1; None lets the model find out.

        Raises:
            UsageError: A rate that is not offered.
        """
        return ElevenLabsHearing(self, _checked_rate(sample_rate), language)

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return what was said in a whole utterance, in one request; an empty one is not asked about.

        Args:
            audio: Whole mono 16-bit samples.
            sample_rate: Samples per second of them.
            language: ISO 639-1; None lets the model find out.

        Raises:
            AudioDataError: An odd number of bytes.
            EngineError: ElevenLabs failed or was not reached; or the package or key is missing.
        """
        file = wav_of(audio, sample_rate)
        if not audio:
            return Transcript("", language=language)
        client = await self._ready()
        asked = {} if language is None else {"language_code": language}
        with self._exchange():
            got = await self._step(
                client.speech_to_text.convert(
                    model_id=self._model,
                    file=("speech.wav", file, "audio/wav"),
                    tag_audio_events=False,
                    request_options={"max_retries": 0},
                    **asked,
                )
            )
            words = tuple(
                Word(each.text, each.start, each.end, math.exp(each.logprob))
                for each in got.words
                if each.type == "word"
            )
            details = {"language_code": got.language_code}
            return Transcript(
                got.text.strip(), True, language, words, len(audio) / SAMPLE_BYTES / sample_rate, details
            )


class ElevenLabsHearing(LiveHearing):
    """One utterance; a `Hearing`, made by `ElevenLabsRecogniser.hear`."""

    def __init__(self, engine: ElevenLabsRecogniser, sample_rate: int, language: str | None) -> None:
        super().__init__(
            sample_rate=sample_rate, timeout_s=engine._timeout_s, who=engine._who(), exchange=engine._exchange
        )
        self._engine = engine
        self._language = language

    async def _converse(self) -> Transcript:
        client = await self._engine._ready()
        formats = importlib.import_module("elevenlabs.realtime.scribe").AudioFormat
        asked = {
            "model_id": self._engine._live_model,
            "audio_format": formats(f"pcm_{self._rate_hz}"),
            "sample_rate": self._rate_hz,
        }
        if self._language is not None:
            asked["language_code"] = self._language
        connection = await self._engine._step(client.speech_to_text.realtime.connect(asked))
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def ended(info: Mapping[str, Any] | None = None) -> None:  # older clients tell nothing
            messages.put_nowait({"code": None, **(info or {})})

        for event in ("partial_transcript", "committed_transcript", "error"):
            connection.on(event, messages.put_nowait)
        connection.on("close", ended)
        try:
            return await both(self._send(connection), self._receive(messages))
        finally:
            # The client's own closing waits for the other side's, up to some ten seconds.
            connection.websocket.transport.abort()
            with suppress(Exception):  # it closes what is gone
                await connection.close()

    async def _send(self, connection: Foreign) -> None:
        while (piece := await self._next_audio(KEEP_ALIVE_S)) is not None:
            await self._send_audio(connection, piece or bytes(SAMPLE_BYTES * (self._rate_hz // 10)))
        short_bytes = int(MIN_COMMIT_S * self._rate_hz) * SAMPLE_BYTES - self._written_bytes
        if short_bytes > 0:
            await self._send_audio(connection, bytes(short_bytes))
        await connection.commit()

    async def _send_audio(self, connection: Foreign, audio: bytes) -> None:
        await connection.send({"audio_base_64": base64.b64encode(audio).decode("ascii")})

    async def _receive(self, messages: asyncio.Queue[dict[str, Any]]) -> Transcript:
        said: list[str] = []
        while True:
            message = await messages.get()
            kind, text = message.get("message_type"), str(message.get("text") or "").strip()
            if kind == "partial_transcript":
                self._tell(self._transcript([*said, text], is_final=False))
            elif kind == "committed_transcript":
                said.append(text)
                if self._is_finishing:
                    return self._transcript(said, is_final=True)
            elif kind is not None:
                what = shown(f"{kind}: {message.get('error')}")
                raise EngineError(f"{self._who} failed: {what}; {_REMEDIES.get(kind, 'try again')}")
            elif "code" in message:
                raise EngineError(f"{self._who} {_ending(message)}; try again")
            # Else the client's own error of the connection, and then comes its end.

    def _transcript(self, said: list[str], *, is_final: bool) -> Transcript:
        return Transcript(" ".join(filter(None, said)), is_final, self._language, audio_s=self.audio_s)


def _ending(message: Mapping[str, Any]) -> str:
    """How the connection ended; without a close frame the client knows no code, or says 1006."""
    code, reason = message.get("code"), message.get("reason") or ""
    return "broke off" if code in (None, 1006) else f"closed the connection: {shown(f'{code} {reason}')}"


def _checked_rate(sample_rate: int) -> int:
    if sample_rate not in RATES_HZ:
        raise UsageError(f"got sample_rate={sample_rate!r}; expected one of {', '.join(map(str, RATES_HZ))}")
    return sample_rate
