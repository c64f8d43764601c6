# SPDX-License-Identifier: Apache-2.0
"""A server's I/O side on the application's loop, with sockets in memory: what a server gets in virtual time.

The thread and the sockets are left out, and nothing else: calls, schedules, buffers and mailboxes are the real ones.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import Future

from audio_connector.call.asks import Ask
from audio_connector.port.host import Block, Deliver, Note, tell_nobody
from audio_connector.port.mailbox import Mailbox, Outbox
from audio_connector.port.meters import Meters
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide
from audio_connector.wire.memory_network import MemoryNetwork


class InLoopIo:
    """A `port.host.IoHost` without a thread.

    Args:
        loop: The application's loop, which is that of the I/O side too.
        deliver: Called for each tell.
        note: Called at once for what somebody may wait for.
        config: As `io_thread.IoThread`.
        network: Where it listens.
    """

    is_virtual = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
        *,
        network: MemoryNetwork,
    ) -> None:
        self.meters = Meters()
        self.worker: int | None = None
        self.on_block: Callable[[Block], None] = tell_nobody
        outbox = Outbox(
            loop,
            deliver,
            note,
            call_later=lambda _, wake: loop.call_soon(wake),  # waking costs nothing here
            on_lost=lambda: None,
            clock=loop.time,
        )
        self.side = IoSide(
            config,
            post=outbox.post,
            note=note,
            listen=network.listen,
            clock=loop.time,
            call_later=loop.call_later,
        )
        self.inbox: Mailbox[tuple[int, Ask]] = Mailbox(
            loop, self.side.apply, on_lost=lambda: None, clock=loop.time
        )
        self.refusals = self.side.refusals
        self.post = self.inbox.post
        self.owes_work = outbox.owes_work
        self.clock = loop.time
        self.id_prefix = uuid.uuid4().hex[:20]
        self.ended: Future[None] = Future()

    def start(self) -> None:
        """Nothing: the loop runs."""

    async def listen(self) -> tuple[str, int]:
        """Be found by who dials. Returns the address."""
        return await self.side.listen()

    def refuse_calls(self) -> None:
        """Answer every upgrade with 503 from now on."""
        self.side.refuse_calls()

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        await self.side.close_all(code, reason, timeout_s)

    def shut_down(self) -> None:
        """End at once."""
        if not self.ended.done():
            self.side.stop()
            self.ended.set_result(None)

    def join(self, timeout_s: float) -> bool:
        """There is no thread to wait for."""
        return True
