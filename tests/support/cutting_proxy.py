# SPDX-License-Identifier: Apache-2.0
"""Something between peer and server that cuts connections after some bytes, by a reset or an end of the stream."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 4096
LONGEST_BYTES = 30_000
"""Of both directions together: from inside the upgrade request to a third of a second of an echo."""


@asynccontextmanager
async def cutting(port: int, chance: random.Random) -> AsyncIterator[int]:
    """A port whose connections reach another one, and are cut; at the end none is left.

    Args:
        port: Of 127.0.0.1, where they lead.
        chance: Says when and how.
    """
    working: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_Cut(reader, writer, chance).run(port))
        working.add(task)
        task.add_done_callback(working.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while working:
            await asyncio.gather(*working)


class _Cut:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random
    ) -> None:
        self._near = reader, writer
        self._left_bytes = chance.randrange(LONGEST_BYTES)
        self._resets = chance.random() < 0.5

    async def run(self, port: int) -> None:
        """Carry bytes until it is to be cut, or either side has ended it."""
        far = await asyncio.open_connection("127.0.0.1", port)
        ways = [asyncio.ensure_future(self._carry(self._near[0], far[1]))]
        ways.append(asyncio.ensure_future(self._carry(far[0], self._near[1])))
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for writer in (self._near[1], far[1]):
            if self._resets:
                sock = writer.get_extra_info("socket")
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            writer.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while (piece := await source.read(PIECE_BYTES)) and self._left_bytes > 0:
                target.write(piece[: self._left_bytes])
                self._left_bytes -= len(piece)
                await target.drain()
