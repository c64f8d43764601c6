# SPDX-License-Identifier: Apache-2.0
"""OpenAI's API as its adapters share it, and every server that has the same: one client for all."""

from __future__ import annotations

import importlib
from contextlib import suppress
from types import ModuleType
from typing import Final

from audio_connector.engines.base.remote import Access, Opened, Service

NO_KEY: Final = "none"
"""What is sent where there is no key: the client insists on one, and servers of one's own do not look at it."""


def _load() -> ModuleType:
    # Where it catches errors, the client looks whether httpx is loaded as well, and trips over one that is only half
    # loaded, as another engine's warm() may have it just then. So where it is there, it is loaded before.
    with suppress(ImportError):
        importlib.import_module("httpx")
    return importlib.import_module("openai")


def _open(package: ModuleType, access: Access) -> Opened:
    client = package.AsyncOpenAI(
        api_key=access.key or NO_KEY, base_url=access.url, timeout=access.timeout_s, max_retries=0
    )
    # The client imports the parts of the API where they are first used: here, in a thread, and not in a call.
    _ = client.chat.completions, client.audio.speech.with_streaming_response, client.audio.transcriptions
    return Opened(client, client.close)


OPENAI: Final = Service(
    name="OpenAI's API",
    package="openai",
    extra="openai",
    key_variable="OPENAI_API_KEY",
    url="https://api.openai.com/v1",
    url_variable="OPENAI_BASE_URL",
    load=_load,
    open=_open,
)
