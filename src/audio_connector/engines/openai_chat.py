# SPDX-License-Identifier: Apache-2.0
"""What to say next, by a chat model: OpenAI, or any server with its API (vLLM, Ollama, llama.cpp and others).

Needs ``pip install 'audio-connector[openai]'``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.openai_client import OPENAI
from audio_connector.engines.base.ports import Message
from audio_connector.engines.base.remote import Foreign, RemoteEngine
from audio_connector.errors import UsageError

TIMEOUT_S: Final = 10.0
"""A model that thinks is silent meanwhile; after ten seconds of it a caller asks whether anybody is there."""


class OpenAIAnswerer(RemoteEngine):
    """Asks a chat model; an `Answerer`.

    Args:
        model: Its name, as the server knows it.
        api_key: The key; None for ``OPENAI_API_KEY``. A server at another ``base_url`` may need none.
        base_url: Where the server is, such as ``http://localhost:11434/v1`` for Ollama; None for
            ``OPENAI_BASE_URL``, or else OpenAI's.
        options: Further fields of the request, such as ``{"temperature": 0.3}``.
        timeout_s: Longest wait for the connection, for the first word and for each next one.

    Raises:
        UsageError: No model, an address that is none, or a time that is no positive number.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        options: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not model:
            raise UsageError("got no model; expected the name of one that the server has")
        super().__init__(OPENAI, api_key=api_key, base_url=base_url, timeout_s=timeout_s, label=model)
        self._model = model
        self._options = dict(options or {})

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """Iterate over the answer's text as it is made. Closing the iterator ends the request at once.

        Args:
            messages: The conversation so far, the system's message first.

        Raises:
            UsageError: No messages.
            EngineError: The server failed, was not reached or broke off; or the package or key is missing.
        """
        if not messages:
            raise UsageError(
                "got no messages; expected the conversation so far, the user's last words at its end"
            )
        client = await self._ready()
        with self._exchange():
            async with aclosing(self._paced(self._words(client, messages))) as words:
                async for word in words:
                    yield word

    async def _words(self, client: Foreign, messages: Sequence[Message]) -> AsyncIterator[str]:
        stream = await client.chat.completions.create(
            model=self._model,
            messages=[{"role": each.role, "content": each.text} for each in messages],
            stream=True,
            extra_body=self._options,
        )
        has_begun = is_finished = False
        async with stream:
            async for chunk in stream:
                has_begun = True
                for choice in chunk.choices[:1]:  # none, in the one with the usage
                    is_finished = is_finished or choice.finish_reason is not None
                    if choice.delta is not None and choice.delta.content:
                        yield choice.delta.content
        if not has_begun:  # a page to log in, or a server that does not stream
            raise EngineError(f"{self._who()} answered with no stream of words; check base_url")
        if not is_finished:
            # A connection that ends without the end of the stream looks like one that ends well.
            raise EngineError(f"{self._who()} broke off in the middle of its answer; ask again")
