# SPDX-License-Identifier: Apache-2.0
"""Text to speech by OpenAI, or any server with its ``/audio/speech`` that gives raw PCM at 24 kHz.

Needs ``pip install 'audio-connector[openai]'``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from audio_connector.audio.format import check_rate_hz
from audio_connector.engines.base.openai_client import OPENAI
from audio_connector.engines.base.remote import Foreign, RemoteSynthesiser

MODEL: Final = "gpt-4o-mini-tts"
VOICE: Final = "alloy"
RATE_HZ: Final = 24000
"""Of "pcm", by the API's documentation."""
TIMEOUT_S: Final = 10.0
"""A caller who hears nothing for longer hangs up."""


class OpenAISynthesiser(RemoteSynthesiser):
    """Speaks; a `Synthesiser`.

    Args:
        model: The model, as the server knows it.
        voice: The voice, likewise.
        api_key: The key; None for ``OPENAI_API_KEY``. A server at another ``base_url`` may need none.
        base_url: Where the server is; None for ``OPENAI_BASE_URL``, or else OpenAI's.
        sample_rate: Of the PCM that the server gives, in Hz: some servers of one's own give another one than 24,000.
        options: Further fields of the request, such as ``{"speed": 1.1}`` or ``{"instructions": "calm"}``.
        timeout_s: Longest wait for the connection, for the first audio and for each next piece.

    Raises:
        UsageError: An address that is none, a rate out of range, or a time that is no positive number.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        voice: str = VOICE,
        api_key: str | None = None,
        base_url: str | None = None,
        sample_rate: int = RATE_HZ,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(
            OPENAI,
            sample_rate=check_rate_hz(sample_rate),
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            label=f"{model}, {voice}",
        )
        self._model = model
        self._voice = voice
        self._options = dict(options or {})

    async def _chunks(self, client: Foreign, text: str, language: str | None) -> AsyncIterator[bytes]:
        request = client.audio.speech.with_streaming_response.create(
            model=self._model, voice=self._voice, input=text, response_format="pcm", extra_body=self._options
        )
        async with request as response:
            async for chunk in response.iter_bytes():
                yield chunk
