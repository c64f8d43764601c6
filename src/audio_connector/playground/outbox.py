# SPDX-License-Identifier: Apache-2.0
"""What waits to be sent to one page: bounded, and in order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Final, Protocol

MAX_AUDIO: Final = 150
"""Pieces of audio that may wait, 3 s of one call: a page that is later than that wants to hear the present."""

MAX_TEXTS: Final = 500
"""Texts that may wait."""


class Socket(Protocol):
    """What is used of a WebSocket to the page."""

    def send_str(self, data: str) -> Awaitable[None]:
        """Send a text message; returns when there is room for more."""
        ...

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Send a binary message, likewise."""
        ...


class Outbox:
    """Messages for one page.

    What does not fit drops the oldest of its kind, and is counted: a page that cannot follow must neither hold memory
    nor slow the calls.
    """

    def __init__(self) -> None:
        self._items: deque[str | bytes] = deque()
        self._audio = 0
        self._wake = asyncio.Event()
        self.audio_dropped = 0
        self.texts_dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def post(self, message: Mapping[str, object]) -> None:
        """Send a JSON object."""
        if len(self._items) - self._audio >= MAX_TEXTS:
            self._drop_oldest(str)
            self.texts_dropped += 1
        self._items.append(json.dumps(message, separators=(",", ":")))
        self._wake.set()

    def post_audio(self, speaker: int, pcm: bytes) -> None:
        """Send what a participant hears; the first byte says who, the second keeps the samples aligned."""
        if self._audio >= MAX_AUDIO:
            self._drop_oldest(bytes)
            self._audio -= 1
            self.audio_dropped += 1
        self._items.append(bytes((speaker, 0)) + pcm)
        self._audio += 1
        self._wake.set()

    async def run(self, socket: Socket) -> None:
        """Send everything, until cancelled. A page that takes nothing is given up by the socket's own heartbeat.

        Raises:
            ConnectionError: The page is gone.
        """
        while True:
            while self._items:
                item = self._items.popleft()
                if isinstance(item, bytes):
                    self._audio -= 1
                    await socket.send_bytes(item)
                else:
                    await socket.send_str(item)
            self._wake.clear()
            await self._wake.wait()

    def _drop_oldest(self, kind: type) -> None:
        for index, item in enumerate(self._items):
            if isinstance(item, kind):
                del self._items[index]
                return
