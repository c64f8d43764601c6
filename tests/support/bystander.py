# SPDX-License-Identifier: Apache-2.0
"""A call beside the one that a test is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.peers import FRAME, calling, next_audio, next_text
from support.serving import until


class Bystander:
    """Another call of the same server, which has its echoes whatever becomes of the first one."""

    def __init__(self) -> None:
        self._echoes = 0
        self._is_over = False

    @asynccontextmanager
    async def watching(self, address: str) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(self._watch(address))
        try:
            await self.echo()
            yield
            await self.echo()
        finally:
            self._is_over = True
            await watching

    async def echo(self) -> None:
        """Wait for one that is asked for from now on."""
        asked = self._echoes + 1  # which may be on its way already
        await until(lambda: self._echoes > asked, "the echo of another call")

    async def _watch(self, address: str) -> None:
        async with calling(address, "/bystander") as caller:
            await caller.send(FRAME)
            await next_audio(caller, 1)  # the beginning of an echo waits for its prime
            while not self._is_over:
                await caller.send('{"ping":1}')
                await next_text(caller)
                self._echoes += 1
                await asyncio.sleep(0.005)
