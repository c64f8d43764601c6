# SPDX-License-Identifier: Apache-2.0
"""What every server under measurement does: say where it listens, and live until its stdin ends.

Standard library only, because the vendor's server imports it from its own virtual environment.
"""

from __future__ import annotations

import asyncio
import sys


async def serve_until_eof(port: int, *, is_tls: bool = False) -> None:
    """Print the address, which says that the server is ready, and return at the end of stdin."""
    ended = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
    print(f"{'wss' if is_tls else 'ws'}://127.0.0.1:{port}", flush=True)
    await ended.read()
