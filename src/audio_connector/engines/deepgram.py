# SPDX-License-Identifier: Apache-2.0
"""Speech to text and text to speech by Deepgram, through its own client.

Needs ``pip install 'audio-connector[deepgram]'``.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
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

MODEL: Final = "nova-3"
VOICE: Final = "aura-2-thalia-en"
TIMEOUT_S: Final = 10.0
"""A caller who hears nothing for longer hangs up."""
KEEP_ALIVE_S: Final = 4.0
"""Deepgram closes a stream after 10 s without audio, and advises a message every 3 to 5 s."""


def _open(package: ModuleType, access: Access) -> Opened:
    socket_url = access.url.replace("http", "ws", 1)
    defaults = vars(package.DeepgramClientEnvironment.PRODUCTION)
    urls = {name: socket_url if url.startswith("ws") else access.url for name, url in defaults.items()}
    http = http_client(access)
    client = package.AsyncDeepgramClient(
        api_key=access.key or "none",
        environment=package.DeepgramClientEnvironment(**urls),
        timeout=access.timeout_s,
        httpx_client=http,
    )
    # The client imports the parts of the API where they are first used: here, in a thread, and not in a call.
    _ = client.listen.v1.media, client.speak.v1.audio
    return Opened(client, http.aclose)


def _load() -> ModuleType:
    # Else it is imported in the loop, with the first utterance.
    importlib.import_module("deepgram.listen.v1.client")
    return importlib.import_module("deepgram")


DEEPGRAM: Final = Service(
    name="Deepgram",
    package="deepgram-sdk",
    extra="deepgram",
    key_variable="DEEPGRAM_API_KEY",
    url="https://api.deepgram.com",
    load=_load,
    open=_open,
)


class DeepgramRecogniser(RemoteEngine):
    """Hears while it is said; a `Recogniser`.

    Args:
        model: The model.
        api_key: The key; None for ``DEEPGRAM_API_KEY``.
        base_url: Where a server of one's own is, or another region; None for Deepgram's.
        options: Further parameters of the request, such as ``{"keyterm": "Vonage"}``.
        timeout_s: Longest wait for the connection and for the final transcript.

    Raises:
        UsageError: An address that is none, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: str | None = None,
        base_url: str | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(DEEPGRAM, api_key=api_key, base_url=base_url, timeout_s=timeout_s, label=model)
        self._model = model
        self._options = dict(options or {})

    def hear(self, *, sample_rate: int, language: str | None = None) -> DeepgramHearing:
        """Begin an utterance, over a connection of its own.

        Args:
            sample_rate: Of the audio that will be written, in Hz.
            language: ISO 639-1, or "multi"; None for English.
        """
        return DeepgramHearing(self, sample_rate, language)

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return what was said in a whole utterance, in one request; an empty one is not asked about.

        Args:
            audio: Whole mono 16-bit samples.
            sample_rate: Samples per second of them.
            language: ISO 639-1, or "multi"; None for English.

        Raises:
            AudioDataError: An odd number of bytes.
            EngineError: Deepgram failed or was not reached; or the package or key is missing.
        """
        file = wav_of(audio, sample_rate)
        audio_s = len(audio) / SAMPLE_BYTES / sample_rate
        if not audio:
            return Transcript("", language=language)
        client = await self._ready()
        with self._exchange():
            got = await self._step(
                client.listen.v1.media.transcribe_file(
                    request=file,
                    model=self._model,
                    language=language,
                    smart_format=True,
                    request_options={"additional_query_parameters": self._options, "max_retries": 0},
                )
            )
            alternatives = got.results.channels[0].alternatives[:1]
            return _joined(alternatives, language, audio_s, is_final=True)


class DeepgramHearing(LiveHearing):
    """One utterance; a `Hearing`, made by `DeepgramRecogniser.hear`."""

    def __init__(self, engine: DeepgramRecogniser, sample_rate: int, language: str | None) -> None:
        super().__init__(
            sample_rate=sample_rate, timeout_s=engine._timeout_s, who=engine._who(), exchange=engine._exchange
        )
        self._engine = engine
        self._language = language
        self._said: list[Any] = []

    async def _converse(self) -> Transcript:
        engine = self._engine
        client = await engine._ready()
        connection = client.listen.v1.connect(
            model=engine._model,
            language=self._language,
            encoding="linear16",
            sample_rate=str(self._rate_hz),
            interim_results="true",
            smart_format="true",
            request_options={"additional_query_parameters": engine._options},
        )
        socket = await engine._step(connection.__aenter__())
        try:
            return await both(self._send(socket), self._receive(socket))
        finally:
            await _cut(connection, socket)

    async def _send(self, socket: Foreign) -> None:
        while (piece := await self._next_audio(KEEP_ALIVE_S)) is not None:
            if piece:
                await socket.send_media(piece)
            else:
                await socket.send_keep_alive()
        await socket.send_close_stream()

    async def _receive(self, socket: Foreign) -> Transcript:
        async for message in socket:
            kind = getattr(message, "type", "")
            if kind == "Results":
                self._take(message)
            elif kind == "Error":
                text = getattr(message, "description", "") or ""
                raise EngineError(f"{self._who} failed: {shown(text)}; try again")
            elif kind == "Metadata" and self._is_finishing:
                # Deepgram's last message; what is left is its closing handshake.
                return _joined(self._said, self._language, self.audio_s, is_final=True)
        raise EngineError(
            f"{self._who} closed the connection before all was understood; begin another utterance"
        )

    def _take(self, results: Foreign) -> None:
        alternatives = results.channel.alternatives[:1]
        so_far = [*self._said, *alternatives]
        if results.is_final:
            self._said = so_far
        heard = _joined(so_far, self._language, self.audio_s, is_final=False)
        if heard.text:
            self._tell(heard)


class DeepgramSynthesiser(RemoteSynthesiser):
    """Speaks, by Aura; a `Synthesiser`.

    Args:
        voice: The voice, which is a model of a language.
        sample_rate: Of the audio, in Hz: 8000, 16000, 24000, 32000 or 48000.
        api_key: The key; None for ``DEEPGRAM_API_KEY``.
        base_url: Where a server of one's own is; None for Deepgram's.
        options: Further parameters of the request, such as ``{"speed": 1.1}``.
        timeout_s: Longest wait for the connection, for the first audio and for each next piece.

    Raises:
        UsageError: An address that is none, a rate out of range, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        voice: str = VOICE,
        sample_rate: int = 24000,
        api_key: str | None = None,
        base_url: str | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(
            DEEPGRAM,
            sample_rate=check_rate_hz(sample_rate),
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            label=voice,
        )
        self._voice = voice
        self._options = dict(options or {})

    def _chunks(self, client: Foreign, text: str, language: str | None) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = client.speak.v1.audio.generate(
            text=text,
            model=self._voice,
            encoding="linear16",
            container="none",
            sample_rate=self._sample_rate,
            request_options={"additional_query_parameters": self._options},
        )
        return chunks


def _joined(said: Sequence[Any], language: str | None, audio_s: float, *, is_final: bool) -> Transcript:
    """The alternatives of one stretch after the other as one transcript."""
    words = [word for each in said for word in each.words or ()]
    text = " ".join(each.transcript.strip() for each in said if each.transcript.strip())
    heard = tuple(
        Word(word.punctuated_word or word.word, word.start, word.end, word.confidence) for word in words
    )
    languages = [code for each in said for code in getattr(each, "languages", None) or ()]
    detected = next(iter(languages), None)
    return Transcript(text, is_final, detected or language, heard, audio_s)


async def _cut(connection: Foreign, socket: Foreign) -> None:
    """End the connection at once: the client's own way waits for a closing handshake, up to some ten seconds."""
    transport = getattr(getattr(socket, "_websocket", None), "transport", None)
    if transport is not None:
        transport.abort()
    with suppress(Exception):  # it closes what is gone
        await connection.__aexit__(None, None, None)
