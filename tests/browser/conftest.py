# SPDX-License-Identifier: Apache-2.0
"""A playground, a browser on it, and a bot that notes what it saw."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.browser import Visit, chromium, visit, write_microphone
from support.pages import opened

from audio_connector import AudioConnectorConnection, Event
from audio_connector.playground.bots import Bot
from audio_connector.simulator import sample_speech

SENTENCE = sample_speech(("he-was-not.wav",))
"""What the microphone hears, after a second of silence and before twelve."""

PATIENCE_S = 15.0


class NotingBot:
    """Says nothing, and notes what its connections saw."""

    def __init__(self) -> None:
        self.clients: list[AudioConnectorConnection] = []
        self.events: list[tuple[str, Event]] = []
        self.audio: dict[str, bytearray] = {}
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        heard = self.audio[client.id] = bytearray()
        self.clients.append(client)
        client.set_handler(
            on_audio=heard.extend,
            on_event=lambda event: self._note(client.id, event),
            on_disconnect=lambda how: self._note(client.id, how),
        )
        self._loop.call_soon_threadsafe(self._changed.set)

    def _note(self, client_id: str, event: Event) -> None:
        self.events.append((client_id, event))
        self._loop.call_soon_threadsafe(self._changed.set)

    async def until(self, wanted: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Wait until something holds; looked at whenever something happens."""

        async def look() -> None:
            while not wanted():
                self._changed.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.1)

        await asyncio.wait_for(look(), within_s)

    def of(self, kind: type, client: AudioConnectorConnection | None = None) -> list[Any]:
        """The events of a kind, of one connection or of all."""
        return [
            event
            for client_id, event in self.events
            if isinstance(event, kind) and (client is None or client.id == client_id)
        ]


@pytest.fixture
async def noting() -> NotingBot:
    return NotingBot()


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    return write_microphone(tmp_path / "microphone.wav", bytes(32000) + SENTENCE + bytes(32000 * 12))


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    return write_microphone(tmp_path / "silence.wav", bytes(32000))


Meet = Callable[..., contextlib.AbstractAsyncContextManager[Visit]]


@pytest.fixture
def meet(silence: Path) -> Meet:
    """Open the page of a bot in a browser; at the end, the page must have done nothing that it should not."""

    @contextlib.asynccontextmanager
    async def meeting(
        on_connect: Any = None,
        *,
        bot: Bot | None = None,
        microphone: Path | None = None,
        is_allowed: bool = True,
        **options: Any,
    ) -> AsyncIterator[Visit]:
        options.setdefault("viewport", {"width": 1360, "height": 1000})
        async with (
            opened(on_connect, bot=bot) as address,
            chromium(microphone or silence, is_allowed=is_allowed) as browser,
            visit(browser, address.url, **options) as made,
        ):
            await made.page.wait_for_selector("#connect:enabled")
            yield made
            assert made.errors == []
            assert made.origins == {address.url.rstrip("/")}

    return meeting
