# SPDX-License-Identifier: Apache-2.0
"""A dispatcher on the running loop, and what the other side is asked for by it."""

from __future__ import annotations

import asyncio

from audio_connector.intake.dispatch import Dispatcher
from audio_connector.intake.items import TextItem
from audio_connector.validation.handlers import Handler
from audio_connector.wire.messages import Dtmf

TEXT = TextItem(' {"digit":"1"}', Dtmf(digit="1"))


class Stage:
    """A dispatcher that runs, and what it asked for."""

    def __init__(self, credit_batch: int = 4, *, owes_work: bool = False) -> None:
        self.wanted: list[tuple[bool, bool, int, bool]] = []
        self.dispatcher = Dispatcher(
            "c1",
            credit_batch=credit_batch,
            want=lambda *asked: self.wanted.append(asked),
            owes_work=lambda: owes_work,
        )
        self.task = asyncio.get_running_loop().create_task(self.dispatcher.run())

    def set(self, **handlers: Handler) -> None:
        self.dispatcher.set(**handlers)

    def feed(self, *items: bytes | TextItem) -> None:
        for item in items:
            self.dispatcher.feed(item)

    async def end(self) -> None:
        self.dispatcher.end()
        await self.task
