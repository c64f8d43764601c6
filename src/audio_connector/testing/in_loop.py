# SPDX-License-Identifier: Apache-2.0
"""A server's I/O side on the application's loop, with sockets in memory: what a server gets in virtual time.

The thread and the sockets are left out, and nothing else: links, schedules, buffers and mailboxes are the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from audio_connector.errors import UsageError
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide, answer_all_late
from audio_connector.server.mailbox import Mailbox
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.memory_network import MemoryListening
from audio_connector.wire.network import DIAL, LISTEN, AcceptUpgrade, DialOptions, ListenOptions
from audio_connector.wire.transport import Receiver


class InLoopIo:
    """An `io_side.IoHost` without a thread.

    Args:
        loop: The application's loop, which is that of the I/O side too.
        deliver: Called for each `mail.ToApplication`.
        config: As `io_thread.IoThread`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        deliver: Callable[[mail.ToApplication], None],
        config: AudioConnectorServerConfig,
    ) -> None:
        outbox: Mailbox[mail.ToApplication] = Mailbox(
            loop, deliver, gather_on=None, on_lost=lambda messages: None
        )
        self.side = IoSide(
            config, post=outbox.post, listen=listen, clock=loop.time, call_later=loop.call_later
        )
        self.inbox: Mailbox[mail.ToIo] = Mailbox(
            loop, self.side.apply, gather_on=None, on_lost=answer_all_late
        )
        self.ended: Future[None] = Future()

    def start(self) -> None:
        """Nothing: the loop runs."""

    async def listen(self) -> tuple[str, int]:
        """Be found by `dial`. Returns the address."""
        return await self.side.listen()

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


async def listen(
    accept: AcceptUpgrade, options: ListenOptions = LISTEN, **changes: object
) -> MemoryListening:
    """Listen on a port of the running `VirtualLoop`; see `MemoryNetwork.listen`."""
    return await _loop().network.listen(accept, options, **changes)


async def dial(
    url: str, receiver: Receiver, options: DialOptions = DIAL, **changes: object
) -> MemoryTransport:
    """Connect to what listens on the running `VirtualLoop`; see `MemoryNetwork.dial`."""
    return await _loop().network.dial(url, receiver, options, **changes)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise UsageError("sockets in memory are for virtual time: put @in_virtual_time above the test")
    return loop
